import type { ValidationReport } from '../../shared/domain/content-validation.ts';
import type { DistributionJob, WaitingReason } from '../../shared/domain/distribution-job.ts';
import {
  heedingWindow,
  isRunning,
  moved,
  takenBack,
} from '../../shared/domain/distribution-job.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import type { TransferProgress } from './transfer-progress.ts';

/** What a notification brought: the job, and the older open jobs it takes over from. */
export interface NotifiedJob {
  readonly job: DistributionJob;
  readonly superseded: readonly DistributionJob[];
}

/** A job as it is from now on, and what is reported with that. */
export interface JobChange {
  readonly job: DistributionJob;
  readonly messages?: readonly Change[];
}

/** How a job ended. */
export interface JobResult {
  readonly reason: string;
  readonly progress?: TransferProgress;
  readonly verifiedHash?: string;
  readonly validationReport?: ValidationReport;
  /** Content bytes that came over the wire, as a pull DP counts them. */
  readonly receivedBytes?: number;
  /** Of one that an administrator has cancelled. */
  readonly cancellation?: DistributionJob['cancellation'];
  /** Of a `cancel` that the DP has heard: the version it serves. */
  readonly heldVersion?: number;
  /** What else belongs into the batch. */
  readonly others?: readonly Change[];
}

/** What handing a job to a pull DP leads to. */
export interface JobHandover {
  /** What the DP's success must prove. */
  readonly expectedHash: string;
  /** What the DP was told, as the job's row keeps it. */
  readonly toldHash: string;
  /** When the DP is asked, if nothing is heard until then. */
  readonly restartAtMs: number;
  /** The rows that say what is arriving there; asked for in the package's turn. */
  readonly locations: () => Promise<Change[]>;
}

/** The job as it has ended. */
export function toEnded(
  current: DistributionJob,
  state: 'complete' | 'failed' | 'cancelled',
  { nowMs, ...result }: JobResult & { readonly nowMs: number },
): DistributionJob {
  const { reason, progress, verifiedHash, receivedBytes = 0, cancellation, heldVersion } = result;
  const { validationReport } = result;
  const last = takenBack(progress ? withProgress(current, progress, nowMs) : current);
  return moved(last, state, {
    reason,
    restartAtMs: 0,
    updatedAtMs: nowMs,
    endedAtMs: nowMs,
    bytesSent: Math.max(current.bytesSent, progress?.sentBytesOfAllRuns ?? 0, receivedBytes),
    ...(state === 'complete' && { remainingBytes: 0 }),
    ...(verifiedHash !== undefined && { verifiedHash }),
    ...(validationReport && { validationReport }),
    ...(cancellation && { cancellation }),
    ...(heldVersion !== undefined && { heldVersion }),
  });
}

/** The job with what a run has moved. */
export function withProgress(
  job: DistributionJob,
  progress: TransferProgress,
  nowMs: number,
): DistributionJob {
  const { totalBytes, remainingBytes, sentBytesOfAllRuns: bytesSent } = progress;
  return {
    ...job,
    // A run that did not come to ask the DP knows less than the row.
    ...(progress.expectedBytes > 0 && { totalBytes, remainingBytes }),
    bytesSent: Math.max(job.bytesSent, bytesSent),
    updatedAtMs: nowMs,
  };
}

/** The job as one that a pull DP has, which is to say how it ended. */
export function toWithPullDp(
  job: DistributionJob,
  facts: Pick<DistributionJob, 'reason' | 'restartAtMs' | 'updatedAtMs'> & {
    readonly waitingReason?: WaitingReason;
  },
): DistributionJob {
  return moved(job, 'in-progress', {
    ...facts,
    sendAction: 'PullQueryResultAction',
    pollCount: job.pollCount ?? 0,
    begunAtMs: job.begunAtMs ?? facts.updatedAtMs,
  });
}

/** The job as one whose run gave way, and that goes on where it is: it was no try. */
export function toGivenWay(
  job: DistributionJob,
  progress: TransferProgress,
  wait: Pick<DistributionJob, 'reason' | 'updatedAtMs'> & { readonly waitingReason: WaitingReason },
): DistributionJob {
  if (!isRunning(job)) return job;
  const tryCount = tryCountAfter(job, progress, wait.waitingReason);
  const due = { ...wait, restartAtMs: 0, tryCount };
  return moved(withProgress(job, progress, wait.updatedAtMs), 'pending-restart', due);
}

/** The job after a try that failed: it waits for the next one, and heeds the schedule again. */
export function toWaitingForRetry(
  job: DistributionJob,
  progress: TransferProgress,
  wait: Pick<DistributionJob, 'reason' | 'restartAtMs' | 'updatedAtMs'> & {
    readonly waitingReason: WaitingReason;
  },
): DistributionJob {
  const tryCount = tryCountAfter(job, progress, wait.waitingReason);
  const next = heedingWindow(withProgress(job, progress, wait.updatedAtMs));
  return moved(next, 'pending-restart', { ...wait, tryCount });
}

/** Whether the job has been tried, and has not ended. */
export function isStarted({ state }: DistributionJob): boolean {
  return state === 'started' || state === 'in-progress' || state === 'pending-restart';
}

/** What a run may end for that was not the DP's failure: somebody has to make room, or way. */
const noTries: readonly WaitingReason[] = ['disk-full-at-dp', 'slot', 'window-closed'];

/** Only fruitless tries in a row count. */
function tryCountAfter(
  { tryCount }: DistributionJob,
  { acknowledgedBytes }: TransferProgress,
  reason: WaitingReason,
): number {
  if (acknowledgedBytes > 0) return 0;
  return noTries.includes(reason) ? Math.max(0, tryCount - 1) : tryCount;
}

import type { ValidationReport } from './content-validation.ts';
import type { Priority } from './package.ts';
import type { MessagePlace } from './state-message.ts';
import type { ValidationOrder } from './validation-request.ts';

/**
 * What a job does to a package on a distribution point. `cancel` tells the DP that an older job was
 * cancelled, for as long as it takes until the DP has heard it.
 */
export type JobAction = 'add' | 'redistribute' | 'remove' | 'validate' | 'cancel';

export type JobState =
  | 'pending'
  | 'ready'
  | 'started'
  | 'in-progress'
  | 'pending-restart'
  | 'complete'
  | 'failed'
  | 'cancelled'
  | 'suspended';

/** Why a job does not run: the closed list of docs/jobs.md. */
export const waitingReasons = [
  'window-closed',
  'rate',
  'slot',
  'capacity',
  'no-source',
  'content-not-here',
  'dp-unreachable',
  'disk-full-at-dp',
  'retry-at',
  'suspended',
] as const;

export type WaitingReason = (typeof waitingReasons)[number];

/** One action for one package version on one DP: the row of table "distribution jobs". */
export interface DistributionJob {
  /** Rises with every job of the site; fences late calls of older jobs at the DP. */
  readonly jobSerial: number;
  readonly packageId: string;
  readonly sourceVersion: number;
  readonly dpId: string;
  readonly action: JobAction;
  readonly state: JobState;
  readonly waitingReason?: WaitingReason;
  /** The sentence behind `waitingReason` or the failure; empty when all is well. */
  readonly reason: string;
  readonly priority: Priority;
  readonly dpPriority: number;
  /** Set by an administrator; lower goes first. */
  readonly order: number;
  readonly createdAtMs: number;
  /** 0 until the first start. */
  readonly startedAtMs: number;
  /** When the DP first took the job; absent before that, and of a job that brings nothing. */
  readonly begunAtMs?: number;
  readonly updatedAtMs: number;
  /** When the next try, or the next question to a pull DP, is due; 0 when none is. */
  readonly restartAtMs: number;
  readonly tryCount: number;
  readonly totalBytes: number;
  readonly remainingBytes: number;
  /** Content bytes put on the wire so far, repeats included. */
  readonly bytesSent: number;
  /**
   * What the site does next about a job that a pull DP has taken: it asks how far that is, unless a
   * state message comes before (PULL-3). Absent before, and of jobs for standard DPs.
   */
  readonly sendAction?: 'PullQueryResultAction';
  /** How often the pull DP was asked since it took the job. */
  readonly pollCount?: number;
  /** Of a job a pull DP has taken: what its success must prove. */
  readonly expectedHash?: string;
  /** Of a job a pull DP has: hash over the sources and settings it was last told. */
  readonly toldHash?: string;
  /** Place of the newest state message of the job that was taken: older ones, and it again, are no news. */
  readonly heardPlace?: MessagePlace;
  /** What was reported once and is not again, such as `capacity`; at most `reportedCountMax`. */
  readonly reported?: readonly string[];
  /** Of a validation: how fast, and whether what it finds is brought again. */
  readonly validation?: ValidationOrder;
  /** Of a validation that is complete: what was found. */
  readonly validationReport?: ValidationReport;
  /** An administrator lets it run now: its next try heeds no schedule. Gone once a try has failed. */
  readonly ignoresWindow?: true;
  /** Of a job that an administrator has cancelled: whether its DP can do nothing of it any more. */
  readonly cancellation?: { readonly isConfirmed: boolean };
  /** Of a `cancel`: the job that was cancelled, confirmed once the DP has heard this one. */
  readonly cancels?: number;
  /** Of a complete `cancel`: the version the DP serves; 0: none. */
  readonly heldVersion?: number;
  /** 0 while the job is open. */
  readonly endedAtMs: number;
  /** Of a complete job that brought content: the package hash the DP computed over what it serves. */
  readonly verifiedHash?: string;
}

/** Most reports a job remembers; from then on none of that kind is written. */
export const reportedCountMax = 64;

/** The moves a job may make. */
export const jobMovesFrom = {
  pending: ['ready', 'started', 'cancelled', 'failed', 'suspended'],
  ready: ['started', 'pending', 'cancelled', 'failed', 'suspended'],
  started: ['in-progress', 'pending-restart', 'complete', 'failed', 'cancelled', 'suspended'],
  'in-progress': ['pending-restart', 'in-progress', 'complete', 'failed', 'cancelled', 'suspended'],
  // A pull DP that was notified may speak while this side believes that it was not.
  'pending-restart': [
    'started',
    'in-progress',
    'pending-restart',
    'complete',
    'cancelled',
    'failed',
    'suspended',
  ],
  // Suspended just when it was done, or refused for good: that counts.
  suspended: ['pending', 'pending-restart', 'complete', 'cancelled', 'failed'],
  complete: [],
  failed: ['pending'],
  cancelled: [],
} as const satisfies Record<JobState, readonly JobState[]>;

/** Whether content takes the way to the DP for it. */
export function bringsContent({ action }: DistributionJob): boolean {
  return action === 'add' || action === 'redistribute';
}

/** Whether its content takes the way to the DP only while that is open. */
export function heedsWindow(job: DistributionJob): boolean {
  return bringsContent(job) && !job.ignoresWindow;
}

/** Whether the job still has work to do. */
export function isOpen(job: DistributionJob): boolean {
  return job.state !== 'complete' && job.state !== 'failed' && job.state !== 'cancelled';
}

/** Whether the job holds a slot now. */
export function isRunning(job: DistributionJob): boolean {
  if (isWithPullDp(job)) return false;
  return job.state === 'started' || job.state === 'in-progress';
}

/** Whether a pull DP has the job and is to say how it ended: it counts against the DP's capacity. */
export function isWithPullDp(job: DistributionJob): boolean {
  return job.sendAction !== undefined && isOpen(job);
}

/** Whether the job waits at its site: it has not ended, does not run, and no pull DP has it. */
export function isWaiting(job: DistributionJob): boolean {
  return isOpen(job) && !isRunning(job) && !isWithPullDp(job);
}

/** The job in its next state; a move that is not in the table is a bug and throws. */
export function moved(
  job: DistributionJob,
  to: JobState,
  changes: Partial<Omit<DistributionJob, 'state' | 'jobSerial'>> & { updatedAtMs: number },
): DistributionJob {
  const allowed: readonly JobState[] = jobMovesFrom[job.state];
  if (!allowed.includes(to)) throw new Error(`Job ${job.jobSerial}: no move ${job.state} → ${to}`);
  const { waitingReason: _, ...rest } = job;
  return { ...rest, ...changes, state: to };
}

/** The job as one that no pull DP has; what it was asked and told before is forgotten with that. */
export function takenBack(job: DistributionJob): DistributionJob {
  const { sendAction: _, pollCount: __, toldHash: ___, ...rest } = job;
  return rest;
}

/** The job after a try that an administrator had let run: its next one heeds the schedule again. */
export function heedingWindow(job: DistributionJob): DistributionJob {
  const { ignoresWindow: _, ...rest } = job;
  return rest;
}

/** Whether the job may be started, as soon as there is room and its time has come. */
export function isStartable(job: DistributionJob): boolean {
  if (isWithPullDp(job)) return false;
  return job.state === 'pending' || job.state === 'ready' || job.state === 'pending-restart';
}

/** Whether something is still to be reported of the job, and the job that has. */
export function reporting(
  job: DistributionJob,
  what: string,
): { readonly isNews: boolean; readonly job: DistributionJob } {
  const reported = job.reported ?? [];
  if (reported.includes(what) || reported.length >= reportedCountMax) return { isNews: false, job };
  return { isNews: true, job: { ...job, reported: [...reported, what] } };
}

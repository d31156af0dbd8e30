import {
  type DistributionJob,
  isOpen,
  isWithPullDp,
  moved,
  takenBack,
} from './distribution-job.ts';

/** Which open jobs an administrator means; what is absent does not matter. */
export interface JobSelection {
  /** Named by their numbers: then nothing else is set. */
  readonly jobSerials?: readonly number[];
  readonly packageId?: string;
  /** Of one of these DPs. */
  readonly dpIds?: ReadonlySet<string>;
  /** Whose last try failed. */
  readonly failedOnly?: boolean;
  /** Made longer ago than this. */
  readonly olderThanMs?: number;
}

/** What a command does to jobs. */
export type SteeringVerb = 'move' | 'suspend' | 'resume' | 'run' | 'cancel';

/** Whether a job is among those that are meant. */
export function isSelected(job: DistributionJob, selection: JobSelection, nowMs: number): boolean {
  const { jobSerials, packageId, dpIds, failedOnly, olderThanMs } = selection;
  if (jobSerials) return jobSerials.includes(job.jobSerial);
  if (packageId !== undefined && job.packageId !== packageId) return false;
  if (dpIds && !dpIds.has(job.dpId)) return false;
  if (failedOnly && !hasFailedTry(job)) return false;
  return olderThanMs === undefined || nowMs - job.createdAtMs > olderThanMs;
}

/**
 * Why a command means nothing for a job, as the state that would be needed; undefined when it does
 * something, or when what it asks for is so already.
 */
export function stateNeeded(verb: SteeringVerb, job: DistributionJob): string | undefined {
  if (!isOpen(job))
    return verb === 'run' ? 'open ("waybill retry" runs failed ones again)' : 'open';
  // It is the end of an order that was cancelled: there is nothing about it to change.
  if (job.action === 'cancel') return verb === 'run' ? undefined : 'not a cancellation itself';
  return verb === 'resume' && job.state !== 'suspended' ? 'suspended' : undefined;
}

/** Whether a command would change anything about an open job. */
export function isSteerable(verb: SteeringVerb, job: DistributionJob): boolean {
  if (stateNeeded(verb, job) !== undefined) return false;
  return verb !== 'suspend' || job.state !== 'suspended';
}

/** Whether its DP may have been told of the job: only then must the DP hear of its end. */
export function wasTold({ startedAtMs }: DistributionJob): boolean {
  return startedAtMs > 0;
}

/** The job until an administrator resumes it. What has arrived at the DP stays there. */
export function toSuspended(job: DistributionJob, nowMs: number): DistributionJob {
  const reason = 'Suspended by an administrator';
  const wait = { waitingReason: 'suspended', reason, restartAtMs: 0, updatedAtMs: nowMs } as const;
  return moved(takenBack(job), 'suspended', wait);
}

/** The job once it may go on: due at once. */
export function toResumed(job: DistributionJob, nowMs: number): DistributionJob {
  // One that was begun may hear from its DP at any time: it is not one that is new.
  const state = wasTold(job) ? 'pending-restart' : 'pending';
  return moved(job, state, { reason: '', restartAtMs: 0, updatedAtMs: nowMs });
}

/** The job as one that is due now, whatever the schedule says; one that runs goes on. */
export function toRunNow(job: DistributionJob, nowMs: number): DistributionJob {
  const resumed = job.state === 'suspended' ? toResumed(job, nowMs) : job;
  const due = { ...resumed, ignoresWindow: true, updatedAtMs: nowMs } as const;
  if (isWithPullDp(due)) {
    const again = { reason: '', restartAtMs: 0, updatedAtMs: nowMs };
    return moved(takenBack(due), 'pending-restart', again);
  }
  return { ...due, restartAtMs: 0 };
}

/** The order for the DP that nothing of a job is to be committed any more. */
export function toCancelJob(
  { jobSerial: cancels, packageId, dpId, sourceVersion, ...job }: DistributionJob,
  facts: { readonly jobSerial: number; readonly nowMs: number },
): DistributionJob {
  const { jobSerial, nowMs } = facts;
  return {
    ...{
      jobSerial,
      packageId,
      sourceVersion,
      dpId,
      action: 'cancel',
      state: 'pending',
      reason: '',
    },
    ...{ priority: job.priority, dpPriority: job.dpPriority, order: 0 },
    ...{ createdAtMs: nowMs, startedAtMs: 0, updatedAtMs: nowMs, restartAtMs: 0, tryCount: 0 },
    ...{ totalBytes: 0, remainingBytes: 0, bytesSent: 0, endedAtMs: 0 },
    cancels,
  };
}

function hasFailedTry({ state, tryCount, reason }: DistributionJob): boolean {
  return state === 'pending-restart' && tryCount > 0 && reason !== '';
}

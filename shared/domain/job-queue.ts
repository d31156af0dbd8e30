import type { DistributionJob, WaitingReason } from './distribution-job.ts';
import { isOpen, isRunning } from './distribution-job.ts';

/** How many transfers a site runs at once (PTM-2). */
export interface JobQueueLimits {
  /** Packages being sent at once. @default 3 */
  readonly packagesMax: number;
  /** Distribution points one package is sent to at once. @default 5 */
  readonly distributionPointsPerPackageMax: number;
}

/** Why an open job does not run, and where it stands. */
export interface QueuePlace {
  /** From 1, over all jobs that do not run. */
  readonly place: number;
  readonly waitingReason: WaitingReason;
}

export interface QueueDecision {
  /** Jobs to start now, first one first. */
  readonly start: readonly DistributionJob[];
  /** Every other job that does not run, by serial. */
  readonly waiting: ReadonlyMap<number, QueuePlace>;
  /** When the next job becomes due by itself; undefined when none will. */
  readonly nextDueMs: number | undefined;
}

/**
 * Order of the queue (PTM-3): package priority, DP priority, administrator's order, age.
 * @see the seeds' "Concurrent distribution settings"
 */
export function compareJobs(a: DistributionJob, b: DistributionJob): number {
  return (
    a.priority - b.priority ||
    a.dpPriority - b.dpPriority ||
    a.order - b.order ||
    a.jobSerial - b.jobSerial
  );
}

/** Decides which jobs start now and why the others wait. Never starts two for one package and DP. */
export function decideQueue(
  jobs: Iterable<DistributionJob>,
  limits: JobQueueLimits,
  nowMs: number,
): QueueDecision {
  const open = [...jobs].filter(isOpen).sort(compareJobs);
  const slots = new Slots(open.filter(isRunning), limits);
  const start: DistributionJob[] = [];
  const waiting = new Map<number, QueuePlace>();
  let nextDueMs: number | undefined;
  for (const job of open) {
    if (isRunning(job)) continue;
    const reason = waitingReasonOf(job, nowMs) ?? (slots.take(job) ? undefined : 'slot');
    if (reason === undefined) {
      start.push(job);
      continue;
    }
    waiting.set(job.jobSerial, { place: waiting.size + 1, waitingReason: reason });
    if (reason !== 'slot' && reason !== 'suspended') {
      nextDueMs = Math.min(nextDueMs ?? Number.POSITIVE_INFINITY, job.restartAtMs);
    }
  }
  return { start, waiting, nextDueMs };
}

/** Why the job could not start even with every slot free. */
function waitingReasonOf(job: DistributionJob, nowMs: number): WaitingReason | undefined {
  if (job.state === 'suspended') return 'suspended';
  return job.restartAtMs > nowMs ? (job.waitingReason ?? 'retry-at') : undefined;
}

class Slots {
  readonly #limits: JobQueueLimits;
  readonly #dpIdsOf = new Map<string, Set<string>>();

  constructor(running: readonly DistributionJob[], limits: JobQueueLimits) {
    this.#limits = limits;
    for (const job of running) this.#dpIds(job.packageId).add(job.dpId);
  }

  take(job: DistributionJob): boolean {
    const taken = this.#dpIdsOf.get(job.packageId);
    if (taken === undefined && this.#dpIdsOf.size >= this.#limits.packagesMax) return false;
    if (taken?.has(job.dpId)) return false;
    if ((taken?.size ?? 0) >= this.#limits.distributionPointsPerPackageMax) return false;
    this.#dpIds(job.packageId).add(job.dpId);
    return true;
  }

  #dpIds(packageId: string): Set<string> {
    const dpIds = this.#dpIdsOf.get(packageId) ?? new Set<string>();
    this.#dpIdsOf.set(packageId, dpIds);
    return dpIds;
  }
}

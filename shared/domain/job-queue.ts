import type { DistributionJob, WaitingReason } from './distribution-job.ts';
import { isOpen, isRunning, isWithPullDp } from './distribution-job.ts';

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

/** What the queue has to know of pull DPs (PULL-2). */
export interface PullQueue {
  readonly isPullDp: (dpId: string) => boolean;
  /** Notifications, and removals at pull DPs, at once. @default 20 */
  readonly notificationsMax: number;
  /** Jobs one pull DP has at once. @default 50 */
  readonly jobsMax: number;
}

const noPullDps: PullQueue = { isPullDp: () => false, notificationsMax: 0, jobsMax: 0 };

/**
 * Decides which jobs start now and why the others wait. Never starts two for one package and DP. A
 * job that a pull DP has is neither started nor does it wait here: it counts against the capacity of
 * its DP only. Takes time for sorting, and once through all jobs.
 */
export function decideQueue(
  jobs: Iterable<DistributionJob>,
  limits: JobQueueLimits,
  nowMs: number,
  pull = noPullDps,
): QueueDecision {
  const open = [...jobs].filter(isOpen).sort(compareJobs);
  const isPullJob = ({ dpId }: DistributionJob) => pull.isPullDp(dpId);
  const running = open.filter(isRunning);
  const moving = running.filter((job) => !isCancel(job));
  const cancels = new CancelPlaces(running.length - moving.length);
  const slots = new Slots(
    moving.filter((job) => !isPullJob(job)),
    limits,
  );
  const places = new PullPlaces(pull);
  for (const job of open) if (isWithPullDp(job)) places.addWithDp(job);
  for (const job of moving) if (isPullJob(job)) places.addRunning(job);
  const start: DistributionJob[] = [];
  const waiting = new Map<number, QueuePlace>();
  let nextDueMs: number | undefined;
  for (const job of open) {
    if (isRunning(job) || isWithPullDp(job)) continue;
    const refused = () => {
      if (isCancel(job)) return cancels.take();
      return isPullJob(job) ? places.take(job) : slots.take(job);
    };
    const reason = waitingReasonOf(job, nowMs) ?? refused();
    if (reason === undefined) {
      start.push(job);
      continue;
    }
    waiting.set(job.jobSerial, { place: waiting.size + 1, waitingReason: reason });
    if (job.state !== 'suspended' && job.restartAtMs > nowMs) {
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

function isCancel({ action }: DistributionJob): boolean {
  return action === 'cancel';
}

/** DPs that are told at once that a job was cancelled: a short word, for which no slot is waited. */
const cancelsMax = 20;

class CancelPlaces {
  #count: number;

  constructor(runningCount: number) {
    this.#count = runningCount;
  }

  /** @returns why the word has to wait; undefined when it goes now */
  take(): WaitingReason | undefined {
    if (this.#count >= cancelsMax) return 'slot';
    this.#count += 1;
    return undefined;
  }
}

/** The places of jobs for pull DPs: how many notifications at once, how many jobs with each DP. */
class PullPlaces {
  readonly #pull: PullQueue;
  /** Jobs that each DP has, those that are just being handed to it included. */
  readonly #countOf = new Map<string, number>();
  readonly #notifiedDpIds = new Set<string>();
  readonly #targets = new Set<string>();
  #runningCount = 0;

  constructor(pull: PullQueue) {
    this.#pull = pull;
  }

  addWithDp({ dpId }: DistributionJob): void {
    this.#countOf.set(dpId, (this.#countOf.get(dpId) ?? 0) + 1);
  }

  addRunning(job: DistributionJob): void {
    this.#runningCount += 1;
    this.#targets.add(targetOf(job));
    // A removal is no notification: the DP does it while it is asked to.
    if (job.action === 'remove') return;
    this.addWithDp(job);
    this.#notifiedDpIds.add(job.dpId);
  }

  /** @returns why the job cannot run; undefined when it has its place now */
  take(job: DistributionJob): WaitingReason | undefined {
    const isRemoval = job.action === 'remove';
    const isFull = (this.#countOf.get(job.dpId) ?? 0) >= this.#pull.jobsMax;
    if (isFull && !isRemoval) return 'capacity';
    if (this.#runningCount >= this.#pull.notificationsMax) return 'slot';
    if (this.#targets.has(targetOf(job))) return 'slot';
    if (this.#notifiedDpIds.has(job.dpId) && !isRemoval) return 'slot';
    this.addRunning(job);
    return undefined;
  }
}

function targetOf({ packageId, dpId }: DistributionJob): string {
  return `${packageId}/${dpId}`;
}

class Slots {
  readonly #limits: JobQueueLimits;
  readonly #dpIdsOf = new Map<string, Set<string>>();

  constructor(running: readonly DistributionJob[], limits: JobQueueLimits) {
    this.#limits = limits;
    for (const job of running) this.#dpIds(job.packageId).add(job.dpId);
  }

  /** @returns why the job cannot run; undefined when it has its slot now */
  take(job: DistributionJob): WaitingReason | undefined {
    const taken = this.#dpIdsOf.get(job.packageId);
    if (taken === undefined && this.#dpIdsOf.size >= this.#limits.packagesMax) return 'slot';
    if (taken?.has(job.dpId)) return 'slot';
    if ((taken?.size ?? 0) >= this.#limits.distributionPointsPerPackageMax) return 'slot';
    this.#dpIds(job.packageId).add(job.dpId);
    return undefined;
  }

  #dpIds(packageId: string): Set<string> {
    const dpIds = this.#dpIdsOf.get(packageId) ?? new Set<string>();
    this.#dpIdsOf.set(packageId, dpIds);
    return dpIds;
  }
}

import { CancelPlaces, isCancel } from './cancel-places.ts';
import type { DistributionJob, WaitingReason } from './distribution-job.ts';
import { heedsWindow, isOpen, isRunning, isWithPullDp } from './distribution-job.ts';
import { type JobQueueLimits, JobSlots } from './job-slots.ts';
import type { Priority } from './package.ts';
import { isValidation, ValidationPlaces } from './validation-places.ts';

/** Why an open job does not run, and where it stands. */
export interface QueuePlace {
  /** From 1, over all jobs that do not run. */
  readonly place: number;
  readonly waitingReason: WaitingReason;
  /** Of a closed window: when it opens; absent when it never does. */
  readonly opensAtMs?: number;
}

export interface QueueDecision {
  /** Jobs to start now, first one first. */
  readonly start: readonly DistributionJob[];
  /** Running jobs to interrupt: others, of higher priority, get their places when these are free. */
  readonly giveWay: readonly DistributionJob[];
  /** Every other job that does not run, by serial. */
  readonly waiting: ReadonlyMap<number, QueuePlace>;
  /** When the next job becomes due, or its window opens; undefined when none will. */
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
  /** Jobs one pull DP has at once; twice as many if it keeps jobs of lower priority for its hours. @default 50 */
  readonly jobsMax: number;
}

/** What the queue has to know of what is around it. */
export interface QueueSurroundings {
  /** Without pull DPs when it is absent. */
  readonly pull?: PullQueue;
  /**
   * When the way to the job's DP is open to it (PTM-5): now or earlier, later, or, undefined, never.
   * Always open when it is absent.
   */
  readonly opensAtMs?: (job: DistributionJob, nowMs: number) => number | undefined;
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
  { pull = noPullDps, opensAtMs = () => nowMs }: QueueSurroundings = {},
): QueueDecision {
  const open = [...jobs].filter(isOpen).sort(compareJobs);
  const isPullJob = ({ dpId }: DistributionJob) => pull.isPullDp(dpId);
  const allRunning = open.filter(isRunning);
  const validations = new ValidationPlaces(allRunning.filter(isValidation));
  const running = allRunning.filter((job) => !isValidation(job));
  const moving = running.filter((job) => !isCancel(job));
  const cancels = new CancelPlaces(open.filter(isCancel));
  const slots = new JobSlots(
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
    const opening = heedsWindow(job) && !isPullJob(job) ? opensAtMs(job, nowMs) : nowMs;
    const refused = () => {
      if (isValidation(job)) return validations.take(job);
      if (isCancel(job)) return cancels.take(job);
      return isPullJob(job) ? places.take(job) : slots.take(job);
    };
    const reason = waitingReasonOf(job, nowMs, opening) ?? refused();
    if (reason === undefined) {
      start.push(job);
      continue;
    }
    const place = { place: waiting.size + 1, waitingReason: reason };
    const isClosed = reason === 'window-closed' && opening !== undefined;
    waiting.set(job.jobSerial, isClosed ? { ...place, opensAtMs: opening } : place);
    const dueMs = isClosed ? opening : job.restartAtMs;
    if (reason !== 'suspended' && dueMs > nowMs) {
      nextDueMs = Math.min(nextDueMs ?? Number.POSITIVE_INFINITY, dueMs);
    }
  }
  return { start, giveWay: slots.givingWay, waiting, nextDueMs };
}

/** Why the job could not start even with every slot free. */
function waitingReasonOf(
  job: DistributionJob,
  nowMs: number,
  opensAtMs: number | undefined,
): WaitingReason | undefined {
  if (job.state === 'suspended') return 'suspended';
  if (job.restartAtMs > nowMs) return job.waitingReason ?? 'retry-at';
  return opensAtMs === undefined || opensAtMs > nowMs ? 'window-closed' : undefined;
}

/** The places of jobs for pull DPs: how many notifications at once, how many jobs with each DP. */
class PullPlaces {
  readonly #pull: PullQueue;
  /** Jobs that each DP has, those that are just being handed to it included. */
  readonly #countOf = new Map<string, number>();
  /** Those of them that wait for the DP's hours, by DP and priority. */
  readonly #closedCountOf = new Map<string, number>();
  readonly #notifiedDpIds = new Set<string>();
  readonly #targets = new Set<string>();
  #runningCount = 0;

  constructor(pull: PullQueue) {
    this.#pull = pull;
  }

  addWithDp({ dpId, priority, waitingReason }: DistributionJob): void {
    addOne(this.#countOf, dpId);
    if (waitingReason === 'window-closed') addOne(this.#closedCountOf, `${dpId}/${priority}`);
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
    if (!isRemoval && this.#isFull(job)) return 'capacity';
    if (this.#runningCount >= this.#pull.notificationsMax) return 'slot';
    if (this.#targets.has(targetOf(job))) return 'slot';
    if (this.#notifiedDpIds.has(job.dpId) && !isRemoval) return 'slot';
    this.addRunning(job);
    return undefined;
  }

  /** What waits for the DP's hours stands in the way of no higher priority, up to twice the capacity. */
  #isFull({ dpId, priority }: DistributionJob): boolean {
    const { jobsMax } = this.#pull;
    const count = this.#countOf.get(dpId) ?? 0;
    if (count < jobsMax) return false;
    const lower = priorities.filter((one) => one > priority);
    const closed = lower.map((one) => this.#closedCountOf.get(`${dpId}/${one}`) ?? 0);
    const closedCount = closed.reduce((sum, one) => sum + one, 0);
    return count >= 2 * jobsMax || count - closedCount >= jobsMax;
  }
}

const priorities = [1, 2, 3] as const satisfies readonly Priority[];

function addOne(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function targetOf({ packageId, dpId }: DistributionJob): string {
  return `${packageId}/${dpId}`;
}

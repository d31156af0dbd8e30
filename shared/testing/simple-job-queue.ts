import { cancelsPerDpMax, isCancel } from '../domain/cancel-places.ts';
import {
  bringsContent,
  type DistributionJob,
  heedsWindow,
  isOpen,
  isRunning,
  isWithPullDp,
  type WaitingReason,
} from '../domain/distribution-job.ts';
import { compareJobs } from '../domain/job-order.ts';
import type { QueueDecision, QueuePlace, QueueSurroundings } from '../domain/job-queue.ts';
import type { JobQueueLimits } from '../domain/job-slots.ts';
import { type Priority, priorities } from '../domain/package.ts';
import type { PullQueue } from '../domain/pull-places.ts';
import { isValidation, validationsMax } from '../domain/validation-places.ts';

/** What is decided, and where every job stands that does not run and does not start. */
export interface SimpleDecision extends QueueDecision {
  /** By serial, in order. */
  readonly waiting: ReadonlyMap<number, QueuePlace>;
}

const noPullDps: PullQueue = { isPullDp: () => false, notificationsMax: 0, jobsMax: 0 };

/**
 * Decides the same as `JobQueue` does, from nothing but the jobs: goes through all of them, in their order.
 * What the queue decides is compared with this.
 *
 * @param jobs in any order
 */
export function decideSimply(
  jobs: Iterable<DistributionJob>,
  limits: JobQueueLimits,
  nowMs: number,
  { pull = noPullDps, opensAtMs = () => nowMs, bounds }: Omit<QueueSurroundings, 'limits'> = {},
): SimpleDecision {
  const queue = [...jobs].sort(compareJobs);
  const ways = new WaysToDps(pull);
  const look = (job: DistributionJob) => opensAtMs(job, nowMs);
  const places = new QueuePlaces(queue, limits, { pull, ways, bounds });
  const start: DistributionJob[] = [];
  const waiting = new WaitingJobs();
  let nextDueMs: number | undefined;
  for (const job of queue) {
    if (!isOpen(job) || isRunning(job) || isWithPullDp(job)) continue;
    const way = ways.of(job);
    const opening = heedsWindow(job) && !way.isPull ? way.openingFor(job, look) : nowMs;
    const reason = waitingReasonOf(job, nowMs, opening) ?? places.take(job, way);
    if (reason === undefined) {
      start.push(job);
      continue;
    }
    const isClosed = reason === 'window-closed' && opening !== undefined;
    waiting.add(job, reason, isClosed ? opening : undefined);
    const dueMs = isClosed ? opening : job.restartAtMs;
    if (reason !== 'suspended' && dueMs > nowMs) {
      nextDueMs = Math.min(nextDueMs ?? Number.POSITIVE_INFINITY, dueMs);
    }
  }
  return {
    ...{ start, giveWay: places.givingWay, nextDueMs, withoutRoom: waiting.withoutRoom },
    get waiting() {
      return waiting.places;
    },
  };
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

/** What is the same for all jobs of a DP. */
class WayToDp {
  readonly isPull: boolean;
  readonly #openings = new Map<Priority, number | undefined>();

  constructor(isPull: boolean) {
    this.isPull = isPull;
  }

  /** When it opens to jobs of the priority of this one: looked up once. */
  openingFor(
    job: DistributionJob,
    look: (job: DistributionJob) => number | undefined,
  ): number | undefined {
    const known = this.#openings.get(job.priority);
    if (known !== undefined || this.#openings.has(job.priority)) return known;
    const opening = look(job);
    this.#openings.set(job.priority, opening);
    return opening;
  }
}

class WaysToDps {
  readonly #isPullDp: PullQueue['isPullDp'];
  readonly #ways = new Map<string, WayToDp>();

  constructor({ isPullDp }: PullQueue) {
    this.#isPullDp = isPullDp;
  }

  of({ dpId }: DistributionJob): WayToDp {
    const known = this.#ways.get(dpId);
    if (known) return known;
    const way = new WayToDp(this.#isPullDp(dpId));
    this.#ways.set(dpId, way);
    return way;
  }
}

/** The places of all kinds of jobs: each kind has its own. */
class QueuePlaces {
  readonly #validations: ValidationPlaces;
  readonly #cancels: CancelPlaces;
  readonly #pulls: PullPlaces;
  readonly #slots: JobSlots;

  constructor(
    queue: readonly DistributionJob[],
    limits: JobQueueLimits,
    around: {
      readonly pull: PullQueue;
      readonly ways: WaysToDps;
      readonly bounds: QueueSurroundings['bounds'];
    },
  ) {
    const { pull, ways, bounds } = around;
    const cancels: DistributionJob[] = [];
    const running: DistributionJob[] = [];
    this.#pulls = new PullPlaces(pull);
    for (const job of queue) {
      if (isWithPullDp(job)) this.#pulls.addWithDp(job);
      else if (isCancel(job) && isOpen(job)) cancels.push(job);
      else if (isRunning(job)) running.push(job);
    }
    const moving = running.filter((job) => !isValidation(job));
    for (const job of moving) if (ways.of(job).isPull) this.#pulls.addRunning(job);
    this.#cancels = new CancelPlaces(cancels);
    this.#validations = new ValidationPlaces(running.filter(isValidation), bounds?.validationsMax);
    this.#slots = new JobSlots(
      moving.filter((job) => !ways.of(job).isPull),
      limits,
    );
  }

  /** Running jobs that are to be interrupted. */
  get givingWay(): readonly DistributionJob[] {
    return this.#slots.givingWay;
  }

  /** To be asked in the order of the queue. @returns why the job cannot run; undefined when it has its place now */
  take(job: DistributionJob, { isPull }: WayToDp): WaitingReason | undefined {
    if (isValidation(job)) return this.#validations.take(job);
    if (isCancel(job)) return this.#cancels.take(job);
    return isPull ? this.#pulls.take(job) : this.#slots.take(job);
  }
}

/** Jobs that wait, in the order of the queue. Their places are made when they are asked for: seldom. */
class WaitingJobs {
  readonly withoutRoom: DistributionJob[] = [];
  readonly #serials: number[] = [];
  readonly #reasons: WaitingReason[] = [];
  /** By serial, of those whose way opens at a known time. */
  readonly #openings = new Map<number, number>();
  #places: Map<number, QueuePlace> | undefined;

  add(job: DistributionJob, reason: WaitingReason, opensAtMs: number | undefined): void {
    this.#serials.push(job.jobSerial);
    this.#reasons.push(reason);
    if (opensAtMs !== undefined) this.#openings.set(job.jobSerial, opensAtMs);
    if (reason === 'capacity') this.withoutRoom.push(job);
  }

  get places(): ReadonlyMap<number, QueuePlace> {
    this.#places ??= new Map(
      this.#reasons.map((waitingReason, index) => {
        const serial = this.#serials[index] ?? 0;
        const opensAtMs = this.#openings.get(serial);
        const opening = opensAtMs === undefined ? {} : { opensAtMs };
        return [serial, { place: index + 1, waitingReason, ...opening }];
      }),
    );
    return this.#places;
  }
}

/**
 * The places of words that a job was cancelled (PKG-9): short calls, for which no slot is waited. Each DP
 * has places of its own, so that none waits for another one that is away.
 */
class CancelPlaces {
  readonly #runningOf = new Map<string, number>();
  /** DPs that have not answered such a word. */
  readonly #silentDpIds = new Set<string>();

  /** @param cancels all that are open, those that run included */
  constructor(cancels: Iterable<DistributionJob>) {
    for (const job of cancels) {
      if (isRunning(job)) this.#add(job.dpId);
      const triesNow = isRunning(job) ? 1 : 0;
      if (job.tryCount > triesNow) this.#silentDpIds.add(job.dpId);
    }
  }

  /** @returns why the word has to wait; undefined when it goes now */
  take({ dpId }: DistributionJob): 'slot' | undefined {
    const countMax = this.#silentDpIds.has(dpId) ? 1 : cancelsPerDpMax;
    if ((this.#runningOf.get(dpId) ?? 0) >= countMax) return 'slot';
    this.#add(dpId);
    return undefined;
  }

  #add(dpId: string): void {
    this.#runningOf.set(dpId, (this.#runningOf.get(dpId) ?? 0) + 1);
  }
}

/**
 * A job overtakes running ones only while it has not tried in vain more often in a row: what a DP that
 * fails again and again would gain is less than what the others lose.
 */
const fruitlessTriesMax = 2;

/**
 * The places of running transfers, and who gives one up for a job of higher priority (PTM-3): all jobs
 * of the running package of lowest priority, since its place is one. Only a higher package priority
 * takes a place, so that none is taken back.
 */
class JobSlots {
  readonly #limits: JobQueueLimits;
  /** By package: the DPs it is sent to, or will be as soon as others have given way. */
  readonly #dpIdsOf = new Map<string, Set<string>>();
  /** By package: what runs of it; both first in the queue first. */
  readonly #runningOf = new Map<string, DistributionJob[]>();
  /** Packages of which a job begins now: they give nothing up. */
  readonly #beginning = new Set<string>();
  /** Packages whose place is free when others have given it up. */
  readonly #promised = new Set<string>();
  readonly #givingWay: DistributionJob[] = [];
  /** Nothing that runs gives way to this priority, nor to a lower one. */
  #overtakesNone = Number.POSITIVE_INFINITY;

  /** @param running in the order of the queue */
  constructor(running: readonly DistributionJob[], limits: JobQueueLimits) {
    this.#limits = limits;
    for (const job of running) {
      this.#dpIds(job.packageId).add(job.dpId);
      this.#runningOf.set(job.packageId, [...(this.#runningOf.get(job.packageId) ?? []), job]);
    }
  }

  /** Running jobs that are to be interrupted, for what did not get a place. */
  get givingWay(): readonly DistributionJob[] {
    return this.#givingWay;
  }

  /**
   * To be asked in the order of the queue.
   *
   * @returns why the job cannot run now; undefined when it has its slot
   */
  take(job: DistributionJob): WaitingReason | undefined {
    const { packageId } = job;
    if (!this.#hasRoom(job) && !this.#overtakes(job)) return 'slot';
    this.#dpIds(packageId).add(job.dpId);
    if (this.#promised.has(packageId)) return 'slot';
    this.#beginning.add(packageId);
    return undefined;
  }

  #hasRoom({ packageId, dpId }: DistributionJob): boolean {
    const taken = this.#dpIdsOf.get(packageId);
    if (!taken) return this.#dpIdsOf.size < this.#limits.packagesMax;
    return !taken.has(dpId) && taken.size < this.#limits.distributionPointsPerPackageMax;
  }

  /** Whether others give a place up for the job. */
  #overtakes(job: DistributionJob): boolean {
    if (job.priority >= this.#overtakesNone || job.tryCount > fruitlessTriesMax) return false;
    if (this.#dpIdsOf.has(job.packageId)) return false;
    const [packageId, jobs = []] = this.#lastPackageAfter(job) ?? [];
    if (packageId === undefined) {
      this.#overtakesNone = job.priority;
      return false;
    }
    this.#dpIdsOf.delete(packageId);
    this.#runningOf.delete(packageId);
    this.#givingWay.push(...jobs);
    this.#promised.add(job.packageId);
    return true;
  }

  /** Of the running packages of lower priority the last one in the queue. */
  #lastPackageAfter(job: DistributionJob): [string, DistributionJob[]] | undefined {
    return [...this.#runningOf]
      .filter(([packageId]) => !this.#beginning.has(packageId))
      .filter(([, jobs]) => jobs.every((one) => givesWayTo(job, one)))
      .at(-1);
  }

  #dpIds(packageId: string): Set<string> {
    const dpIds = this.#dpIdsOf.get(packageId) ?? new Set<string>();
    this.#dpIdsOf.set(packageId, dpIds);
    return dpIds;
  }
}

/** What brings nothing is over soon, and has nothing to go on with. */
function givesWayTo({ priority }: DistributionJob, running: DistributionJob): boolean {
  return running.priority > priority && bringsContent(running);
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

function addOne(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function targetOf({ packageId, dpId }: DistributionJob): string {
  return `${packageId}/${dpId}`;
}

/** The places of validations: one on each DP, so many on all. They take none from what brings content. */
class ValidationPlaces {
  readonly #dpIds = new Set<string>();
  readonly #countMax: number;

  /** @param running validations that run */
  constructor(running: readonly DistributionJob[], countMax = validationsMax) {
    this.#countMax = countMax;
    for (const { dpId } of running) this.#dpIds.add(dpId);
  }

  /** @returns why the job cannot run; undefined when it has its place now */
  take({ dpId }: DistributionJob): 'slot' | undefined {
    if (this.#dpIds.size >= this.#countMax || this.#dpIds.has(dpId)) return 'slot';
    this.#dpIds.add(dpId);
    return undefined;
  }
}

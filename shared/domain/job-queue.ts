import { CancelPlaces, isCancel } from './cancel-places.ts';
import type { DistributionJob, WaitingReason } from './distribution-job.ts';
import { heedsWindow, isOpen, isRunning, isWithPullDp } from './distribution-job.ts';
import { type JobQueueLimits, JobSlots } from './job-slots.ts';
import type { Priority } from './package.ts';
import { PullPlaces, type PullQueue } from './pull-places.ts';
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
  /** Every other job that does not run, by serial; made when it is first asked for. */
  readonly waiting: ReadonlyMap<number, QueuePlace>;
  /** Those of them that wait until their pull DP has room. */
  readonly withoutRoom: readonly DistributionJob[];
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

/** What the queue has to know of what is around it. */
export interface QueueSurroundings {
  /** Without pull DPs when it is absent. */
  readonly pull?: PullQueue;
  /**
   * When the way to the job's DP is open to it (PTM-5): now or earlier, later, or, undefined, never.
   * Always open when it is absent. The same for all jobs of a DP and a priority.
   */
  readonly opensAtMs?: (job: DistributionJob, nowMs: number) => number | undefined;
}

const noPullDps: PullQueue = { isPullDp: () => false, notificationsMax: 0, jobsMax: 0 };

/**
 * Decides which jobs start now and why the others wait. Never starts two for one package and DP. A
 * job that a pull DP has is neither started nor does it wait here: it counts against the capacity of
 * its DP only. Goes through all jobs a few times, and asks once for each DP and priority when the way opens.
 *
 * @param queue in the order of `compareJobs`
 */
export function decideQueue(
  queue: readonly DistributionJob[],
  limits: JobQueueLimits,
  nowMs: number,
  { pull = noPullDps, opensAtMs = () => nowMs }: QueueSurroundings = {},
): QueueDecision {
  const ways = new WaysToDps(pull);
  const look = (job: DistributionJob) => opensAtMs(job, nowMs);
  const places = new QueuePlaces(queue, limits, pull, ways);
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
    pull: PullQueue,
    ways: WaysToDps,
  ) {
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
    this.#validations = new ValidationPlaces(running.filter(isValidation));
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

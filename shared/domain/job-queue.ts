import { CancelPlaces, isCancel } from './cancel-places.ts';
import type { DistributionJob, WaitingReason } from './distribution-job.ts';
import { heedsWindow, isOpen, isRunning, isWaiting, isWithPullDp } from './distribution-job.ts';
import { JobList } from './job-list.ts';
import { compareJobs } from './job-order.ts';
import { type JobQueueLimits, JobSlots } from './job-slots.ts';
import { JobWays, type OpensAtMs } from './job-ways.ts';
import { PullPlaces, type PullQueue } from './pull-places.ts';
import { SortedList } from './sorted-list.ts';
import { isValidation, ValidationPlaces } from './validation-places.ts';

/** Why an open job does not run. */
export interface QueueWait {
  readonly waitingReason: WaitingReason;
  /** Of a closed window: when it opens; absent when it never does. */
  readonly opensAtMs?: number;
}

/** Why an open job does not run, and where it stands. */
export interface QueuePlace extends QueueWait {
  /** From 1, over all jobs that do not run. */
  readonly place: number;
}

export interface QueueDecision {
  /** Jobs to start now, first one first. */
  readonly start: readonly DistributionJob[];
  /** Running jobs to interrupt: others, of higher priority, get their places when these are free. */
  readonly giveWay: readonly DistributionJob[];
  /** Jobs that wait until their pull DP has room, and whose rows do not say so; at most `withoutRoomMax`. */
  readonly withoutRoom: readonly DistributionJob[];
  /**
   * When the next job becomes due, or the way of one that could begin opens or is to be asked for again;
   * undefined when neither will.
   */
  readonly nextDueMs: number | undefined;
}

/** What the queue has to know of what is around it; it may change at any time. */
export interface QueueSurroundings {
  readonly limits: JobQueueLimits;
  /** Without pull DPs when it is absent. */
  readonly pull?: PullQueue;
  /** Always open when it is absent. */
  readonly opensAtMs?: OpensAtMs;
  readonly bounds?: QueueBounds;
}

/** What no administrator changes. */
export interface QueueBounds {
  /** Validations that run at once. @default 20 */
  readonly validationsMax: number;
  /** Jobs of which one decision says that their DPs have no room. @default 256 */
  readonly withoutRoomMax: number;
}

const noPullDps: PullQueue = { isPullDp: () => false, notificationsMax: 0, jobsMax: 0 };

/** What a job waits for, or takes, a place of. */
type JobKind = 'validation' | 'cancel' | 'pull' | 'slot';

/** The open jobs of a DP. */
interface QueuedDp {
  isPull: boolean;
  readonly jobs: Map<number, DistributionJob>;
}

/**
 * The open jobs of a site, and which of them start now. Told of each change of a job, it keeps them in
 * lists by what they wait for; so a decision looks at those that could begin and at what runs, however
 * many wait, and a change costs a few places in such lists. Never starts two for one package and DP. A job
 * that a pull DP has is neither started nor does it wait here: it counts against the capacity of its DP
 * only. Pure: knows no clock, and does nothing of what it decides. In memory only.
 */
export class JobQueue {
  readonly #pull: PullQueue;
  readonly #ways: JobWays;
  readonly #slots: JobSlots;
  readonly #pulls: PullPlaces;
  readonly #cancels = new CancelPlaces();
  readonly #validations: ValidationPlaces;
  readonly #dps = new Map<string, QueuedDp>();
  readonly #jobs = new Map<number, DistributionJob>();
  /** All that wait here. */
  readonly #waiting = new JobList();
  /** Those of them that wait, or have waited, for a time of their own. */
  readonly #timed = new SortedList<DistributionJob, DueTime>(
    (a, b) => a.restartAtMs - b.restartAtMs || a.jobSerial - b.jobSerial,
  );
  /** As of which jobs are due. */
  #nowMs = 0;

  constructor(surroundings: QueueSurroundings) {
    const { limits, pull = noPullDps, opensAtMs = (_, nowMs) => nowMs, bounds } = surroundings;
    this.#pull = pull;
    this.#ways = new JobWays(opensAtMs);
    this.#slots = new JobSlots(limits);
    this.#pulls = new PullPlaces(pull, bounds?.withoutRoomMax);
    this.#validations = new ValidationPlaces(bounds?.validationsMax);
  }

  /** How many wait here. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** The job is as it is given from now on; one that is not open is forgotten. */
  set(job: DistributionJob): void {
    this.delete(job.jobSerial);
    if (!isOpen(job)) return;
    const { dpId, jobSerial } = job;
    this.lookAtDp(dpId);
    const dp = this.#dps.get(dpId) ?? { isPull: this.#pull.isPullDp(dpId), jobs: new Map() };
    this.#dps.set(dpId, dp);
    dp.jobs.set(jobSerial, job);
    this.#jobs.set(jobSerial, job);
    this.#file(job, dp.isPull);
  }

  delete(jobSerial: number): void {
    const job = this.#jobs.get(jobSerial);
    const dp = job && this.#dps.get(job.dpId);
    if (!job || !dp) return;
    this.#unfile(job, dp.isPull);
    this.#jobs.delete(jobSerial);
    dp.jobs.delete(jobSerial);
    if (dp.jobs.size === 0) this.#dps.delete(job.dpId);
  }

  /** The DP may be of another kind now. */
  lookAtDp(dpId: string): void {
    const dp = this.#dps.get(dpId);
    const isPull = this.#pull.isPullDp(dpId);
    if (!dp || dp.isPull === isPull) return;
    for (const job of dp.jobs.values()) this.#unfile(job, dp.isPull);
    dp.isPull = isPull;
    for (const job of dp.jobs.values()) this.#file(job, isPull);
  }

  /** What is allowed on the ways to DPs may have changed. */
  waysChanged(): void {
    this.#ways.changed();
  }

  /** Decides which jobs start now. Changes nothing: what is done is to be told with `set`. */
  decide(nowMs: number): QueueDecision {
    this.#turnTo(nowMs);
    const slots = this.#slots.changes((job) => this.#isWayOpen(job, nowMs));
    const pulls = this.#pulls.starting();
    const start = [
      ...[...slots.start, ...pulls],
      ...[...this.#cancels.starting(), ...this.#validations.starting()],
    ].sort(compareJobs);
    const strangers = start.filter(({ dpId }) => this.#isOtherKind(dpId));
    for (const { dpId } of strangers) this.lookAtDp(dpId);
    if (strangers.length > 0) return this.decide(nowMs);
    const withoutRoom = this.#pulls.withoutRoom(pulls);
    return { start, giveWay: slots.giveWay, withoutRoom, nextDueMs: this.#nextDueMs };
  }

  /** Why a job waits; undefined of one that does not wait here. */
  waitOf(jobSerial: number, nowMs: number): QueueWait | undefined {
    const job = this.#jobs.get(jobSerial);
    if (!job || !isWaiting(job)) return undefined;
    if (job.state === 'suspended') return { waitingReason: 'suspended' };
    if (job.restartAtMs > nowMs) return { waitingReason: reasonUntilDue(job) };
    const kind = kindOf(job, this.#isPull(job));
    if (kind === 'pull') return { waitingReason: this.#hasRoom(job) ? 'slot' : 'capacity' };
    const opensAtMs = kind === 'slot' && heedsWindow(job) ? this.#ways.openingFor(job, nowMs) : 0;
    if (opensAtMs <= nowMs) return { waitingReason: 'slot' };
    const isKnown = opensAtMs !== Number.POSITIVE_INFINITY;
    return { waitingReason: 'window-closed', ...(isKnown && { opensAtMs }) };
  }

  /** Why a job waits and where it stands; undefined of one that does not wait here. */
  placeOf(jobSerial: number, nowMs: number): QueuePlace | undefined {
    const job = this.#jobs.get(jobSerial);
    const wait = this.waitOf(jobSerial, nowMs);
    return job && wait && { place: this.#waiting.countBefore(job) + 1, ...wait };
  }

  /** Up to so many that wait, in order, behind a job; the first ones without it. */
  waitingAfter(job: DistributionJob | undefined, countMax: number): DistributionJob[] {
    return this.#waiting.after(job, countMax);
  }

  get #nextDueMs(): number | undefined {
    const due = this.#timed.firstAfter(lastAt(this.#nowMs))?.restartAtMs;
    const look = this.#ways.nextLookMs;
    return due === undefined || look === undefined ? (due ?? look) : Math.min(due, look);
  }

  /** Jobs become due; and are so no more when the clock was set back. */
  #turnTo(nowMs: number): void {
    const [fromMs, toMs] = [this.#nowMs, nowMs].sort((a, b) => a - b) as [number, number];
    const isBack = nowMs < this.#nowMs;
    let job = this.#timed.firstAfter(lastAt(fromMs));
    for (; job && job.restartAtMs <= toMs; job = this.#timed.firstAfter(job)) {
      if (isBack) this.#isReadyNoMore(job, this.#isPull(job));
      else this.#isReady(job, this.#isPull(job));
    }
    this.#nowMs = nowMs;
    for (const one of this.#ways.opened(nowMs, isBack)) this.#slots.addReady(one);
  }

  /** Where the job belongs, of all lists. */
  #file(job: DistributionJob, isPull: boolean): void {
    const kind = kindOf(job, isPull);
    if (isWithPullDp(job) || (kind === 'pull' && isRunning(job))) this.#pulls.addTaken(job);
    else if (kind === 'cancel') this.#cancels.addOpen(job);
    else if (isRunning(job)) this.#runningOf(kind).addRunning(job);
    if (!isWaiting(job)) return;
    this.#waiting.put(job);
    if (job.state === 'suspended') return;
    if (job.restartAtMs > 0) this.#timed.put(job);
    if (job.restartAtMs <= this.#nowMs) this.#isReady(job, isPull);
  }

  /** The counterpart of `#file`. */
  #unfile(job: DistributionJob, isPull: boolean): void {
    const kind = kindOf(job, isPull);
    if (isWithPullDp(job) || (kind === 'pull' && isRunning(job))) this.#pulls.deleteTaken(job);
    else if (kind === 'cancel') this.#cancels.deleteOpen(job);
    else if (isRunning(job)) this.#runningOf(kind).deleteRunning(job);
    if (!isWaiting(job)) return;
    this.#waiting.delete(job);
    if (job.state === 'suspended') return;
    if (job.restartAtMs > 0) this.#timed.delete(job);
    if (job.restartAtMs <= this.#nowMs) this.#isReadyNoMore(job, isPull);
  }

  #isReady(job: DistributionJob, isPull: boolean): void {
    const kind = kindOf(job, isPull);
    if (kind === 'slot' && heedsWindow(job) && this.#ways.keptBack(job)) return;
    this.#readyOf(kind).addReady(job);
  }

  #isReadyNoMore(job: DistributionJob, isPull: boolean): void {
    const kind = kindOf(job, isPull);
    this.#readyOf(kind).deleteReady(job);
    if (kind === 'slot') this.#ways.delete(job);
  }

  #isWayOpen(job: DistributionJob, nowMs: number): boolean {
    if (!heedsWindow(job) || this.#ways.isOpen(job, nowMs)) return true;
    this.#slots.deleteReady(job);
    return false;
  }

  #readyOf(kind: JobKind) {
    if (kind === 'validation') return this.#validations;
    if (kind === 'cancel') return this.#cancels;
    return kind === 'pull' ? this.#pulls : this.#slots;
  }

  #runningOf(kind: JobKind) {
    return kind === 'validation' ? this.#validations : this.#slots;
  }

  #hasRoom(job: DistributionJob): boolean {
    return job.action === 'remove' || !this.#pulls.isFull(job);
  }

  #isPull({ dpId }: DistributionJob): boolean {
    return this.#dps.get(dpId)?.isPull ?? false;
  }

  #isOtherKind(dpId: string): boolean {
    const dp = this.#dps.get(dpId);
    return dp !== undefined && dp.isPull !== this.#pull.isPullDp(dpId);
  }
}

function kindOf(job: DistributionJob, isPull: boolean): JobKind {
  if (isValidation(job)) return 'validation';
  if (isCancel(job)) return 'cancel';
  return isPull ? 'pull' : 'slot';
}

/** What its row says it waits for until its time; an hour of its DP has no such time. */
function reasonUntilDue({ waitingReason = 'retry-at' }: DistributionJob): WaitingReason {
  return waitingReason === 'window-closed' ? 'retry-at' : waitingReason;
}

/** A place behind all jobs that are due at a time. */
function lastAt(restartAtMs: number): DueTime {
  return { restartAtMs, jobSerial: Number.POSITIVE_INFINITY };
}

type DueTime = Pick<DistributionJob, 'restartAtMs' | 'jobSerial'>;

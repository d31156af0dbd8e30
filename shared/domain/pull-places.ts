import { type DistributionJob, isWithPullDp } from './distribution-job.ts';
import { JobGroups } from './job-groups.ts';
import { JobList } from './job-list.ts';
import { compareJobs, type JobPlace } from './job-order.ts';
import { type Priority, priorities } from './package.ts';

/** What the queue has to know of pull DPs (PULL-2). */
export interface PullQueue {
  readonly isPullDp: (dpId: string) => boolean;
  /** Notifications, and removals at pull DPs, at once. @default 20 */
  readonly notificationsMax: number;
  /** Jobs one pull DP has at once; twice as many if it keeps jobs of lower priority for its hours. @default 50 */
  readonly jobsMax: number;
}

/** Jobs of which one decision says that their DPs have no room; of others the next one says it. */
export const withoutRoomMax = 256;

/** What one pull DP has. */
interface PullLoad {
  /** Jobs it has, those that are just being handed to it included. */
  count: number;
  /** Those of them that wait for the DP's hours, by priority. */
  readonly closedCounts: Record<Priority, number>;
  /** Those that are just being handed to it. */
  notifyingCount: number;
}

/** The places of jobs for pull DPs: how many notifications at once, how many jobs with each DP. */
export class PullPlaces {
  readonly #pull: PullQueue;
  readonly #loads = new Map<string, PullLoad>();
  /** What could be handed over, by DP; those of DPs that take none now are held. */
  readonly #ready = new JobGroups(({ dpId }) => dpId);
  /** Those of them whose rows do not say yet that their DP has no room. */
  readonly #untold = new JobGroups(({ dpId }) => dpId);
  /** Removals that could run: a DP does one while it is asked to, whatever it has. */
  readonly #removals = new JobList();
  /** DPs of which it is to be looked at whether they have no room for what was not told so. */
  readonly #toTell = new Set<string>();
  /** What runs, by package and DP; one seldom has two. */
  readonly #runningFor = new Map<string, number>();
  #runningCount = 0;
  /** The limit by which DPs are held. */
  #jobsMax: number;
  readonly #toldMax: number;

  /** @param toldMax of so many jobs one decision says that their DPs have no room */
  constructor(pull: PullQueue, toldMax = withoutRoomMax) {
    this.#pull = pull;
    this.#toldMax = toldMax;
    this.#jobsMax = pull.jobsMax;
  }

  addReady(job: DistributionJob): void {
    if (isRemoval(job)) this.#removals.put(job);
    else {
      this.#ready.add(job);
      if (job.waitingReason !== 'capacity') this.#untold.add(job);
      this.#look(job.dpId);
    }
  }

  deleteReady(job: DistributionJob): void {
    if (isRemoval(job)) this.#removals.delete(job);
    else {
      this.#ready.delete(job);
      this.#untold.delete(job);
      this.#look(job.dpId);
    }
  }

  /** A job that runs, or that its DP has. */
  addTaken(job: DistributionJob): void {
    this.#take(job, 1);
  }

  deleteTaken(job: DistributionJob): void {
    this.#take(job, -1);
  }

  /** Whether the DP of a job has as many as it takes of this priority. */
  isFull({ dpId, priority }: DistributionJob): boolean {
    return this.#isFullFor(priority, this.#loads.get(dpId));
  }

  /**
   * Those that are handed over now, first one first. Looked at are these, and what is passed over since
   * the same package is just being taken to or from its DP.
   */
  starting(): DistributionJob[] {
    this.#heedLimit();
    const turn = new PullTurn(this.#ready, this.#removals, this.#runningFor);
    const start: DistributionJob[] = [];
    const left = this.#pull.notificationsMax - this.#runningCount;
    while (start.length < left) {
      const job = turn.next((one) => this.isFull(one));
      if (!job) break;
      start.push(job);
    }
    return start;
  }

  /**
   * Jobs that wait until their DP has room, and whose rows do not say so yet; of very many some. Looked at
   * are DPs of which something has changed.
   *
   * @param starting as `starting` has just given them: each takes room
   */
  withoutRoom(starting: readonly DistributionJob[]): DistributionJob[] {
    const added = starting.filter((job) => !isRemoval(job));
    const startOf = new Map(added.map((job) => [job.dpId, job]));
    const found: DistributionJob[] = [];
    for (const dpId of new Set([...this.#toTell, ...startOf.keys()])) {
      const some = this.#withoutRoomAt(dpId, startOf.get(dpId), this.#toldMax - found.length);
      found.push(...some);
      if (found.length >= this.#toldMax) break;
      // Until the rows say so.
      if (some.length === 0) this.#toTell.delete(dpId);
    }
    return found.sort(compareJobs);
  }

  #withoutRoomAt(dpId: string, starting: DistributionJob | undefined, countMax: number) {
    const load = this.#loads.get(dpId);
    const more = starting ? 1 : 0;
    const full = priorities.find((one) => this.#isFullFor(one, load, more));
    if (full === undefined) return [];
    // What stood before the one that starts had room, and was passed over for another reason.
    const before = beforeAllOf(full);
    const behind = starting && compareJobs(before, starting) < 0 ? starting : before;
    return this.#untold.someOf(dpId, countMax, behind);
  }

  #take(job: DistributionJob, count: 1 | -1): void {
    if (!isWithPullDp(job)) this.#run(job, count);
    if (!isWithPullDp(job) && isRemoval(job)) return;
    const load = this.#loads.get(job.dpId) ?? {
      ...{ count: 0, notifyingCount: 0, closedCounts: { 1: 0, 2: 0, 3: 0 } },
    };
    load.count += count;
    if (job.waitingReason === 'window-closed') load.closedCounts[job.priority] += count;
    if (!isWithPullDp(job)) load.notifyingCount += count;
    if (load.count > 0) this.#loads.set(job.dpId, load);
    else this.#loads.delete(job.dpId);
    this.#look(job.dpId);
  }

  #run(job: DistributionJob, count: 1 | -1): void {
    this.#runningCount += count;
    const target = targetOf(job);
    const runningCount = (this.#runningFor.get(target) ?? 0) + count;
    if (runningCount > 0) this.#runningFor.set(target, runningCount);
    else this.#runningFor.delete(target);
  }

  /** Something of the DP has changed: whether it takes a job now, and has room for what is not told. */
  #look(dpId: string): void {
    const load = this.#loads.get(dpId);
    const first = this.#ready.firstOf(dpId);
    // What is behind the first one has no higher priority: a DP is no less full for that.
    const isFull = first !== undefined && this.#isFullFor(first.priority, load);
    this.#ready.hold(dpId, isFull || (load?.notifyingCount ?? 0) > 0);
    if (this.#untold.firstOf(dpId)) this.#toTell.add(dpId);
    else this.#toTell.delete(dpId);
  }

  /** An administrator may have changed how many jobs a DP has. */
  #heedLimit(): void {
    if (this.#jobsMax === this.#pull.jobsMax) return;
    this.#jobsMax = this.#pull.jobsMax;
    for (const dpId of this.#ready.names) this.#look(dpId);
  }

  /** What waits for the DP's hours stands in the way of no higher priority, up to twice the capacity. */
  #isFullFor(priority: Priority, load: PullLoad | undefined, more = 0): boolean {
    const { jobsMax } = this.#pull;
    const count = (load?.count ?? 0) + more;
    if (count < jobsMax) return false;
    const lower = priorities.filter((one) => one > priority);
    const closedCount = lower.reduce((sum, one) => sum + (load?.closedCounts[one] ?? 0), 0);
    return count >= 2 * jobsMax || count - closedCount >= jobsMax;
  }
}

/** One decision: goes through what could be handed over, in the order of the queue, as far as it is asked to. */
class PullTurn {
  readonly #ready: JobGroups;
  readonly #removals: JobList;
  readonly #runningFor: ReadonlyMap<string, number>;
  /** What has begun in this turn, by package and DP. */
  readonly #begun = new Set<string>();
  /** By DP whose first job was passed over: its next one. */
  readonly #later = new Map<string, DistributionJob>();
  #nextOfDps: DistributionJob | undefined;
  #nextRemoval: DistributionJob | undefined;

  constructor(ready: JobGroups, removals: JobList, runningFor: ReadonlyMap<string, number>) {
    this.#ready = ready;
    this.#removals = removals;
    this.#runningFor = runningFor;
    this.#nextOfDps = ready.firstOfNext(undefined);
    this.#nextRemoval = removals.first;
  }

  /** The next one that begins; undefined when there is none. */
  next(isFull: (job: DistributionJob) => boolean): DistributionJob | undefined {
    for (let job = this.#first(); job; job = this.#first()) {
      this.#goOnBehind(job);
      const target = targetOf(job);
      const isBusy = this.#runningFor.has(target) || this.#begun.has(target);
      if (!isBusy) {
        this.#begun.add(target);
        return job;
      }
      const later = isRemoval(job) ? undefined : this.#ready.nextOf(job.dpId, job);
      if (later && !isFull(later)) this.#later.set(job.dpId, later);
    }
    return undefined;
  }

  #first(): DistributionJob | undefined {
    const some = [this.#nextOfDps, this.#nextRemoval, ...this.#later.values()];
    return some
      .filter((job) => job !== undefined)
      .reduce<DistributionJob | undefined>(
        (a, b) => (a && compareJobs(a, b) < 0 ? a : b),
        undefined,
      );
  }

  #goOnBehind(job: DistributionJob): void {
    if (job === this.#nextRemoval) this.#nextRemoval = this.#removals.firstAfter(job);
    else if (job === this.#nextOfDps) this.#nextOfDps = this.#ready.firstOfNext(job);
    else this.#later.delete(job.dpId);
  }
}

/** A place before those of all jobs of a priority. */
function beforeAllOf(priority: Priority): JobPlace {
  const first = Number.NEGATIVE_INFINITY;
  return { priority, dpPriority: first, order: first, jobSerial: first };
}

function isRemoval({ action }: DistributionJob): boolean {
  return action === 'remove';
}

function targetOf({ packageId, dpId }: DistributionJob): string {
  return `${packageId}/${dpId}`;
}

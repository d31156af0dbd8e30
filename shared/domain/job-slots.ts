import { bringsContent, type DistributionJob } from './distribution-job.ts';
import { JobGroups } from './job-groups.ts';
import { compareJobs } from './job-order.ts';

/** How many transfers a site runs at once (PTM-2). */
export interface JobQueueLimits {
  /** Packages being sent at once. @default 3 */
  readonly packagesMax: number;
  /** Distribution points one package is sent to at once. @default 5 */
  readonly distributionPointsPerPackageMax: number;
}

/**
 * A job overtakes running ones only while it has not tried in vain more often in a row: what a DP that
 * fails again and again would gain is less than what the others lose.
 */
const fruitlessTriesMax = 2;

/** What is to be done about places now. */
export interface SlotChanges {
  /** Jobs that have their slot now, first one first. */
  readonly start: readonly DistributionJob[];
  /** Running jobs that are to be interrupted, for what did not get a place. */
  readonly giveWay: readonly DistributionJob[];
}

/**
 * The places of transfers, and who gives one up for a job of higher priority (PTM-3): all jobs of the
 * running package of lowest priority, since its place is one. Only a higher package priority takes a
 * place, so that none is taken back.
 */
export class JobSlots {
  readonly #limits: JobQueueLimits;
  /** What could run, by package. */
  readonly #ready = new JobGroups(({ packageId }) => packageId);
  /** Those of them that may overtake others. */
  readonly #overtaking = new JobGroups(({ packageId }) => packageId);
  readonly #running = new Map<number, DistributionJob>();

  constructor(limits: JobQueueLimits) {
    this.#limits = limits;
  }

  addReady(job: DistributionJob): void {
    this.#ready.add(job);
    if (job.tryCount <= fruitlessTriesMax) this.#overtaking.add(job);
  }

  deleteReady(job: DistributionJob): void {
    this.#ready.delete(job);
    this.#overtaking.delete(job);
  }

  addRunning(job: DistributionJob): void {
    this.#running.set(job.jobSerial, job);
  }

  deleteRunning({ jobSerial }: DistributionJob): void {
    this.#running.delete(jobSerial);
  }

  /**
   * Looked at are what runs, what gets a place, and one job of each package that could get one.
   *
   * @param isOpen whether the way of a job to its DP is open; one of which it is not has left by then
   */
  changes(isOpen: (job: DistributionJob) => boolean): SlotChanges {
    const running = [...this.#running.values()].sort(compareJobs);
    const turn = new SlotTurn(this.#ready, this.#overtaking, running, this.#limits);
    turn.run(isOpen);
    return turn;
  }
}

/** One decision. Goes through jobs in the order of the queue, and passes over all that can get no place. */
class SlotTurn {
  readonly start: DistributionJob[] = [];
  readonly giveWay: DistributionJob[] = [];
  readonly #ready: JobGroups;
  readonly #overtaking: JobGroups;
  readonly #limits: JobQueueLimits;
  /** By package: the DPs it is sent to, or will be as soon as others have given way. */
  readonly #dpIdsOf = new Map<string, Set<string>>();
  /** By package: what runs of it; both first in the queue first. */
  readonly #runningOf = new Map<string, DistributionJob[]>();
  /** Packages of which a job begins now: they give nothing up. */
  readonly #beginning = new Set<string>();
  /** Packages that gave their place up in this turn. */
  readonly #displaced = new Set<string>();
  /** The next job of packages that are looked at by themselves: of those with a place, and of the displaced. */
  readonly #next = new Map<string, DistributionJob>();
  /** The job at which the packages without a place have arrived. */
  #newcomer: DistributionJob | undefined;
  #isOvertakingOver = false;

  constructor(
    ready: JobGroups,
    overtaking: JobGroups,
    running: readonly DistributionJob[],
    limits: JobQueueLimits,
  ) {
    this.#ready = ready;
    this.#overtaking = overtaking;
    this.#limits = limits;
    for (const job of running) {
      this.#dpIds(job.packageId).add(job.dpId);
      this.#runningOf.set(job.packageId, [...(this.#runningOf.get(job.packageId) ?? []), job]);
    }
    for (const packageId of this.#dpIdsOf.keys()) this.#goOn(packageId, ready.firstOf(packageId));
  }

  run(isOpen: (job: DistributionJob) => boolean): void {
    this.#newcomer = this.#newcomerBehind(undefined);
    for (let job = this.#first(); job; job = this.#first()) {
      const isNewcomer = job === this.#newcomer;
      const hadPlace = this.#hasFreePlace;
      if (isOpen(job)) this.#take(job);
      // From now on only those that overtake are of interest, and of these none was passed yet.
      if (hadPlace && !this.#hasFreePlace) this.#newcomer = this.#newcomerBehind(undefined);
      else if (isNewcomer) this.#newcomer = this.#newcomerBehind(job);
      if (this.#next.get(job.packageId) === job) this.#goOn(job.packageId, this.#behind(job));
    }
  }

  get #hasFreePlace(): boolean {
    return this.#dpIdsOf.size < this.#limits.packagesMax;
  }

  #first(): DistributionJob | undefined {
    const some = [...this.#next.values(), ...(this.#newcomer ? [this.#newcomer] : [])];
    return some.reduce<DistributionJob | undefined>(
      (a, b) => (a && compareJobs(a, b) < 0 ? a : b),
      undefined,
    );
  }

  #take(job: DistributionJob): void {
    const { packageId, dpId } = job;
    const dpIds = this.#dpIdsOf.get(packageId);
    if (dpIds?.has(dpId)) return;
    if (dpIds || this.#hasFreePlace) this.#begin(job);
    else this.#overtake(job);
  }

  #begin(job: DistributionJob): void {
    const { packageId, dpId } = job;
    const isNew = !this.#dpIdsOf.has(packageId);
    this.#dpIds(packageId).add(dpId);
    this.#beginning.add(packageId);
    this.start.push(job);
    if (isNew) this.#goOn(packageId, this.#behind(job));
  }

  /** Others give a place up for the job, if any do. */
  #overtake(job: DistributionJob): void {
    const [victimId, jobs = []] = this.#lastPackageAfter(job) ?? [];
    if (victimId === undefined) {
      // None that follows has a higher priority.
      this.#isOvertakingOver = true;
      for (const packageId of this.#displaced) this.#next.delete(packageId);
      return;
    }
    this.#dpIdsOf.delete(victimId);
    this.#runningOf.delete(victimId);
    this.giveWay.push(...jobs);
    // The place is free when the others have given it up; until then nothing of the package begins.
    this.#dpIds(job.packageId).add(job.dpId);
    this.#displaced.delete(job.packageId);
    this.#next.delete(job.packageId);
    this.#displaced.add(victimId);
    this.#goOn(victimId, this.#overtaking.nextOf(victimId, job));
  }

  /** Of the running packages of lower priority the last one in the queue. */
  #lastPackageAfter(job: DistributionJob): [string, DistributionJob[]] | undefined {
    return [...this.#runningOf]
      .filter(([packageId]) => !this.#beginning.has(packageId))
      .filter(([, jobs]) => jobs.every((one) => givesWayTo(job, one)))
      .at(-1);
  }

  #goOn(packageId: string, job: DistributionJob | undefined): void {
    const dpIdsMax = this.#limits.distributionPointsPerPackageMax;
    const isFull = (this.#dpIdsOf.get(packageId)?.size ?? 0) >= dpIdsMax;
    if (job && !isFull) this.#next.set(packageId, job);
    else this.#next.delete(packageId);
  }

  #behind(job: DistributionJob): DistributionJob | undefined {
    const { packageId } = job;
    const jobs = this.#displaced.has(packageId) ? this.#overtaking : this.#ready;
    return jobs.nextOf(packageId, job);
  }

  /** The first job of the next package that has no place. */
  #newcomerBehind(job: DistributionJob | undefined): DistributionJob | undefined {
    if (!this.#hasFreePlace && this.#isOvertakingOver) return undefined;
    const packages = this.#hasFreePlace ? this.#ready : this.#overtaking;
    let next = packages.firstOfNext(job);
    while (next && this.#isNoNewcomer(next.packageId)) next = packages.firstOfNext(next);
    return next;
  }

  #isNoNewcomer(packageId: string): boolean {
    return this.#dpIdsOf.has(packageId) || this.#displaced.has(packageId);
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

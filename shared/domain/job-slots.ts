import { bringsContent, type DistributionJob, type WaitingReason } from './distribution-job.ts';

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

/**
 * The places of running transfers, and who gives one up for a job of higher priority (PTM-3): all jobs
 * of the running package of lowest priority, since its place is one. Only a higher package priority
 * takes a place, so that none is taken back.
 */
export class JobSlots {
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

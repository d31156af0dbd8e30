import type { DistributionJob } from './distribution-job.ts';
import { JobGroups } from './job-groups.ts';

/** Validations of a site that run at once, each on another DP: they wait for disks, not for this site. */
export const validationsMax = 20;

/** The places of validations: one on each DP, so many on all. They take none from what brings content. */
export class ValidationPlaces {
  /** What could run, by DP; those of DPs on which one runs are held. */
  readonly #ready = new JobGroups(({ dpId }) => dpId);
  /** How many run, by DP: more than one only if a program before this one let them. */
  readonly #runningOf = new Map<string, number>();
  readonly #countMax: number;

  constructor(countMax = validationsMax) {
    this.#countMax = countMax;
  }

  addReady(job: DistributionJob): void {
    this.#ready.add(job);
  }

  deleteReady(job: DistributionJob): void {
    this.#ready.delete(job);
  }

  addRunning({ dpId }: DistributionJob): void {
    this.#runningOf.set(dpId, (this.#runningOf.get(dpId) ?? 0) + 1);
    this.#ready.hold(dpId, true);
  }

  deleteRunning({ dpId }: DistributionJob): void {
    const count = (this.#runningOf.get(dpId) ?? 0) - 1;
    if (count > 0) this.#runningOf.set(dpId, count);
    else {
      this.#runningOf.delete(dpId);
      this.#ready.hold(dpId, false);
    }
  }

  /** Those that begin now, first one first: looked at is one of each DP that gets a place. */
  starting(): DistributionJob[] {
    const start: DistributionJob[] = [];
    let left = this.#countMax - this.#runningOf.size;
    let job = this.#ready.firstOfNext(undefined);
    for (; job && left > 0; left -= 1, job = this.#ready.firstOfNext(job)) start.push(job);
    return start;
  }
}

/** Whether the job brings nothing and takes nothing away: it reads what is there. */
export function isValidation({ action }: Pick<DistributionJob, 'action'>): boolean {
  return action === 'validate';
}

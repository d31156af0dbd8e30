import type { DistributionJob } from './distribution-job.ts';
import { compareJobs } from './job-queue.ts';

/** Up to so many jobs take their new places one by one; of more, all are gone through once. */
const singleMovesMax = 32;

/** Jobs in the order of the queue, kept in it change by change: they are never sorted all at once. */
export class JobOrder {
  #jobs: DistributionJob[] = [];
  /** By serial: jobs that have changed since, as they stand in the order; undefined: not in it yet. */
  readonly #changed = new Map<number, DistributionJob | undefined>();
  readonly #now: (jobSerial: number) => DistributionJob | undefined;

  /** @param now the job as it is; undefined when it is none of them any more */
  constructor(now: (jobSerial: number) => DistributionJob | undefined) {
    this.#now = now;
  }

  /** The job is about to be another one, or came, or goes. @param before as it was, undefined when it is new */
  changes(jobSerial: number, before: DistributionJob | undefined): void {
    if (!this.#changed.has(jobSerial)) this.#changed.set(jobSerial, before);
  }

  /** All of them in order. Changes with the next call: not to be kept. */
  get jobs(): readonly DistributionJob[] {
    if (this.#changed.size > singleMovesMax) this.#mergeChanged();
    else for (const [jobSerial, before] of this.#changed) this.#move(before, this.#now(jobSerial));
    this.#changed.clear();
    return this.#jobs;
  }

  #move(before: DistributionJob | undefined, after: DistributionJob | undefined): void {
    if (before && after && compareJobs(before, after) === 0) {
      this.#jobs[this.#placeOf(before)] = after;
      return;
    }
    if (before) this.#jobs.splice(this.#placeOf(before), 1);
    if (after) this.#jobs.splice(this.#placeOf(after), 0, after);
  }

  /** Where the job is, or would be. */
  #placeOf(job: DistributionJob): number {
    let [low, high] = [0, this.#jobs.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareJobs(this.#jobs[middle] as DistributionJob, job) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #mergeChanged(): void {
    const kept = this.#jobs.filter(({ jobSerial }) => !this.#changed.has(jobSerial));
    const moved = [...this.#changed.keys()].flatMap((jobSerial) => this.#now(jobSerial) ?? []);
    this.#jobs = merged(kept, moved.sort(compareJobs));
  }
}

/** Two lists in order as one. */
function merged(
  some: readonly DistributionJob[],
  others: readonly DistributionJob[],
): DistributionJob[] {
  const all: DistributionJob[] = [];
  let next = 0;
  for (const job of some) {
    for (let other = others[next]; other && compareJobs(other, job) < 0; other = others[next]) {
      all.push(other);
      next += 1;
    }
    all.push(job);
  }
  for (const other of others.slice(next)) all.push(other);
  return all;
}

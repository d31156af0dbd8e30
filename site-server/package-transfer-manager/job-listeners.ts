import type { DistributionJob } from '../../shared/domain/distribution-job.ts';

export type JobListener = (job: DistributionJob) => void;

/** Who hears of each change of a job, and which of them look on: these hear as well why jobs wait. */
export class JobListeners {
  readonly #listeners = new Set<JobListener>();
  readonly #watching = new Set<JobListener>();

  /** @returns ends it */
  add(listener: JobListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The same for one that looks on. */
  addWatching(listener: JobListener): () => void {
    this.#watching.add(listener);
    const remove = this.add(listener);
    return () => {
      this.#watching.delete(listener);
      remove();
    };
  }

  get areWatching(): boolean {
    return this.#watching.size > 0;
  }

  tell(job: DistributionJob): void {
    for (const listener of this.#listeners) listener(job);
  }
}

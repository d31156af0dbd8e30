import { type DistributionJob, isWithPullDp } from '../../shared/domain/distribution-job.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { JobTable } from './job-table.ts';

/** What a pull DP has fetched of a job, and how long that took. */
export interface FetchedBytes {
  readonly sizeBytes: number;
  readonly durationMs: number;
}

interface Fetching {
  /** Bytes it had received, and when, as its fetching began or went on. */
  readonly bytesSent: number;
  readonly sinceMs: number;
}

/**
 * How fast pull DPs fetch, from what they say of their jobs; in memory. Counted is from when a DP has
 * taken a job, or has stopped to wait for something, to its success: what it waited for is no fault of its.
 */
export class PullMeasure {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #onMeasured: (dpId: string, fetched: FetchedBytes) => void;
  readonly #fetching = new Map<number, Fetching>();

  constructor(needs: {
    readonly clock: Pick<Clock, 'monotonicMs'>;
    readonly onMeasured: (dpId: string, fetched: FetchedBytes) => void;
  }) {
    this.#clock = needs.clock;
    this.#onMeasured = needs.onMeasured;
  }

  /** Follows the jobs. @returns ends it */
  follow(jobs: Pick<JobTable, 'onChanged'>): () => void {
    return jobs.onChanged((job) => this.#note(job));
  }

  #note(job: DistributionJob): void {
    const { jobSerial, bytesSent } = job;
    const known = this.#fetching.get(jobSerial);
    if (!isWithPullDp(job)) {
      this.#fetching.delete(jobSerial);
      if (known && job.state === 'complete') this.#measured(job, known);
      return;
    }
    // While it waits the time begins anew with each word of it.
    const isWaiting = job.waitingReason !== undefined;
    if (known && !isWaiting) return;
    this.#fetching.set(jobSerial, { bytesSent, sinceMs: this.#clock.monotonicMs() });
  }

  #measured({ dpId, bytesSent }: DistributionJob, began: Fetching): void {
    this.#onMeasured(dpId, {
      sizeBytes: bytesSent - began.bytesSent,
      durationMs: this.#clock.monotonicMs() - began.sinceMs,
    });
  }
}

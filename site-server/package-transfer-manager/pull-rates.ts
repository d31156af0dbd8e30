import { type DistributionJob, isWithPullDp } from '../../shared/domain/distribution-job.ts';
import { TransferRate } from '../../shared/domain/transfer-rate.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { JobTable } from './job-table.ts';

/** How quickly a pull DP gets on with a job. */
export interface PullRate {
  readonly bytesPerSecond: number;
  /** Milliseconds until all is there; 0 when unknown. */
  readonly etaMs: number;
}

interface Watched {
  readonly rate: TransferRate;
  remainingBytes: number;
}

/** The rates of jobs that pull DPs have, from what they say of them; in memory. */
export class PullRates {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #watched = new Map<number, Watched>();

  constructor(needs: {
    readonly jobs: Pick<JobTable, 'onChanged'>;
    readonly clock: Pick<Clock, 'monotonicMs'>;
  }) {
    this.#clock = needs.clock;
    needs.jobs.onChanged((job) => this.#note(job));
  }

  /** Undefined for a job that no pull DP has. */
  rateOf({ jobSerial }: DistributionJob): PullRate | undefined {
    const watched = this.#watched.get(jobSerial);
    if (!watched) return undefined;
    const { rate, remainingBytes } = watched;
    const nowMs = this.#clock.monotonicMs();
    return { bytesPerSecond: rate.bytesPerSecond(nowMs), etaMs: rate.etaMs(remainingBytes, nowMs) };
  }

  #note(job: DistributionJob): void {
    const { jobSerial, remainingBytes } = job;
    if (!isWithPullDp(job)) {
      this.#watched.delete(jobSerial);
      return;
    }
    const nowMs = this.#clock.monotonicMs();
    const watched = this.#watched.get(jobSerial);
    if (!watched) {
      this.#watched.set(jobSerial, { rate: new TransferRate(nowMs), remainingBytes });
      return;
    }
    // More may turn out to be missing than was known: that is no step back.
    watched.rate.add(Math.max(0, watched.remainingBytes - remainingBytes), nowMs);
    watched.remainingBytes = remainingBytes;
  }
}

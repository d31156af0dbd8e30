import { type DistributionJob, isWithPullDp } from '../../shared/domain/distribution-job.ts';
import type { RemainingTransfer } from '../../shared/domain/transfer-pace.ts';
import { TransferRate } from '../../shared/domain/transfer-rate.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { JobTable } from './job-table.ts';

/** A pull DP says how far it is after so many pieces: with a low limit that is a step in several seconds. */
const halfLifeMs = 10_000;

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

  /** What a pull DP has still to fetch for a job, and how quickly; undefined for a job that none has. */
  remainingOf({ jobSerial }: DistributionJob): RemainingTransfer | undefined {
    const watched = this.#watched.get(jobSerial);
    if (!watched) return undefined;
    const { rate, remainingBytes } = watched;
    return { remainingBytes, measured: rate.pace(this.#clock.monotonicMs()) };
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
      this.#watched.set(jobSerial, { rate: new TransferRate(nowMs, halfLifeMs), remainingBytes });
      return;
    }
    // More may turn out to be missing than was known: that is no step back.
    watched.rate.add(Math.max(0, watched.remainingBytes - remainingBytes), nowMs);
    watched.remainingBytes = remainingBytes;
  }
}

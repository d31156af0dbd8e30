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
  /** Since when its window is closed: meanwhile nothing is learnt of its rate. */
  pausedAtMs: number | undefined;
  /** How long it was closed before. */
  pausedMs: number;
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

  /**
   * What a pull DP has still to fetch for a job, and how quickly: as it was before, while its window is
   * closed. Undefined for a job that none has.
   */
  remainingOf({ jobSerial }: DistributionJob): RemainingTransfer | undefined {
    const watched = this.#watched.get(jobSerial);
    if (!watched) return undefined;
    const { rate, remainingBytes } = watched;
    return { remainingBytes, measured: rate.pace(watchedMs(watched, this.#clock.monotonicMs())) };
  }

  #note(job: DistributionJob): void {
    const { jobSerial, remainingBytes } = job;
    if (!isWithPullDp(job)) {
      this.#watched.delete(jobSerial);
      return;
    }
    const nowMs = this.#clock.monotonicMs();
    const watched = this.#watched.get(jobSerial) ?? newlyWatched(nowMs, remainingBytes);
    this.#watched.set(jobSerial, watched);
    // More may turn out to be missing than was known: that is no step back. And with its first word after
    // a pause nobody knows how long it has fetched.
    const isBack = watched.pausedAtMs !== undefined;
    const bytes = isBack ? 0 : Math.max(0, watched.remainingBytes - remainingBytes);
    watched.rate.add(bytes, watchedMs(watched, nowMs));
    watched.remainingBytes = remainingBytes;
    turnTo(watched, job.waitingReason === 'window-closed', nowMs);
  }
}

function newlyWatched(nowMs: number, remainingBytes: number): Watched {
  const rate = new TransferRate(nowMs, halfLifeMs);
  return { rate, remainingBytes, pausedAtMs: undefined, pausedMs: 0 };
}

/** The time as far as the job could get on in it: it stands still while the window is closed. */
function watchedMs({ pausedAtMs, pausedMs }: Watched, nowMs: number): number {
  return (pausedAtMs ?? nowMs) - pausedMs;
}

/** The window of a job is closed from now on, or open. */
function turnTo(watched: Watched, isPaused: boolean, nowMs: number): void {
  if (isPaused) {
    watched.pausedAtMs ??= nowMs;
  } else if (watched.pausedAtMs !== undefined) {
    watched.pausedMs += nowMs - watched.pausedAtMs;
    watched.pausedAtMs = undefined;
  }
}

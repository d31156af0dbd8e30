import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import type { JobFailure } from './job-failure.ts';
import type { PullConfig } from './pull-config.ts';

export interface RetryPolicyConfig {
  /** Tries after which a job has failed. @default 100 */
  readonly retryCountMax: number;
  /** First wait after a failed try; doubles. @default 5_000 */
  readonly retryDelayMs: number;
  /** Longest wait between tries. @default 30 min, as in Configuration Manager */
  readonly retryDelayMsMax: number;
  /** First and longest wait before a full disk is looked at again. @default 2_000, 30_000 */
  readonly diskFullDelayMs: number;
  readonly diskFullDelayMsMax: number;
  readonly pull: PullConfig;
}

/** A DP that is back is given this long to get up. */
const returnDelayMs = 100;

interface JobMemory {
  /** Failed tries in a row that moved nothing. */
  readonly fruitlessCount: number;
  /** Times in a row the DP came back and nothing was moved after it. */
  readonly returnCount: number;
  /** Looks at a full disk in a row. */
  readonly diskFullCount: number;
  /** Looks for a source of a pull DP in a row. */
  readonly noSourceCount: number;
}

const nothingKnown: JobMemory = {
  fruitlessCount: 0,
  returnCount: 0,
  diskFullCount: 0,
  noSourceCount: 0,
};

/** How long a job waits after a failed try. In memory: a restart of the site begins gently again. */
export class RetryPolicy {
  readonly #config: RetryPolicyConfig;
  readonly #random: () => number;
  readonly #memory = new Map<number, JobMemory>();

  constructor(config: RetryPolicyConfig, random: () => number) {
    this.#config = config;
    this.#random = random;
  }

  /** Milliseconds until the next try, and remembers this one. */
  delayMs(job: DistributionJob, failure: JobFailure, movedBytes: boolean): number {
    const before = this.#memory.get(job.jobSerial) ?? nothingKnown;
    const isDiskFull = failure.waitingReason === 'disk-full-at-dp';
    // Of the disk of a DP that is away nothing new is known.
    const isAway = failure.waitingReason === 'dp-unreachable';
    const knownFullCount = isAway ? before.diskFullCount : 0;
    const memory = {
      fruitlessCount: movedBytes ? 1 : before.fruitlessCount + 1,
      returnCount: movedBytes ? 0 : before.returnCount,
      diskFullCount: isDiskFull ? before.diskFullCount + 1 : knownFullCount,
      noSourceCount: failure.waitingReason === 'no-source' ? before.noSourceCount + 1 : 0,
    };
    this.#memory.set(job.jobSerial, memory);
    if (memory.noSourceCount > 0) return this.#config.pull.noSourceDelayMs;
    return isDiskFull ? this.#diskFullDelayMs(memory) : this.#retryDelayMs(memory);
  }

  /**
   * How long a job waits when its DP came back, or has dropped it: longer each time it got nowhere
   * since the last.
   */
  returnDelayMs(jobSerial: number): number {
    const before = this.#memory.get(jobSerial) ?? nothingKnown;
    this.#memory.set(jobSerial, { ...before, returnCount: before.returnCount + 1 });
    return Math.min(this.#config.retryDelayMsMax, returnDelayMs * 2 ** before.returnCount);
  }

  /** Whether the failure just remembered is the first since the job last moved anything. */
  isFirstFailure(jobSerial: number): boolean {
    return this.#memory.get(jobSerial)?.fruitlessCount === 1;
  }

  /** Whether the failure just remembered was a full disk at the DP. */
  wasDiskFull(jobSerial: number): boolean {
    return (this.#memory.get(jobSerial)?.diskFullCount ?? 0) > 0;
  }

  /** How often in a row no source was found, the failure just remembered included. */
  noSourceCount(jobSerial: number): number {
    return this.#memory.get(jobSerial)?.noSourceCount ?? 0;
  }

  /** A pull DP has taken the job: there was a source. */
  handedOver(jobSerial: number): void {
    const before = this.#memory.get(jobSerial);
    if (before) this.#memory.set(jobSerial, { ...before, noSourceCount: 0 });
  }

  /** A pull DP has fetched some of the job. */
  gotOn(jobSerial: number): void {
    const before = this.#memory.get(jobSerial);
    if (before) this.#memory.set(jobSerial, { ...before, returnCount: 0 });
  }

  /** The job has ended. */
  forget(jobSerial: number): void {
    this.#memory.delete(jobSerial);
  }

  #retryDelayMs({ fruitlessCount }: JobMemory): number {
    const { retryDelayMs: firstMs, retryDelayMsMax: capMs } = this.#config;
    return retryDelayMs({ tryCount: fruitlessCount, firstMs, capMs, random: this.#random });
  }

  #diskFullDelayMs({ diskFullCount }: JobMemory): number {
    const { diskFullDelayMs: firstMs, diskFullDelayMsMax: capMs } = this.#config;
    return retryDelayMs({ tryCount: diskFullCount, firstMs, capMs, random: this.#random });
  }
}

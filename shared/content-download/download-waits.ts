import { WaybillError } from '../domain/errors.ts';
import type { Clock } from '../runtime/clock.ts';

/** How long a download waits for what it cannot change; milliseconds. */
export interface WaitRules {
  /** From the last source to the next round, if nothing happens before. @default 30 min */
  readonly restartMs: number;
  /** First wait for room on the disk; doubles. @default 2_000 */
  readonly diskFullMs: number;
  /** Longest such wait. @default 30_000 */
  readonly diskFullMsMax: number;
}

export const defaultWaitRules: WaitRules = {
  restartMs: 30 * 60_000,
  diskFullMs: 2_000,
  diskFullMsMax: 30_000,
};

export interface DownloadWaitsNeeds {
  readonly packageId: string;
  readonly clock: Clock;
  readonly observer: {
    waiting(error: WaybillError, restartAtMs: number): void;
    resumed(): void;
  };
}

/** Tells that a download waits, and for what, and that it goes on. */
export class DownloadWaits {
  readonly #needs: DownloadWaitsNeeds;
  readonly #rules: WaitRules;
  #isTold = false;
  #diskFullCount = 0;

  constructor(needs: DownloadWaitsNeeds, rules: WaitRules) {
    this.#needs = needs;
    this.#rules = rules;
  }

  /** Nobody gives what is missing. @returns when the next round begins, at the latest: monotonic */
  exhausted(reason: string): number {
    const { packageId } = this.#needs;
    return this.#tell(
      new WaybillError({ code: 'PULL_SOURCES_EXHAUSTED', packageId, reason }),
      this.#rules.restartMs,
    );
  }

  /** There is no room here. Resolves when it is time to try again. @throws AbortError */
  async diskFull(error: WaybillError, signal: AbortSignal): Promise<void> {
    const { diskFullMs, diskFullMsMax } = this.#rules;
    const ms = Math.min(diskFullMsMax, diskFullMs * 2 ** this.#diskFullCount);
    this.#diskFullCount += 1;
    this.#tell(error, ms);
    await this.#needs.clock.sleep(ms, signal);
  }

  /** Something has come and is written. */
  progressed(): void {
    this.#diskFullCount = 0;
    if (!this.#isTold) return;
    this.#isTold = false;
    this.#needs.observer.resumed();
  }

  #tell(error: WaybillError, ms: number): number {
    const { clock, observer } = this.#needs;
    this.#isTold = true;
    observer.waiting(error, clock.nowMs() + ms);
    return clock.monotonicMs() + ms;
  }
}

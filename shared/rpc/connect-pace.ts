import { retryDelayMs } from '../runtime/retry-schedule.ts';

/** How often a peer is tried that is waited for; milliseconds. */
export interface ConnectPaceConfig {
  /** One that is away is tried about once a second for so long. @default 180_000 */
  readonly patienceMs: number;
  /** First pause after that, and after the first refusal; doubles as long as its reason is the same. @default 1_000 */
  readonly pauseMs: number;
  /** Longest pause of one that is away: what waits for it goes on at once when it is back. @default 3_000 */
  readonly awayPauseMsMax: number;
  /** Longest pause of one that is refused, or refuses us. @default 30_000 */
  readonly refusedPauseMsMax: number;
}

export const defaultConnectPace: ConnectPaceConfig = {
  patienceMs: 180_000,
  pauseMs: 1_000,
  awayPauseMsMax: 3_000,
  refusedPauseMsMax: 30_000,
};

/**
 * Decides when a peer that is waited for is tried again. One that is away may be back any moment, for a while; one that
 * shows a certificate which is not its own, or does not let us in with ours, costs a whole handshake each time, and will
 * for long.
 */
export class ConnectPace {
  readonly #config: ConnectPaceConfig;
  readonly #random: () => number;
  #awaySinceMs: number | undefined;
  /** Since the last pause. */
  #isRefused = false;
  #wasPausedAsRefused = false;
  /** For the same reason. */
  #pauseCount = 0;
  #pauseUntilMs = 0;

  /** @param random a number from 0 up to 1 */
  constructor(config: ConnectPaceConfig, random: () => number) {
    this.#config = config;
    this.#random = random;
  }

  /** It is there, is who it is to be, and has let us in. */
  connected(): void {
    this.#awaySinceMs = undefined;
    this.shownAnew();
  }

  /** We show another certificate from now on: what was refused before says nothing of it. */
  shownAnew(): void {
    this.#isRefused = false;
    this.#pauseCount = 0;
    this.#pauseUntilMs = 0;
  }

  /** Somebody is there whose certificate does not count, who does not speak as we do, or does not let us in. */
  refused(): void {
    this.#isRefused = true;
  }

  /** After a try that failed: whether it is not to be made again at once. */
  isSlow(nowMs: number): boolean {
    this.#awaySinceMs ??= nowMs;
    return this.#isRefused || nowMs - this.#awaySinceMs >= this.#config.patienceMs;
  }

  /** What is left of the pause, in milliseconds; 0: none. */
  leftMs(nowMs: number): number {
    return Math.max(0, this.#pauseUntilMs - nowMs);
  }

  /**
   * After tries that failed: how long to wait before the next one, in milliseconds; 0: not at all. The same pause for
   * all who wait.
   */
  pauseMs(nowMs: number): number {
    if (nowMs < this.#pauseUntilMs) return this.leftMs(nowMs);
    if (!this.isSlow(nowMs)) return 0;
    const { pauseMs: firstMs, awayPauseMsMax, refusedPauseMsMax } = this.#config;
    const capMs = this.#isRefused ? refusedPauseMsMax : awayPauseMsMax;
    if (this.#isRefused !== this.#wasPausedAsRefused) this.#pauseCount = 0;
    this.#wasPausedAsRefused = this.#isRefused;
    this.#isRefused = false;
    this.#pauseCount += 1;
    const ms = retryDelayMs({ tryCount: this.#pauseCount, firstMs, capMs, random: this.#random });
    this.#pauseUntilMs = nowMs + ms;
    return ms;
  }
}

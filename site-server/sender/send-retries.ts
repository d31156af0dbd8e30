import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';

/** When a send that failed is tried again. */
export interface SendRetryConfig {
  /** Wait after the first failed try. @default 60_000 @see behaviour row REP-5 */
  readonly retryDelayMs: number;
  /** Longest wait between tries. @default 1_800_000 */
  readonly retryDelayMsMax: number;
}

/** How often a file is begun anew at once, for the same reason. */
const restartsMax = 2;

interface Memory {
  /** Failed tries in a row that moved nothing. */
  readonly fruitlessCount: number;
  /** Times the file was begun anew: damaged on its way; not where it was thought to be. */
  readonly restartCounts: Readonly<Record<Restart, number>>;
}

/** Why a file is begun anew. */
export type Restart = 'file-damaged' | 'ask-again';

const nothingKnown: Memory = {
  fruitlessCount: 0,
  restartCounts: { 'file-damaged': 0, 'ask-again': 0 },
};

/**
 * How long send requests wait after failed tries: two tries a minute apart, then longer and longer.
 * In memory: a restart of the site begins gently again.
 */
export class SendRetries {
  readonly #config: SendRetryConfig;
  readonly #random: () => number;
  readonly #memory = new Map<string, Memory>();

  constructor(config: SendRetryConfig, random: () => number) {
    this.#config = config;
    this.#random = random;
  }

  /** Milliseconds until the next try, and remembers this one. */
  delayMs(requestId: string, movedBytes: boolean): number {
    const before = this.#memory.get(requestId) ?? nothingKnown;
    const fruitlessCount = movedBytes ? 1 : before.fruitlessCount + 1;
    this.#memory.set(requestId, { ...before, fruitlessCount });
    const { retryDelayMs: firstMs, retryDelayMsMax: capMs } = this.#config;
    if (fruitlessCount === 1) return firstMs;
    // From the second on with chance, so that many requests do not come back as one.
    return retryDelayMs({ tryCount: fruitlessCount, firstMs, capMs, random: this.#random });
  }

  /** Whether the file is to be begun anew at once, and remembers that it is. */
  mayRestart(requestId: string, why: Restart, movedBytes: boolean): boolean {
    const before = this.#memory.get(requestId) ?? nothingKnown;
    const isInRow = why === 'file-damaged' || !movedBytes;
    const count = isInRow ? before.restartCounts[why] : 0;
    if (count >= restartsMax) return false;
    const restartCounts = { ...before.restartCounts, [why]: count + 1 };
    this.#memory.set(requestId, { ...before, restartCounts });
    return true;
  }

  /** The request has ended. */
  forget(requestId: string): void {
    this.#memory.delete(requestId);
  }
}

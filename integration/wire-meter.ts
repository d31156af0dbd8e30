import { setTimeout as sleep } from 'node:timers/promises';

/** What has gone by a moment. */
interface Reading {
  readonly atMs: number;
  readonly bytes: number;
}

const lookMs = 50;

/** Reads a count of bytes again and again, and says what went when. */
export class WireMeter implements AsyncDisposable {
  readonly #count: () => number;
  readonly #readings: Reading[] = [];
  readonly #over = new AbortController();
  readonly #running: Promise<void>;

  /** @param count bytes that have gone so far, of all wires that are meant */
  constructor(count: () => number) {
    this.#count = count;
    this.#running = this.#run();
  }

  /** Now, in milliseconds, as `bytesBetween` takes it. */
  get nowMs(): number {
    return performance.now();
  }

  /** Bytes that went between two moments. */
  bytesBetween(fromMs: number, toMs: number): number {
    return this.#bytesAt(toMs) - this.#bytesAt(fromMs);
  }

  /** The most and the least that went in any window of so many milliseconds within a time. */
  extremes(
    windowMs: number,
    within: { readonly fromMs: number; readonly toMs: number },
  ): { readonly most: number; readonly least: number } {
    let [most, least] = [0, Number.POSITIVE_INFINITY];
    for (const { atMs } of this.#readings) {
      if (atMs < within.fromMs || atMs + windowMs > within.toMs) continue;
      const bytes = this.bytesBetween(atMs, atMs + windowMs);
      most = Math.max(most, bytes);
      least = Math.min(least, bytes);
    }
    return { most, least };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      this.#readings.push({ atMs: performance.now(), bytes: this.#count() });
      await sleep(lookMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Between two readings as many as if they had gone evenly. */
  #bytesAt(ms: number): number {
    const next = this.#readings.findIndex(({ atMs }) => atMs >= ms);
    const [before, after] = [this.#readings[next - 1], this.#readings[next]];
    if (!after) return this.#count();
    if (!before) return after.bytes;
    const part = (ms - before.atMs) / (after.atMs - before.atMs);
    return before.bytes + part * (after.bytes - before.bytes);
  }
}

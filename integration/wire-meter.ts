import { setTimeout as sleep } from 'node:timers/promises';
import { workIsOver } from '../shared/runtime/abort-error.ts';

/** How often the wire is looked at. */
const sampleMs = 20;

interface Sample {
  readonly atMs: number;
  readonly bytes: number;
}

/** The windows of a length in which most went, and least. */
export interface WireExtremes {
  /** Bytes. */
  readonly most: number;
  readonly least: number;
  /** When that with the most began. */
  readonly mostFromMs: number;
}

/**
 * Looks at what has gone over a wire, again and again, so that it can be said what went in any span of
 * time. When this process is held up it counts late what came meanwhile: `gapMs` says how late at most.
 */
export class WireMeter implements AsyncDisposable {
  readonly #bytes: () => number;
  readonly #samples: Sample[] = [];
  readonly #stopping = new AbortController();
  readonly #sampling: Promise<void>;

  /** @param bytes what has gone over the wire so far, such as `forwardedBytes` of a proxy */
  constructor(bytes: () => number) {
    this.#bytes = bytes;
    this.#sampling = this.#sampleForEver();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(workIsOver);
    await this.#sampling;
    this.#sample();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Now, in milliseconds, as `bytesBetween` takes it. */
  get nowMs(): number {
    return performance.now();
  }

  /** When the first of so many bytes had gone; Infinity when they have not. */
  whenGone(bytes: number): number {
    return this.#samples.find((sample) => sample.bytes >= bytes)?.atMs ?? Number.POSITIVE_INFINITY;
  }

  /** Bytes that went between two moments. */
  bytesBetween(fromMs: number, toMs: number): number {
    return this.#at(toMs) - this.#at(fromMs);
  }

  /** The longest time between two looks, so long may what is counted in a window be late. */
  gapMs(fromMs: number, toMs: number): number {
    let gapMs = 0;
    let before = fromMs;
    for (const { atMs } of this.#samples) {
      if (atMs < fromMs || atMs > toMs) continue;
      gapMs = Math.max(gapMs, atMs - before);
      before = atMs;
    }
    return Math.max(gapMs, toMs - before);
  }

  /** The most and the least that went in any window of so many milliseconds within a time. */
  extremes(
    windowMs: number,
    { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
  ): WireExtremes {
    let extremes = { most: 0, least: Number.POSITIVE_INFINITY, mostFromMs: fromMs };
    for (let startMs = fromMs; startMs + windowMs <= toMs; startMs += 5 * sampleMs) {
      const bytes = this.bytesBetween(startMs, startMs + windowMs);
      const least = Math.min(extremes.least, bytes);
      const isMore = bytes > extremes.most;
      extremes = { ...extremes, least, ...(isMore && { most: bytes, mostFromMs: startMs }) };
    }
    return extremes;
  }

  /**
   * The most that had gone beyond a rate at any moment, counted from the first one. A machine that is held
   * up anywhere makes it less, never more: what is sent late, or seen late, went no earlier.
   */
  beyond(
    bytesPerSecond: number,
    { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
  ): number {
    const from = this.#at(fromMs);
    let beyond = 0;
    for (const { atMs, bytes } of this.#samples) {
      if (atMs < fromMs || atMs > toMs) continue;
      beyond = Math.max(beyond, bytes - from - (bytesPerSecond * (atMs - fromMs)) / 1000);
    }
    return beyond;
  }

  /** Resolves once more has gone in a second than this. A slow machine takes longer to get there. */
  async whenQuicker(bytesInASecond: number): Promise<void> {
    while (this.bytesBetween(this.nowMs - 1_000, this.nowMs) <= bytesInASecond)
      await sleep(sampleMs);
  }

  /** What had gone by then, as far as was seen; between two looks evenly. */
  #at(ms: number): number {
    let [low, high] = [0, this.#samples.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#samples[middle]?.atMs ?? 0) <= ms) low = middle + 1;
      else high = middle;
    }
    const [before, after] = [this.#samples[low - 1], this.#samples[low]];
    if (!before) return after?.bytes ?? 0;
    if (!after) return before.bytes;
    const share = (ms - before.atMs) / (after.atMs - before.atMs);
    return before.bytes + share * (after.bytes - before.bytes);
  }

  #sample(): void {
    this.#samples.push({ atMs: this.nowMs, bytes: this.#bytes() });
  }

  async #sampleForEver(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#sample();
      await sleep(sampleMs, undefined, { signal }).catch(() => {});
    }
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { workIsOver } from '../shared/runtime/abort-error.ts';

/** How often the wire is looked at. */
const sampleMs = 20;

interface Sample {
  readonly atMs: number;
  readonly bytes: number;
}

/** The window that is furthest from a limit. */
export interface WorstWindow {
  readonly fromMs: number;
  readonly bytes: number;
  /** How far it is off, as a part of the limit: above 0 when it is more. */
  readonly off: number;
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

  /** The time on the meter's clock. */
  get nowMs(): number {
    return performance.now();
  }

  /** When the first of so many bytes had gone; Infinity when they have not. */
  whenGone(bytes: number): number {
    return this.#samples.find((sample) => sample.bytes >= bytes)?.atMs ?? Number.POSITIVE_INFINITY;
  }

  /** Bytes that went between two times. */
  between(fromMs: number, toMs: number): number {
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

  /** Of all windows of a length within a span the one furthest from a limit. */
  worst(
    limit: { readonly bytesPerSecond: number; readonly windowMs: number },
    [fromMs, toMs]: readonly [number, number],
  ): WorstWindow {
    const { bytesPerSecond, windowMs } = limit;
    const allowed = (bytesPerSecond * windowMs) / 1000;
    let worst: WorstWindow = { fromMs, bytes: 0, off: 0 };
    for (let startMs = fromMs; startMs + windowMs <= toMs; startMs += 5 * sampleMs) {
      const bytes = this.between(startMs, startMs + windowMs);
      const off = (bytes - allowed) / allowed;
      if (Math.abs(off) >= Math.abs(worst.off)) worst = { fromMs: startMs, bytes, off };
    }
    return worst;
  }

  /** The most that went in any window of a length, and where it began. */
  most(windowMs: number, [fromMs, toMs]: readonly [number, number]): Omit<WorstWindow, 'off'> {
    let most = { fromMs, bytes: 0 };
    for (let startMs = fromMs; startMs + windowMs <= toMs; startMs += 5 * sampleMs) {
      const bytes = this.between(startMs, startMs + windowMs);
      if (bytes > most.bytes) most = { fromMs: startMs, bytes };
    }
    return most;
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

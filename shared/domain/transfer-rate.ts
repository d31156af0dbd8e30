import type { MeasuredPace } from './transfer-pace.ts';

/** Half-life of the smoothing, in milliseconds: old samples count half after this long. */
const steadyHalfLifeMs = 2_000;
/** So many half-lives a transfer is watched until its rate alone can be trusted. */
const settledHalfLives = 5;
/** Shortest time a sample is taken over, in milliseconds. */
const sampleMsMin = 200;

/** Smoothed rate of a running transfer; pure, times are handed in and never go back. */
export class TransferRate {
  #bytesPerSecond = 0;
  #pendingBytes = 0;
  #sinceMs: number;
  #firstAtMs: number | undefined;
  readonly #halfLifeMs: number;

  /** @param halfLifeMs longer for what is heard of in large steps */
  constructor(nowMs: number, halfLifeMs = steadyHalfLifeMs) {
    this.#sinceMs = nowMs;
    this.#halfLifeMs = halfLifeMs;
  }

  /** Counts bytes that arrived by `nowMs` (monotonic). */
  add(bytes: number, nowMs: number): void {
    this.#pendingBytes += bytes;
    if (bytes > 0) this.#firstAtMs ??= nowMs;
    if (nowMs - this.#sinceMs < sampleMsMin) return;
    this.#bytesPerSecond = this.#smoothedAt(nowMs);
    this.#pendingBytes = 0;
    this.#sinceMs = nowMs;
  }

  /** Bytes per second, 0 while nothing is known; falls while nothing arrives. */
  bytesPerSecond(nowMs: number): number {
    return Math.round(this.#smoothedAt(nowMs));
  }

  /** The rate, and how far it can be trusted. */
  pace(nowMs: number): MeasuredPace {
    const watchedMs = this.#firstAtMs === undefined ? 0 : nowMs - this.#firstAtMs;
    const trust = Math.min(1, watchedMs / (settledHalfLives * this.#halfLifeMs));
    return { bytesPerSecond: this.bytesPerSecond(nowMs), trust };
  }

  #smoothedAt(nowMs: number): number {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < sampleMsMin) return this.#bytesPerSecond;
    const sample = (this.#pendingBytes * 1000) / elapsedMs;
    const weight = this.#bytesPerSecond === 0 ? 1 : 1 - 0.5 ** (elapsedMs / this.#halfLifeMs);
    return this.#bytesPerSecond + weight * (sample - this.#bytesPerSecond);
  }
}

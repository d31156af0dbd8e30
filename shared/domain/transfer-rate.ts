/** Half-life of the smoothing, in milliseconds: old samples count half after this long. */
const halfLifeMs = 2_000;
/** Shortest time a sample is taken over, in milliseconds. */
const sampleMsMin = 200;

/** Smoothed rate of a running transfer; pure, times are handed in and never go back. */
export class TransferRate {
  #bytesPerSecond = 0;
  #pendingBytes = 0;
  #sinceMs: number;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  /** Counts bytes that arrived by `nowMs` (monotonic). */
  add(bytes: number, nowMs: number): void {
    this.#pendingBytes += bytes;
    if (nowMs - this.#sinceMs < sampleMsMin) return;
    this.#bytesPerSecond = this.#smoothedAt(nowMs);
    this.#pendingBytes = 0;
    this.#sinceMs = nowMs;
  }

  /** Bytes per second, 0 while nothing is known; falls while nothing arrives. */
  bytesPerSecond(nowMs: number): number {
    return Math.round(this.#smoothedAt(nowMs));
  }

  /** Milliseconds until `remainingBytes` have arrived; 0 when unknown. */
  etaMs(remainingBytes: number, nowMs: number): number {
    const bytesPerSecond = this.bytesPerSecond(nowMs);
    return bytesPerSecond > 0 ? Math.ceil((remainingBytes * 1000) / bytesPerSecond) : 0;
  }

  #smoothedAt(nowMs: number): number {
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < sampleMsMin) return this.#bytesPerSecond;
    const sample = (this.#pendingBytes * 1000) / elapsedMs;
    const weight = this.#bytesPerSecond === 0 ? 1 : 1 - 0.5 ** (elapsedMs / halfLifeMs);
    return this.#bytesPerSecond + weight * (sample - this.#bytesPerSecond);
  }
}

/** Half-life of the smoothing, in milliseconds: old samples count half after this long. */
const halfLifeMs = 2_000;

/** Smoothed rate of a running transfer; pure, times are handed in. */
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
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < 200) return;
    const sample = (this.#pendingBytes * 1000) / elapsedMs;
    const weight = this.#bytesPerSecond === 0 ? 1 : 1 - 0.5 ** (elapsedMs / halfLifeMs);
    this.#bytesPerSecond += weight * (sample - this.#bytesPerSecond);
    this.#pendingBytes = 0;
    this.#sinceMs = nowMs;
  }

  /** Bytes per second, 0 while nothing is known. */
  get bytesPerSecond(): number {
    return Math.round(this.#bytesPerSecond);
  }

  /** Milliseconds until `remainingBytes` have arrived; 0 when unknown. */
  etaMs(remainingBytes: number): number {
    if (this.#bytesPerSecond <= 0) return 0;
    return Math.ceil((remainingBytes * 1000) / this.#bytesPerSecond);
  }
}

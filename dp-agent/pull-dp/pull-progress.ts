import { type JobBytes, percentOf } from './pull-messages.ts';

/** Least time between two progress messages of a job. */
const intervalMs = 2_000;

/** Counts the bytes of a job, and says when that is worth a message: whole percents, not too often. */
export class PullProgress {
  readonly #monotonicMs: () => number;
  #doneBytes = 0;
  #totalBytes = 0;
  #receivedBytes: number;
  #toldPercent = 0;
  #toldAtMs = Number.NEGATIVE_INFINITY;

  /** @param receivedBytes what came before, of runs that ended */
  constructor(monotonicMs: () => number, receivedBytes: number) {
    this.#monotonicMs = monotonicMs;
    this.#receivedBytes = receivedBytes;
  }

  get bytes(): JobBytes {
    return {
      doneBytes: Math.min(this.#doneBytes, this.#totalBytes),
      totalBytes: this.#totalBytes,
      receivedBytes: this.#receivedBytes,
    };
  }

  /** A run looks anew at what is missing. */
  restart(): void {
    this.#doneBytes = 0;
    this.#totalBytes = 0;
  }

  expected(bytes: number): void {
    this.#totalBytes = Math.max(0, this.#totalBytes + bytes);
  }

  received(bytes: number): void {
    this.#receivedBytes += bytes;
  }

  /** @returns whether a progress message is due, which then counts as told */
  done(bytes: number): boolean {
    this.#doneBytes += bytes;
    const percent = percentOf(this.bytes);
    const nowMs = this.#monotonicMs();
    if (percent === this.#toldPercent || nowMs - this.#toldAtMs < intervalMs) return false;
    this.#toldPercent = percent;
    this.#toldAtMs = nowMs;
    return true;
  }
}

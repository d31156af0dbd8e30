import type { Flow } from './peer-limits.ts';

/** What is left of a flow: a bucket that fills with time. Whole or broken units, as its user likes. */
export class Allowance {
  readonly #flow: Flow;
  #left: number;
  #atMs: number;

  constructor(flow: Flow, nowMs: number) {
    this.#flow = flow;
    this.#left = flow.burst;
    this.#atMs = nowMs;
  }

  /** Takes what came, be there enough or not. @returns whether there was */
  take(count: number, nowMs: number): boolean {
    this.#fill(nowMs);
    // A debt is no longer than a burst, so that nobody pays for ever for one moment.
    this.#left = Math.max(this.#left - count, -this.#flow.burst);
    return this.#left >= 0;
  }

  /** How long until one more may be taken; 0 when it may be now. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs);
    return this.#left >= 1 ? 0 : Math.ceil(((1 - this.#left) * 1_000) / this.#flow.perSecond);
  }

  /** Whether nothing is left. */
  isUsedUp(nowMs: number): boolean {
    this.#fill(nowMs);
    return this.#left < 1;
  }

  /** Whether it is as new: nothing of what was taken is remembered. */
  isFull(nowMs: number): boolean {
    this.#fill(nowMs);
    return this.#left >= this.#flow.burst;
  }

  #fill(nowMs: number): void {
    const { perSecond, burst } = this.#flow;
    this.#left = Math.min(burst, this.#left + ((nowMs - this.#atMs) * perSecond) / 1_000);
    this.#atMs = nowMs;
  }
}

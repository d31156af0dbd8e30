import type { Clock } from '../runtime/clock.ts';
import type { DownloadSources } from './download-sources.ts';
import type { DownloadWaits } from './download-waits.ts';

export interface IdleRoundsNeeds {
  readonly sources: DownloadSources;
  readonly waits: DownloadWaits;
  readonly clock: Clock;
}

/**
 * Notices that nobody gives what is missing, says so, and begins a new round when it is time: then
 * every source that only failed is asked again.
 */
export class IdleRounds {
  readonly #needs: IdleRoundsNeeds;
  #sinceMs: number | undefined;
  #restartAtMs = Number.POSITIVE_INFINITY;

  constructor(needs: IdleRoundsNeeds) {
    this.#needs = needs;
  }

  /**
   * @param isIdle whether nothing is asked of anybody now
   * @param idleMs how long that may be so before it is told
   * @returns whether it has been so for that long
   */
  look(isIdle: boolean, idleMs: number): boolean {
    if (!isIdle) {
      this.#sinceMs = undefined;
      return false;
    }
    const nowMs = this.#nowMs();
    this.#sinceMs ??= nowMs;
    if (nowMs >= this.#restartAtMs) this.#begin(nowMs);
    if (nowMs - this.#sinceMs < idleMs) return false;
    this.#tell();
    return true;
  }

  /** When to look again, at the latest. */
  dueMs(idleMs: number): number {
    const tellMs = this.#sinceMs === undefined ? Number.POSITIVE_INFINITY : this.#sinceMs + idleMs;
    return Math.min(this.#restartAtMs, tellMs > this.#nowMs() ? tellMs : Number.POSITIVE_INFINITY);
  }

  /** Something has come. */
  progressed(): void {
    this.#restartAtMs = Number.POSITIVE_INFINITY;
    this.#needs.waits.progressed();
  }

  #begin(nowMs: number): void {
    this.#restartAtMs = Number.POSITIVE_INFINITY;
    this.#sinceMs = nowMs;
    this.#needs.sources.forgive();
  }

  #tell(): void {
    if (this.#restartAtMs !== Number.POSITIVE_INFINITY) return;
    this.#restartAtMs = this.#needs.waits.exhausted(this.#needs.sources.refusal);
  }

  #nowMs(): number {
    return this.#needs.clock.monotonicMs();
  }
}

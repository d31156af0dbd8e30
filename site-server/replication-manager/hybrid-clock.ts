import { compareHybridTimes, type HybridTime } from '../../shared/domain/hybrid-time.ts';
import type { Clock } from '../../shared/runtime/clock.ts';

/** Above it the wall time moves on instead: it travels as 32 bits. */
const counterMax = 2 ** 31;

/** The first time that is later, at whatever site. */
export function justAfter({
  wallMs,
  counter,
}: Pick<HybridTime, 'wallMs' | 'counter'>): Pick<HybridTime, 'wallMs' | 'counter'> {
  return counter < counterMax
    ? { wallMs, counter: counter + 1 }
    : { wallMs: wallMs + 1, counter: 0 };
}

/**
 * The hybrid clock of a site: a wall clock that strictly rises, whatever the machine's clock does,
 * and never stands behind a time it was shown.
 */
export class HybridClock {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #siteCode: string;
  #wallMs = 0;
  #counter = 0;

  constructor(needs: { clock: Pick<Clock, 'nowMs'>; siteCode: string }) {
    this.#clock = needs.clock;
    this.#siteCode = needs.siteCode;
  }

  /** A time later than all before it. */
  now(): HybridTime {
    const wallMs = this.#clock.nowMs();
    const next = wallMs > this.#wallMs ? { wallMs, counter: 0 } : justAfter(this.latest);
    this.#wallMs = next.wallMs;
    this.#counter = next.counter;
    return this.latest;
  }

  /**
   * A whole millisecond later than all before it, at whatever site, that this clock was shown: for what
   * rows say of their own time, and are compared by.
   */
  nextMs(): number {
    const wallMs = Math.max(this.#clock.nowMs(), this.#wallMs + 1);
    this.receive({ wallMs, counter: 0 });
    return wallMs;
  }

  /** From now on this clock stands later than `time`. */
  receive({ wallMs, counter }: Pick<HybridTime, 'wallMs' | 'counter'>): void {
    const siteCode = this.#siteCode;
    if (compareHybridTimes({ wallMs, counter, siteCode }, this.latest) <= 0) return;
    this.#wallMs = wallMs;
    this.#counter = counter;
  }

  /** How far a time is in the future of this machine's clock, in milliseconds; negative in the past. */
  aheadMs({ wallMs }: Pick<HybridTime, 'wallMs'>): number {
    return wallMs - this.#clock.nowMs();
  }

  /** Where it stands: as late as everything it gave out or was shown. */
  get latest(): HybridTime {
    return { wallMs: this.#wallMs, counter: this.#counter, siteCode: this.#siteCode };
  }
}

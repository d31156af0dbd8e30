import { HourOfWeek, nextQuarterMs } from '../domain/hour-of-week.ts';
import type { Priority } from '../domain/package.ts';
import {
  freeControls,
  isLevelOpenTo,
  type TransferControls,
  type WindowLevel,
} from '../domain/transfer-controls.ts';

/**
 * What a timer that fired late may catch up: bytes of so many milliseconds. Less would lose rate on a
 * busy machine; more would show as a burst.
 */
const catchUpMs = 200;
/** Quarters of an hour in a week and a day: a grid that never opens is not searched for longer. */
const quartersMax = 8 * 24 * 4;

/** A way that content takes, and what an administrator allows on it: a DP, a route, a link. */
export class Passage {
  #controls: TransferControls = freeControls;
  #scheduleHour: HourOfWeek | undefined;
  #limitHour: HourOfWeek | undefined;
  /** Monotonic time from which the next bytes may leave. */
  #freeAtMs = Number.NEGATIVE_INFINITY;
  #blockBytes = 0;

  /** Acts from the next bytes on: what is owed under an older limit is forgiven. */
  set controls(controls: TransferControls) {
    const { schedule, limit } = controls;
    this.#controls = controls;
    this.#scheduleHour = schedule && new HourOfWeek(schedule.timeZone);
    this.#limitHour = limit?.kind === 'hourly' ? new HourOfWeek(limit.timeZone) : undefined;
    this.#freeAtMs = Number.NEGATIVE_INFINITY;
    this.#blockBytes = 0;
  }

  get controls(): TransferControls {
    return this.#controls;
  }

  get freeAtMs(): number {
    return this.#freeAtMs;
  }

  isOpenTo(priority: Priority, nowMs: number): boolean {
    return isLevelOpenTo(this.#levelAt(nowMs), priority);
  }

  /** When it opens to this priority next; undefined when it never does. */
  opensAtMs(priority: Priority, nowMs: number): number | undefined {
    if (!this.#controls.schedule?.hours.some((level) => isLevelOpenTo(level, priority))) {
      return this.#controls.schedule ? undefined : nowMs;
    }
    let thenMs = nowMs;
    for (let quarter = 0; quarter < quartersMax; quarter++) {
      if (this.isOpenTo(priority, thenMs)) return thenMs;
      thenMs = nextQuarterMs(thenMs);
    }
    return undefined;
  }

  /** Bytes per second now; undefined without a limit, and for pulses. */
  rateAt(nowMs: number): number | undefined {
    const { limit } = this.#controls;
    if (limit?.kind === 'rate') return limit.bytesPerSecond;
    if (limit?.kind !== 'hourly') return undefined;
    return limit.bytesPerSecond[this.#limitHour?.at(nowMs) ?? 0] || undefined;
  }

  /** Bytes that may leave in one go: at most a block where there are pulses. */
  get blockBytesMax(): number {
    const { limit } = this.#controls;
    return limit?.kind === 'pulse' ? limit.blockBytes : Number.POSITIVE_INFINITY;
  }

  /** So many bytes leave now. */
  charge(bytes: number, nowMs: number, monotonicMs: number): void {
    const { limit } = this.#controls;
    if (limit?.kind === 'pulse') {
      this.#chargePulse(bytes, limit, monotonicMs);
      return;
    }
    const rate = this.rateAt(nowMs);
    if (rate === undefined) return;
    this.#freeAtMs = Math.max(this.#freeAtMs, monotonicMs - catchUpMs) + (bytes * 1000) / rate;
  }

  #chargePulse(
    bytes: number,
    limit: { readonly blockBytes: number; readonly delayMs: number },
    monotonicMs: number,
  ): void {
    this.#blockBytes += bytes;
    if (this.#blockBytes < limit.blockBytes) return;
    this.#blockBytes = 0;
    this.#freeAtMs = monotonicMs + limit.delayMs;
  }

  #levelAt(nowMs: number): WindowLevel {
    const { schedule } = this.#controls;
    if (!schedule || !this.#scheduleHour) return 'open';
    return schedule.hours[this.#scheduleHour.at(nowMs)] ?? 'closed';
  }
}

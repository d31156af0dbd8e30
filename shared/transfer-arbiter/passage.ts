import { HourOfWeek, nextQuarterMs } from '../domain/hour-of-week.ts';
import type { Priority } from '../domain/package.ts';
import {
  freeControls,
  isLevelOpenTo,
  type TransferControls,
  type TransferSchedule,
  type WindowLevel,
} from '../domain/transfer-controls.ts';

/**
 * What may be caught up after a timer that fired late, or a disk that stood still: bytes of so many
 * milliseconds. Less would lose rate on a busy machine or a disk that is throttled (which holds up each
 * write for 100 ms); more would show as a burst: it is 3 % of ten seconds, of the 5 that are promised.
 */
const catchUpMs = 300;
/**
 * Quarters of an hour in two weeks and a day. Not only one: the hour of the week in which a grid opens may be
 * the one that the change of the clocks leaves out; the week after has it.
 */
const quartersMax = 15 * 24 * 4;

/** What is allowed on a passage in a week, by its quarters of an hour. */
export interface PassageAhead {
  /** The hours of the week that it goes by: the same in two quarters, and so is what is allowed. */
  readonly hours: readonly Uint8Array[];
  isOpenTo(priority: Priority, quarter: number): boolean;
  /** Bytes per second that are let through, pulses included; undefined without a limit. */
  limitAt(quarter: number): number | undefined;
}

/** A way that content takes, and what an administrator allows on it: a DP, a route, a link. */
export class Passage {
  /** Such as `dp/PS1DP1`. */
  readonly name: string;
  #controls: TransferControls = freeControls;
  #scheduleHour: HourOfWeek | undefined;
  #limitHour: HourOfWeek | undefined;
  /** Monotonic time from which the next bytes may leave. */
  #freeAtMs = Number.NEGATIVE_INFINITY;
  #blockBytes = 0;
  /** When it opens next, as was found out at a time: true until then. */
  readonly #openings = new Map<Priority, { readonly fromMs: number; readonly opensAtMs: number }>();

  constructor(name: string) {
    this.name = name;
  }

  /** Acts from the next bytes on: what is owed under an older limit is forgiven. */
  set controls(controls: TransferControls) {
    const { schedule, limit } = controls;
    this.#controls = controls;
    this.#openings.clear();
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

  /** When it opens to this priority next: now when it is open; undefined when it never does. */
  opensAtMs(priority: Priority, nowMs: number): number | undefined {
    if (this.isOpenTo(priority, nowMs)) return nowMs;
    if (!this.#controls.schedule?.hours.some((level) => isLevelOpenTo(level, priority))) {
      return undefined;
    }
    const known = this.#openings.get(priority);
    if (known && nowMs >= known.fromMs && nowMs < known.opensAtMs) return known.opensAtMs;
    const opensAtMs = this.#nextOpeningMs(priority, nowMs);
    if (opensAtMs !== undefined) this.#openings.set(priority, { fromMs: nowMs, opensAtMs });
    return opensAtMs;
  }

  /** Bytes per second now; undefined without a limit, and for pulses. */
  rateAt(nowMs: number): number | undefined {
    const { limit } = this.#controls;
    if (limit?.kind === 'rate') return limit.bytesPerSecond;
    if (limit?.kind !== 'hourly') return undefined;
    return limit.bytesPerSecond[this.#limitHour?.at(nowMs) ?? 0] || undefined;
  }

  /** Bytes per second that are let through now, pulses included; undefined without a limit. */
  limitAt(nowMs: number): number | undefined {
    const { limit } = this.#controls;
    if (limit?.kind !== 'pulse') return this.rateAt(nowMs);
    // A block for each pause, whatever else there is.
    return limit.delayMs > 0 ? (limit.blockBytes * 1000) / limit.delayMs : undefined;
  }

  /** What is allowed in a week from now on, the quarter of an hour that it is now first; for whoever looks at many. */
  ahead(nowMs: number): PassageAhead {
    const { schedule, limit } = this.#controls;
    const openHours = this.#scheduleHour?.ahead(nowMs);
    const limitHours = this.#limitHour?.ahead(nowMs);
    const timeless = limit?.kind === 'hourly' ? undefined : this.limitAt(nowMs);
    return {
      hours: [openHours, limitHours].filter((hours) => hours !== undefined),
      isOpenTo: (priority, quarter) =>
        isLevelOpenTo(schedule ? levelIn(schedule, openHours?.[quarter]) : 'open', priority),
      limitAt: (quarter) =>
        limit?.kind === 'hourly'
          ? limit.bytesPerSecond[limitHours?.[quarter] ?? 0] || undefined
          : timeless,
    };
  }

  /** Bytes of a block where there are pulses. */
  get blockBytes(): number {
    const { limit } = this.#controls;
    return limit?.kind === 'pulse' ? limit.blockBytes : Number.POSITIVE_INFINITY;
  }

  /** Bytes that may leave in one go: at most what is left of a block where there are pulses. */
  get blockBytesLeft(): number {
    return this.blockBytes - this.#blockBytes;
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

  #nextOpeningMs(priority: Priority, nowMs: number): number | undefined {
    let thenMs = nowMs;
    for (let quarter = 0; quarter < quartersMax; quarter++) {
      thenMs = nextQuarterMs(thenMs);
      if (this.isOpenTo(priority, thenMs)) return thenMs;
    }
    return undefined;
  }

  #chargePulse(
    bytes: number,
    limit: { readonly blockBytes: number; readonly delayMs: number },
    monotonicMs: number,
  ): void {
    this.#blockBytes += bytes;
    const blockCount = Math.floor(this.#blockBytes / limit.blockBytes);
    if (blockCount === 0) return;
    // Parts are no parts of a block: what went beyond it is of the next one.
    this.#blockBytes %= limit.blockBytes;
    this.#freeAtMs = monotonicMs + blockCount * limit.delayMs;
  }

  #levelAt(nowMs: number): WindowLevel {
    const { schedule } = this.#controls;
    return schedule ? levelIn(schedule, this.#scheduleHour?.at(nowMs)) : 'open';
  }
}

function levelIn({ hours }: TransferSchedule, hour = -1): WindowLevel {
  return hours[hour] ?? 'closed';
}

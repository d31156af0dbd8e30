import { nextQuarterMs, quartersOfWeek } from '../domain/hour-of-week.ts';
import type { Priority } from '../domain/package.ts';
import { expectedPace, type RemainingTransfer } from '../domain/transfer-pace.ts';
import type { Passage, PassageAhead } from './passage.ts';

/** A way of a running transfer. */
export interface SharedWay {
  readonly passage: Passage;
  /** Transfers that share its limit, this one included. */
  readonly sharerCount: number;
}

/** A transfer that is under way, and all that says when it is done. */
export interface TransferToEnd extends RemainingTransfer {
  /** All of them must let a byte through. */
  readonly ways: readonly SharedWay[];
  readonly priority: Priority;
  readonly ignoresSchedules: boolean;
}

/**
 * Milliseconds until what remains of a running transfer is through: by the schedules and limits of its ways,
 * hour by hour where they differ, and by what was measured of it. Undefined when nothing says it, or when it
 * takes longer than a week.
 */
export function remainingMs(transfer: TransferToEnd, nowMs: number): number | undefined {
  const { ways, priority, ignoresSchedules, remainingBytes, measured } = transfer;
  if (remainingBytes === 0) return 0;
  const now = tightest(ways, (passage) => passage.limitAt(nowMs));
  if (ways.every(({ passage }) => isTimeless(passage))) {
    const pace = expectedPace(measured, { now, later: now });
    return pace > 0 ? Math.ceil((remainingBytes * 1000) / pace) : undefined;
  }
  // What does not get on is not said to do so at another hour.
  if (expectedPace(measured, { now, later: undefined }) <= 0) return undefined;
  const week = new WeekAhead(ways, nowMs);
  let isOpen = false;
  let pace = 0;
  let leftBytes = remainingBytes;
  let thenMs = nowMs;
  // It is looked no further ahead than a week.
  for (let quarter = 0; quarter < quartersOfWeek; quarter++) {
    if (quarter === 0 || week.changesAt(quarter)) {
      isOpen = ignoresSchedules || week.isOpenTo(priority, quarter);
      pace = isOpen ? expectedPace(measured, { now, later: week.limitAt(quarter) }) : 0;
    }
    const untilMs = nextQuarterMs(thenMs);
    if (isOpen) {
      if (pace <= 0) return undefined;
      const neededMs = (leftBytes * 1000) / pace;
      if (thenMs + neededMs <= untilMs) return Math.ceil(thenMs + neededMs - nowMs);
      leftBytes -= (pace * (untilMs - thenMs)) / 1000;
    }
    thenMs = untilMs;
  }
  return undefined;
}

/** What the ways of a transfer allow it together, by quarters of an hour. */
class WeekAhead {
  readonly #ways: readonly { readonly passage: PassageAhead; readonly sharerCount: number }[];
  /** Most go by the same time zone. */
  readonly #hours: readonly Uint8Array[];

  constructor(ways: readonly SharedWay[], nowMs: number) {
    this.#ways = ways.map(({ passage, sharerCount }) => {
      return { passage: passage.ahead(nowMs), sharerCount };
    });
    this.#hours = [...new Set(this.#ways.flatMap(({ passage }) => passage.hours))];
  }

  /** Whether it may be something else than in the quarter before. */
  changesAt(quarter: number): boolean {
    for (const hours of this.#hours) if (hours[quarter] !== hours[quarter - 1]) return true;
    return false;
  }

  isOpenTo(priority: Priority, quarter: number): boolean {
    return this.#ways.every(({ passage }) => passage.isOpenTo(priority, quarter));
  }

  limitAt(quarter: number): number | undefined {
    return tightest(this.#ways, (passage) => passage.limitAt(quarter));
  }
}

/** Whether what holds now holds at any hour. */
function isTimeless({ controls: { schedule, limit } }: Passage): boolean {
  return !schedule && limit?.kind !== 'hourly';
}

/** This transfer's part of the tightest limit; undefined when there is none. */
function tightest<P>(
  ways: readonly { readonly passage: P; readonly sharerCount: number }[],
  limitOf: (passage: P) => number | undefined,
): number | undefined {
  let part: number | undefined;
  for (const { passage, sharerCount } of ways) {
    const limit = limitOf(passage);
    if (limit === undefined) continue;
    part = Math.min(part ?? Number.POSITIVE_INFINITY, limit / sharerCount);
  }
  return part;
}

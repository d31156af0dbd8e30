import { nextQuarterMs } from '../domain/hour-of-week.ts';
import type { Priority } from '../domain/package.ts';
import { expectedPace, type RemainingTransfer } from '../domain/transfer-pace.ts';
import type { Passage } from './passage.ts';

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

/** It is looked no further ahead: a week, in quarters of an hour. */
const quartersMax = 7 * 24 * 4;

/**
 * Milliseconds until what remains of a running transfer is through: by the schedules and limits of its ways,
 * hour by hour where they differ, and by what was measured of it. Undefined when nothing says it, or when it
 * takes longer than a week.
 */
export function remainingMs(transfer: TransferToEnd, nowMs: number): number | undefined {
  const { ways, priority, ignoresSchedules, remainingBytes, measured } = transfer;
  if (remainingBytes === 0) return 0;
  const now = limitOf(ways, nowMs);
  if (ways.every(({ passage }) => isTimeless(passage))) {
    const pace = expectedPace(measured, { now, later: now });
    return pace > 0 ? Math.ceil((remainingBytes * 1000) / pace) : undefined;
  }
  // What does not get on is not said to do so at another hour.
  if (expectedPace(measured, { now, later: undefined }) <= 0) return undefined;
  let leftBytes = remainingBytes;
  let thenMs = nowMs;
  for (let quarter = 0; quarter < quartersMax; quarter++) {
    const untilMs = nextQuarterMs(thenMs);
    if (ignoresSchedules || ways.every(({ passage }) => passage.isOpenTo(priority, thenMs))) {
      const pace = expectedPace(measured, { now, later: limitOf(ways, thenMs) });
      if (pace <= 0) return undefined;
      const neededMs = (leftBytes * 1000) / pace;
      if (thenMs + neededMs <= untilMs) return Math.ceil(thenMs + neededMs - nowMs);
      leftBytes -= (pace * (untilMs - thenMs)) / 1000;
    }
    thenMs = untilMs;
  }
  return undefined;
}

/** Whether what holds now holds at any hour. */
function isTimeless({ controls: { schedule, limit } }: Passage): boolean {
  return !schedule && limit?.kind !== 'hourly';
}

/** This transfer's part of the tightest limit; undefined when there is none. */
function limitOf(ways: readonly SharedWay[], thenMs: number): number | undefined {
  let tightest: number | undefined;
  for (const { passage, sharerCount } of ways) {
    const limit = passage.limitAt(thenMs);
    if (limit === undefined) continue;
    tightest = Math.min(tightest ?? Number.POSITIVE_INFINITY, limit / sharerCount);
  }
  return tightest;
}

import { nextQuarterMs } from '../domain/hour-of-week.ts';
import type { Priority } from '../domain/package.ts';
import type { TransferControls } from '../domain/transfer-controls.ts';
import { Passage } from './passage.ts';

/** Bytes that would go a way, and what is known of it. */
export interface ForecastSubject {
  readonly bytes: number;
  readonly priority: Priority;
  /** What is set for the passages of the way, all of which must let a byte through. */
  readonly controls: readonly TransferControls[];
  /** What was measured of the way, in bytes per second; 0: nothing was. */
  readonly measuredBytesPerSecond: number;
}

/** When bytes would be through. */
export interface TransferForecast {
  /** Until the schedules let it begin; 0: now. */
  readonly waitsMs: number;
  /** From now to the end, waits included; undefined when that cannot be said. */
  readonly durationMs: number | undefined;
  /** Why it cannot be said. */
  readonly unknown?: 'no-rate' | 'never-open' | 'too-long';
  /** What it begins with; 0: not known. */
  readonly bytesPerSecond: number;
  /** What settles that. */
  readonly pace?: 'limit' | 'measured';
}

/** A forecast looks no further ahead: eight weeks, in quarters of an hour. */
const quartersMax = 8 * 7 * 24 * 4;

interface Pace {
  readonly bytesPerSecond: number;
  readonly pace?: 'limit' | 'measured';
}

/**
 * How long bytes take on their way alone, as the arbiter would let them: by its schedules, its limits
 * and what was measured of it. Walks through the hours only where something is set by the hour.
 */
export function forecastTransfer(subject: ForecastSubject, nowMs: number): TransferForecast {
  const passages = subject.controls.map((controls, index) => {
    const passage = new Passage(`${index}`);
    passage.controls = controls;
    return passage;
  });
  const beginsAtMs = beginOf(passages, subject.priority, nowMs);
  if (subject.bytes === 0) return { waitsMs: 0, durationMs: 0, bytesPerSecond: 0 };
  if (beginsAtMs === undefined) {
    return { waitsMs: 0, durationMs: undefined, unknown: 'never-open', bytesPerSecond: 0 };
  }
  const first = paceAt(passages, subject, beginsAtMs);
  const facts = { waitsMs: beginsAtMs - nowMs, ...first };
  if (first.pace === undefined) return { ...facts, durationMs: undefined, unknown: 'no-rate' };
  const endsAtMs = isTimeless(subject)
    ? beginsAtMs + (subject.bytes * 1000) / first.bytesPerSecond
    : endOf(passages, subject, beginsAtMs);
  if (endsAtMs === undefined) return { ...facts, durationMs: undefined, unknown: 'too-long' };
  return { ...facts, durationMs: Math.ceil(endsAtMs - nowMs) };
}

/** The first quarter in which all are open together. */
function beginOf(
  passages: readonly Passage[],
  priority: Priority,
  nowMs: number,
): number | undefined {
  let thenMs = nowMs;
  for (let quarter = 0; quarter < quartersMax; quarter++) {
    if (passages.every((one) => one.isOpenTo(priority, thenMs))) return thenMs;
    // Of one that never opens all is said at once.
    if (passages.some((one) => one.opensAtMs(priority, thenMs) === undefined)) return undefined;
    thenMs = nextQuarterMs(thenMs);
  }
  return undefined;
}

/** Whether what is so now is so at any hour. */
function isTimeless({ controls }: ForecastSubject): boolean {
  return controls.every(({ schedule, limit }) => !schedule && limit?.kind !== 'hourly');
}

/** Quarter by quarter; undefined when it is not through within the weeks that are looked at. */
function endOf(
  passages: readonly Passage[],
  subject: ForecastSubject,
  beginsAtMs: number,
): number | undefined {
  let left = subject.bytes;
  let thenMs = beginsAtMs;
  for (let quarter = 0; quarter < quartersMax; quarter++) {
    const untilMs = nextQuarterMs(thenMs);
    if (passages.every((one) => one.isOpenTo(subject.priority, thenMs))) {
      const { bytesPerSecond, pace } = paceAt(passages, subject, thenMs);
      // An hour without a limit, and nothing measured: nobody can say how much gets through.
      if (pace === undefined) return undefined;
      const neededMs = (left * 1000) / bytesPerSecond;
      if (thenMs + neededMs <= untilMs) return thenMs + neededMs;
      left -= (bytesPerSecond * (untilMs - thenMs)) / 1000;
    }
    thenMs = untilMs;
  }
  return undefined;
}

function paceAt(passages: readonly Passage[], subject: ForecastSubject, thenMs: number): Pace {
  const limits = passages.map((one) => one.limitAt(thenMs)).filter((one) => one !== undefined);
  const limit = Math.min(...limits);
  const { measuredBytesPerSecond: measured } = subject;
  if (measured > 0 && measured <= limit) return { bytesPerSecond: measured, pace: 'measured' };
  if (limits.length > 0) return { bytesPerSecond: limit, pace: 'limit' };
  return { bytesPerSecond: 0 };
}

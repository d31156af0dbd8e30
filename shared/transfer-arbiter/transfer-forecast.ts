import { nextQuarterMs } from '../domain/hour-of-week.ts';
import type { Priority } from '../domain/package.ts';
import type { TransferControls } from '../domain/transfer-controls.ts';
import { Passage } from './passage.ts';

/** A way, and what is known of it. */
export interface ForecastWay {
  readonly priority: Priority;
  /** What is set for the passages of the way, all of which must let a byte through. */
  readonly controls: readonly TransferControls[];
  /** What was measured of the way, in bytes per second; 0: nothing was. */
  readonly measuredBytesPerSecond: number;
}

/** Bytes that would go a way. */
export interface ForecastSubject extends ForecastWay {
  readonly bytes: number;
}

/** Bytes that come to a way at a time of their own. */
export interface ComingBytes {
  readonly fromMs: number;
  readonly bytes: number;
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
  return forecastComing(subject, [{ fromMs: nowMs, bytes: subject.bytes }], nowMs);
}

/**
 * The same of bytes that share the way and come to it at different times.
 *
 * @param all the first ones first
 */
export function forecastComing(
  way: ForecastWay,
  all: readonly ComingBytes[],
  nowMs: number,
): TransferForecast {
  const coming = all.filter(({ bytes }) => bytes > 0);
  const [first] = coming;
  if (!first) return { waitsMs: 0, durationMs: 0, bytesPerSecond: 0 };
  const passages = way.controls.map((controls, index) => {
    const passage = new Passage(`${index}`);
    passage.controls = controls;
    return passage;
  });
  const beginsAtMs = beginOf(passages, way.priority, first.fromMs);
  if (beginsAtMs === undefined) {
    return { waitsMs: 0, durationMs: undefined, unknown: 'never-open', bytesPerSecond: 0 };
  }
  const pace = paceAt(passages, way, beginsAtMs);
  const facts = { waitsMs: beginsAtMs - nowMs, ...pace };
  if (pace.pace === undefined) return { ...facts, durationMs: undefined, unknown: 'no-rate' };
  const endsAtMs = isTimeless(way)
    ? steadyEndOf(coming, pace.bytesPerSecond)
    : endOf(passages, way, { coming, beginsAtMs });
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
function isTimeless({ controls }: ForecastWay): boolean {
  return controls.every(({ schedule, limit }) => !schedule && limit?.kind !== 'hourly');
}

function steadyEndOf(coming: readonly ComingBytes[], bytesPerSecond: number): number {
  return coming.reduce(
    (endsAtMs, { fromMs, bytes }) => Math.max(endsAtMs, fromMs) + (bytes * 1000) / bytesPerSecond,
    Number.NEGATIVE_INFINITY,
  );
}

/** Quarter by quarter, in one walk; undefined when it is not through within the weeks that are looked at. */
function endOf(
  passages: readonly Passage[],
  way: ForecastWay,
  { coming, beginsAtMs }: { readonly coming: readonly ComingBytes[]; readonly beginsAtMs: number },
): number | undefined {
  let left = 0;
  let thenMs = beginsAtMs;
  let comeCount = 0;
  for (let step = 0; step < quartersMax + coming.length; step++) {
    for (let come = coming[comeCount]; come && come.fromMs <= thenMs; come = coming[comeCount]) {
      left += come.bytes;
      comeCount += 1;
    }
    const nextMs = coming[comeCount]?.fromMs ?? Number.POSITIVE_INFINITY;
    const untilMs = Math.min(nextQuarterMs(thenMs), nextMs);
    if (passages.every((one) => one.isOpenTo(way.priority, thenMs))) {
      const { bytesPerSecond, pace } = paceAt(passages, way, thenMs);
      // An hour without a limit, and nothing measured: nobody can say how much gets through.
      if (pace === undefined) return undefined;
      const neededMs = (left * 1000) / bytesPerSecond;
      const isThrough = thenMs + neededMs <= untilMs;
      if (isThrough && nextMs === Number.POSITIVE_INFINITY) return thenMs + neededMs;
      left = isThrough ? 0 : left - (bytesPerSecond * (untilMs - thenMs)) / 1000;
    }
    // Nothing is on the way until the next ones come.
    thenMs = left === 0 ? nextMs : untilMs;
  }
  return undefined;
}

function paceAt(passages: readonly Passage[], way: ForecastWay, thenMs: number): Pace {
  const limits = passages.map((one) => one.limitAt(thenMs)).filter((one) => one !== undefined);
  const limit = Math.min(...limits);
  const { measuredBytesPerSecond: measured } = way;
  if (measured > 0 && measured <= limit) return { bytesPerSecond: measured, pace: 'measured' };
  if (limits.length > 0) return { bytesPerSecond: limit, pace: 'limit' };
  return { bytesPerSecond: 0 };
}

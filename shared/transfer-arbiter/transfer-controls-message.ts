import { isTimeZone } from '../domain/hour-of-week.ts';
import { quoted, requestInvalid } from '../domain/request-invalid.ts';
import {
  bytesPerSecondMax,
  bytesPerSecondMin,
  hoursOfWeek,
  pulseBlockBytesMax,
  pulseBlockBytesMin,
  pulseDelayMsMax,
  type RateLimit,
  type TransferControls,
  type TransferSchedule,
  type WindowLevel,
} from '../domain/transfer-controls.ts';
import type { TransferControlsPatch } from '../domain/transfer-controls-patch.ts';
import type {
  RateLimit__Output,
  RateLimit as RateLimitMessage,
} from '../rpc/generated/waybill/v1/RateLimit.ts';
import type {
  TransferControls as ControlsMessage,
  TransferControls__Output,
} from '../rpc/generated/waybill/v1/TransferControls.ts';
import type {
  TransferControlsPatch as PatchMessage,
  TransferControlsPatch__Output,
} from '../rpc/generated/waybill/v1/TransferControlsPatch.ts';
import type { TransferSchedule__Output } from '../rpc/generated/waybill/v1/TransferSchedule.ts';
import type { WindowLevel__Output as LevelName } from '../rpc/generated/waybill/v1/WindowLevel.ts';

const levelNames: Record<WindowLevel, LevelName> = {
  open: 'WINDOW_LEVEL_OPEN',
  'medium-and-high': 'WINDOW_LEVEL_MEDIUM_AND_HIGH',
  'high-only': 'WINDOW_LEVEL_HIGH_ONLY',
  closed: 'WINDOW_LEVEL_CLOSED',
};
const levels = new Map(
  Object.entries(levelNames).map(([level, name]) => [name, level as WindowLevel]),
);

/** Controls as they travel. */
export function toTransferControlsMessage({ schedule, limit }: TransferControls): ControlsMessage {
  return {
    ...(schedule && {
      schedule: {
        timeZone: schedule.timeZone,
        hours: schedule.hours.map((level) => levelNames[level]),
      },
    }),
    ...(limit && { limit: toLimitMessage(limit) }),
  };
}

/**
 * Controls that came over the wire.
 *
 * @param field what they are called where they came from
 * @throws REQUEST_INVALID, with the field, what was expected, and what came
 */
export function toTransferControls(
  { schedule, limit }: TransferControls__Output,
  field: string,
): TransferControls {
  return {
    ...(schedule && { schedule: toSchedule(schedule, `${field}.schedule`) }),
    ...(limit && { limit: toLimit(limit, `${field}.limit`) }),
  };
}

/**
 * What to change of controls, as it came over the wire.
 *
 * @param field what it is called where it came from
 * @throws REQUEST_INVALID, with the field, what was expected, and what came
 */
export function toTransferControlsPatch(
  { schedule, alwaysOpen, limit, noLimit }: TransferControlsPatch__Output,
  field: string,
): TransferControlsPatch {
  return {
    ...(alwaysOpen && { schedule: 'none' }),
    ...(schedule && { schedule: toSchedule(schedule, `${field}.schedule`) }),
    ...(noLimit && { limit: 'none' }),
    ...(limit && { limit: toLimit(limit, `${field}.limit`) }),
  };
}

/** What to change of controls, as it travels. */
export function toTransferControlsPatchMessage({
  schedule,
  limit,
}: TransferControlsPatch): PatchMessage {
  return {
    ...(schedule === 'none'
      ? { alwaysOpen: true }
      : schedule && toTransferControlsMessage({ schedule })),
    ...(limit === 'none' ? { noLimit: true } : limit && toTransferControlsMessage({ limit })),
  };
}

function toSchedule(
  { timeZone, hours }: TransferSchedule__Output,
  field: string,
): TransferSchedule {
  requireHours(hours.length, `${field}.hours`);
  return {
    timeZone: requireTimeZone(timeZone, `${field}.time_zone`),
    hours: hours.map((name, hour) => {
      const level = levels.get(name);
      if (level) return level;
      const expected = `one of ${[...levels.keys()].join(', ')}`;
      throw requestInvalid(`${field}.hours[${hour}]`, { expected, actual: quoted(`${name}`) });
    }),
  };
}

function toLimitMessage(limit: RateLimit): RateLimitMessage {
  const { kind } = limit;
  if (kind === 'rate') return { bytesPerSecond: limit.bytesPerSecond };
  if (kind === 'pulse') {
    return { pulse: { blockBytes: limit.blockBytes, delayMs: limit.delayMs } };
  }
  const { timeZone, bytesPerSecond } = limit;
  return { hourly: { timeZone, bytesPerSecond: [...bytesPerSecond] } };
}

function toLimit({ kind, bytesPerSecond, pulse, hourly }: RateLimit__Output, field: string) {
  if (kind === 'bytesPerSecond') {
    return { kind: 'rate', bytesPerSecond: toRate(bytesPerSecond, field) } as const;
  }
  if (kind === 'pulse' && pulse) return toPulse(pulse, `${field}.pulse`);
  if (kind === 'hourly' && hourly) return toHourly(hourly, `${field}.hourly`);
  throw requestInvalid(field, { expected: 'a rate, pulses, or rates by hour', actual: 'none' });
}

function toPulse(
  { blockBytes, delayMs }: { readonly blockBytes: string; readonly delayMs: number },
  field: string,
): RateLimit {
  const block = [pulseBlockBytesMin, pulseBlockBytesMax] as const;
  return {
    kind: 'pulse',
    blockBytes: requireWithin(Number(blockBytes), block, `${field}.block_bytes`),
    delayMs: requireWithin(delayMs, [1, pulseDelayMsMax], `${field}.delay_ms`),
  };
}

function toHourly(
  { timeZone, bytesPerSecond }: { readonly timeZone: string; readonly bytesPerSecond: string[] },
  field: string,
): RateLimit {
  requireHours(bytesPerSecond.length, `${field}.bytes_per_second`);
  return {
    kind: 'hourly',
    timeZone: requireTimeZone(timeZone, `${field}.time_zone`),
    bytesPerSecond: bytesPerSecond.map((rate, hour) =>
      rate === '0' ? 0 : toRate(rate, `${field}.bytes_per_second[${hour}]`),
    ),
  };
}

function toRate(text: string | undefined, field: string): number {
  return requireWithin(Number(text), [bytesPerSecondMin, bytesPerSecondMax], field);
}

function requireWithin(
  value: number,
  [least, most]: readonly [number, number],
  field: string,
): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw requestInvalid(field, { expected: `${least} to ${most}`, actual: `${value}` });
}

function requireHours(count: number, field: string): void {
  if (count === hoursOfWeek) return;
  const expected = `${hoursOfWeek} values, one for each hour of the week`;
  throw requestInvalid(field, { expected, actual: `${count}` });
}

function requireTimeZone(timeZone: string, field: string): string {
  if (isTimeZone(timeZone)) return timeZone;
  const expected = 'the IANA name of a time zone, such as Europe/Madrid';
  throw requestInvalid(field, { expected, actual: quoted(timeZone) });
}

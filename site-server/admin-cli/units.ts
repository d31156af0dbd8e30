import { toDurationText } from '../../shared/runtime/duration-text.ts';

const binary = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'] as const;
const decimal = ['B/s', 'kB/s', 'MB/s', 'GB/s', 'TB/s', 'PB/s', 'EB/s'] as const;

/** Bytes for reading, in powers of 1024: `0 B`, `1.5 MiB`, `27.3 GiB`. */
export function toByteText(bytes: number): string {
  return scaled(bytes, 1024, binary);
}

/**
 * A rate for reading, in powers of 1000: `512 B/s`, `5 MB/s`, `45.2 MB/s`. What an administrator has set is shown
 * as it is to be typed (`rate-text.ts`), which is the same text where three digits say it all.
 */
export function toRateText(bytesPerSecond: number): string {
  return scaled(bytesPerSecond, 1000, decimal);
}

/** A time that is still to come; nobody waits for less than a second: `<1 s`, `24 s`. */
export function toWaitText(ms: number): string {
  return ms < 1000 ? '<1 s' : toDurationText(ms);
}

/** How long ago something was, `never` for 0: `just now`, `3 min ago`. */
export function toAgeText(thenMs: number, nowMs: number): string {
  if (thenMs === 0) return 'never';
  return nowMs - thenMs < 1000 ? 'just now' : `${toDurationText(nowMs - thenMs)} ago`;
}

/** Counts with separated thousands: `12,345`. */
export function toCountText(count: number): string {
  return count.toLocaleString('en-US');
}

/** `1 file`, `12,345 files`. */
export function toCountOf(count: number, noun: string): string {
  return `${toCountText(count)} ${noun}${count === 1 ? '' : 's'}`;
}

function scaled(amount: number, step: number, units: readonly string[]): string {
  let value = amount;
  let index = 0;
  // 999.5 would be written as 1000 with three digits.
  while (value >= (index === 0 ? step : 999.5) && index < units.length - 1) {
    value /= step;
    index++;
  }
  const digits = index === 0 ? 0 : value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  // `5` and not `5.00`: so is written what an administrator sets.
  return `${Number(value.toFixed(digits))} ${units[index]}`;
}

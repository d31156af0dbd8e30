import type { Priority } from './package.ts';

/** Whose content may leave in an hour: everybody's, or that of packages of such a priority. */
export const windowLevels = ['open', 'medium-and-high', 'high-only', 'closed'] as const;

export type WindowLevel = (typeof windowLevels)[number];

/** Hours of a week: the grid of a schedule has a value for each. */
export const hoursOfWeek = 7 * 24;

/** When content may leave (PTM-5). */
export interface TransferSchedule {
  /** IANA name, such as Europe/Madrid. */
  readonly timeZone: string;
  /** One for each hour of the week, Monday 00:00 first. */
  readonly hours: readonly WindowLevel[];
}

/** How fast content may leave (PTM-6). */
export type RateLimit =
  | { readonly kind: 'rate'; readonly bytesPerSecond: number }
  /** Blocks of so many bytes with a pause after each. */
  | { readonly kind: 'pulse'; readonly blockBytes: number; readonly delayMs: number }
  | {
      readonly kind: 'hourly';
      readonly timeZone: string;
      /** One for each hour of the week, Monday 00:00 first; 0: no limit in that hour. */
      readonly bytesPerSecond: readonly number[];
    };

/** What an administrator has set for a way that content takes; absent: always open, no limit. */
export interface TransferControls {
  readonly schedule?: TransferSchedule;
  readonly limit?: RateLimit;
}

/** No schedule, no limit. */
export const freeControls: TransferControls = {};

/** Least and most of a limit, in bytes per second: 1 KiB is what a serial line carries. */
export const bytesPerSecondMin = 1024;
export const bytesPerSecondMax = 1e12;
/** Bytes of a pulse's block, and its pause. */
export const pulseBlockBytesMin = 4096;
export const pulseBlockBytesMax = 2 ** 30;
export const pulseDelayMsMax = 60_000;

/** Priorities of packages to which a schedule opens in some hour of the week, the highest first. */
export function prioritiesOpenTo({ hours }: Pick<TransferSchedule, 'hours'>): Priority[] {
  const levels = [...new Set(hours)];
  const all: readonly Priority[] = [1, 2, 3];
  return all.filter((priority) => levels.some((level) => isLevelOpenTo(level, priority)));
}

/** Whether a package of this priority may travel in an hour of this level. */
export function isLevelOpenTo(level: WindowLevel, priority: Priority): boolean {
  if (level === 'open') return true;
  if (level === 'medium-and-high') return priority <= 2;
  return level === 'high-only' && priority === 1;
}

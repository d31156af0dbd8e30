/** Latest moment that a date can say. */
const latestMs = 8.64e15;
const noDate = 'no date';

/**
 * A moment as `2026-03-14 09:26:53`, empty for 0; `no date` for one that no date can say: a number of somebody
 * else's is not to keep what stands beside it from being shown.
 *
 * @param timeZone IANA name; absent: the zone of this machine
 */
export function toTimeText(timeMs: number, timeZone: string | undefined): string {
  if (timeMs === 0) return '';
  if (!(Math.abs(timeMs) <= latestMs)) return noDate;
  // Sweden writes dates as ISO 8601 does.
  return new Intl.DateTimeFormat('sv-SE', {
    dateStyle: 'short',
    timeStyle: 'medium',
    ...(timeZone === undefined ? {} : { timeZone }),
  }).format(timeMs);
}

/** The day of a moment as `2026-03-14`, empty for 0, `no date` as there. @param timeZone as of `toTimeText` */
export function toDayText(timeMs: number, timeZone: string | undefined): string {
  const text = toTimeText(timeMs, timeZone);
  return text === noDate ? text : (text.split(' ', 1)[0] ?? '');
}

/**
 * A moment as `2026-03-14 09:26:53`, empty for 0.
 *
 * @param timeZone IANA name; absent: the zone of this machine
 */
export function toTimeText(timeMs: number, timeZone: string | undefined): string {
  if (timeMs === 0) return '';
  // Sweden writes dates as ISO 8601 does.
  return new Intl.DateTimeFormat('sv-SE', {
    dateStyle: 'short',
    timeStyle: 'medium',
    ...(timeZone === undefined ? {} : { timeZone }),
  }).format(timeMs);
}

/** The day of a moment as `2026-03-14`, empty for 0. @param timeZone as of `toTimeText` */
export function toDayText(timeMs: number, timeZone: string | undefined): string {
  return toTimeText(timeMs, timeZone).split(' ', 1)[0] ?? '';
}

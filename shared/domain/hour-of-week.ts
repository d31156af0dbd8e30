const quarterMs = 15 * 60_000;
const weekdays = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];

/**
 * Which hour of the week it is in a time zone. All offsets in use, and all their changes, are whole
 * quarters of an hour, so what is said holds until the next full quarter.
 */
export class HourOfWeek {
  readonly #format: Intl.DateTimeFormat;
  #quarter = Number.NaN;
  #hour = 0;

  /** @throws RangeError when there is no such time zone */
  constructor(timeZone: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      ...{ timeZone, weekday: 'short', hour: 'numeric', hourCycle: 'h23' },
    });
  }

  /** From 0, Monday 00:00 to 01:00 of the local time, to 167. */
  at(nowMs: number): number {
    const quarter = Math.floor(nowMs / quarterMs);
    if (quarter !== this.#quarter) {
      this.#hour = this.#hourOf(quarter * quarterMs);
      this.#quarter = quarter;
    }
    return this.#hour;
  }

  #hourOf(thenMs: number): number {
    const parts = this.#format.formatToParts(thenMs);
    const textOf = (type: string) => parts.find((part) => part.type === type)?.value ?? '';
    return weekdays.indexOf(textOf('weekday')) * 24 + Number(textOf('hour'));
  }
}

/** The next full quarter of an hour, in milliseconds since the epoch. */
export function nextQuarterMs(nowMs: number): number {
  return (Math.floor(nowMs / quarterMs) + 1) * quarterMs;
}

/** Whether the machine knows a time zone of this name. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

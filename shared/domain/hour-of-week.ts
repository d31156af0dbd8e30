const quarterMs = 15 * 60_000;
const weekdays = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];

/** Quarters of an hour in a week. */
export const quartersOfWeek = 7 * 24 * 4;

/** Quarters remembered of a time zone: as many as eight weeks have, so far ahead is looked. */
const quartersMax = 8 * quartersOfWeek;
/** Time zones that are remembered. */
const timeZonesMax = 64;
/** Spellings of names of time zones that are remembered. */
const spellingsMax = 1_024;

/**
 * Which hour of the week it is in a time zone. All offsets in use, and all their changes, are whole
 * quarters of an hour, so what is said holds until the next full quarter. Whoever looks ahead asks for the
 * same quarters again and again, and the system takes its time: what it said is remembered, by time zone, however its
 * name is spelled, and not by whoever has asked.
 */
export class HourOfWeek {
  readonly #timeZone: string;
  #quarter = Number.NaN;
  #hour = 0;

  /** @throws RangeError when there is no such time zone */
  constructor(timeZone: string) {
    this.#timeZone = ownNameOf(timeZone);
  }

  /** From 0, Monday 00:00 to 01:00 of the local time, to 167. */
  at(nowMs: number): number {
    const quarter = Math.floor(nowMs / quarterMs);
    if (quarter !== this.#quarter) {
      this.#hour = hoursOfZone(this.#timeZone).of(quarter);
      this.#quarter = quarter;
    }
    return this.#hour;
  }

  /** The same for each quarter of an hour of a week, the one of `nowMs` first. */
  ahead(nowMs: number): Uint8Array {
    return hoursOfZone(this.#timeZone).ahead(Math.floor(nowMs / quarterMs));
  }
}

/** The hours of the week of a time zone, by quarter since the epoch. */
class HoursOfZone {
  readonly #format: Intl.DateTimeFormat;
  readonly #hours = new Map<number, number>();
  /** Of the week that was asked for last: of many transfers the same one. */
  #ahead: { readonly quarter: number; readonly hours: Uint8Array } | undefined;

  constructor(timeZone: string) {
    this.#format = new Intl.DateTimeFormat('en-US', {
      ...{ timeZone, weekday: 'short', hour: 'numeric', hourCycle: 'h23' },
    });
  }

  of(quarter: number): number {
    const known = this.#hours.get(quarter);
    if (known !== undefined) return known;
    const hour = this.#hourOf(quarter * quarterMs);
    if (this.#hours.size >= quartersMax) this.#hours.clear();
    this.#hours.set(quarter, hour);
    return hour;
  }

  ahead(quarter: number): Uint8Array {
    if (this.#ahead?.quarter !== quarter) {
      const hours = Uint8Array.from({ length: quartersOfWeek }, (_, at) => this.of(quarter + at));
      this.#ahead = { quarter, hours };
    }
    return this.#ahead.hours;
  }

  #hourOf(thenMs: number): number {
    const parts = this.#format.formatToParts(thenMs);
    const textOf = (type: string) => parts.find((part) => part.type === type)?.value ?? '';
    return weekdays.indexOf(textOf('weekday')) * 24 + Number(textOf('hour'));
  }
}

const zones = new Map<string, HoursOfZone>();

/** @param timeZone its own name */
function hoursOfZone(timeZone: string): HoursOfZone {
  const known = zones.get(timeZone);
  if (known) return known;
  const zone = new HoursOfZone(timeZone);
  if (zones.size >= timeZonesMax) zones.clear();
  zones.set(timeZone, zone);
  return zone;
}

const ownNames = new Map<string, string>();

/** The name of a time zone as the system spells it: upper and lower case mean the same. */
function ownNameOf(spelling: string): string {
  const known = ownNames.get(spelling);
  if (known !== undefined) return known;
  const { timeZone } = new Intl.DateTimeFormat('en-US', { timeZone: spelling }).resolvedOptions();
  if (ownNames.size >= spellingsMax) ownNames.clear();
  ownNames.set(spelling, timeZone);
  return timeZone;
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

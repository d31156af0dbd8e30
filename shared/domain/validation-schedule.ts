/** How often the packages on a DP are validated (PKG-8); absent in the DP's row: never by itself. */
export interface ValidationSchedule {
  /** From 1 to `everyHoursMax`. */
  readonly everyHours: number;
  /** 0: as the DP is configured. */
  readonly bytesPerSecond: number;
}

/** What a DP's site remembers of a schedule: the row of "validation schedules". */
export interface KnownSchedule {
  readonly everyHours: number;
  /** When it was seen first: nothing before that was missed. */
  readonly sinceMs: number;
}

/** A year. */
export const everyHoursMax = 8_784;

const hourMs = 3_600_000;

/**
 * The time at which a package on a DP was due last. Each has a place of its own in the period, the same
 * for ever, so that a DP's disk has its work spread over all of it.
 *
 * @param name of the package on the DP
 */
export function lastSlotMs(name: string, everyHours: number, nowMs: number): number {
  const everyMs = everyHours * hourMs;
  const phaseMs = Math.floor(fractionOf(name) * everyMs);
  return Math.floor((nowMs - phaseMs) / everyMs) * everyMs + phaseMs;
}

/**
 * The slot that is due: the last one, unless it was before the schedule, or a validation was asked for
 * since. What was missed while a site was down is due once. A wish from the future is of a clock that was
 * wrong, and counts for nothing.
 */
export function dueSlotMs(
  name: string,
  schedule: KnownSchedule,
  times: { readonly wishedAtMs: number; readonly nowMs: number },
): number | undefined {
  const { wishedAtMs, nowMs } = times;
  const slotMs = lastSlotMs(name, schedule.everyHours, nowMs);
  const doneMs = wishedAtMs > nowMs ? 0 : wishedAtMs;
  return slotMs > Math.max(schedule.sinceMs, doneMs) ? slotMs : undefined;
}

/** From 0 up to 1, the same for the same text: FNV-1a, which spreads names well enough. */
function fractionOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193) >>> 0;
  }
  // Its upper bits tell short texts apart too little: mixed once more.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b) >>> 0;
  return ((hash ^ (hash >>> 13)) >>> 0) / 2 ** 32;
}

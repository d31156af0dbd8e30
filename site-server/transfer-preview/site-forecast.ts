import {
  type ForecastSubject,
  forecastTransfer,
  type TransferForecast,
} from '../../shared/transfer-arbiter/transfer-forecast.ts';

/** A transfer to a DP of a site, as far as time is concerned. */
export interface QueuedTransfer {
  readonly subject: ForecastSubject;
  /** Pull DPs take no place among those that are sent to. */
  readonly isPull: boolean;
  /** Lower goes first. */
  readonly dpPriority: number;
}

/**
 * How long the DPs of a site take together: so many at once, the others as places become free; a place is
 * taken only while the DP's own schedule is open. What shares a link takes at least as long as that.
 *
 * @param links what is known of the links that they share
 */
export function forecastSite(
  transfers: readonly QueuedTransfer[],
  { atOnceMax, links }: { atOnceMax: number; links: readonly TransferForecast[] },
  nowMs: number,
): TransferForecast {
  const bytes = transfers.reduce((sum, { subject }) => sum + subject.bytes, 0);
  if (bytes === 0) return { waitsMs: 0, durationMs: 0, bytesPerSecond: 0 };
  const places = new Array<number>(atOnceMax).fill(nowMs);
  const queue = transfers
    .map((one) => ({ ...one, alone: forecastTransfer(one.subject, nowMs) }))
    .sort((a, b) => a.alone.waitsMs - b.alone.waitsMs || a.dpPriority - b.dpPriority);
  const ends: number[] = [];
  for (const { subject, isPull, alone } of queue) {
    const place = places.indexOf(Math.min(...places));
    const beginsAtMs = isPull ? nowMs : Math.max(places[place] ?? nowMs, nowMs + alone.waitsMs);
    const { durationMs, unknown } = forecastTransfer(subject, beginsAtMs);
    if (durationMs === undefined) return unknownOf(unknown, alone);
    ends.push(beginsAtMs + durationMs);
    if (!isPull) places[place] = beginsAtMs + durationMs;
  }
  const ofLinks = links.map((one) => nowMs + (one.durationMs ?? 0));
  const waitsMs = Math.min(...queue.map(({ alone }) => alone.waitsMs));
  const durationMs = Math.max(...ends, ...ofLinks) - nowMs;
  return { waitsMs, durationMs, bytesPerSecond: 0 };
}

function unknownOf(
  unknown: TransferForecast['unknown'],
  { waitsMs }: TransferForecast,
): TransferForecast {
  return { waitsMs, durationMs: undefined, bytesPerSecond: 0, ...(unknown && { unknown }) };
}

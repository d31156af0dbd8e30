import type { Priority } from '../../shared/domain/package.ts';
import type { TransferControls } from '../../shared/domain/transfer-controls.ts';
import {
  forecastComing,
  type TransferForecast,
} from '../../shared/transfer-arbiter/transfer-forecast.ts';

/** What would go over a link to one place, and when it would be there if it had the link alone. */
export interface LinkPart {
  readonly bytes: number;
  readonly forecast: TransferForecast;
}

/** A link, for what goes over it. */
export interface ForecastLink {
  readonly controls: TransferControls;
  readonly priority: Priority;
}

/**
 * When what goes over a link begins and is through: it begins with the first of its parts, ends with none
 * of them earlier, and whatever begins at some time or later goes through the link together after that.
 *
 * @param parts those with something to bring
 */
export function forecastLink(
  { controls, priority }: ForecastLink,
  parts: readonly LinkPart[],
  nowMs: number,
): TransferForecast {
  const opening = parts
    .filter(({ forecast }) => forecast.unknown !== 'never-open')
    .sort((a, b) => a.forecast.waitsMs - b.forecast.waitsMs);
  const waitsMs = opening[0]?.forecast.waitsMs ?? 0;
  const coming = opening.map(({ bytes, forecast }) => {
    return { fromMs: nowMs + forecast.waitsMs, bytes };
  });
  const way = { priority, controls: [controls], measuredBytesPerSecond: 0 };
  const together = forecastComing(way, coming, nowMs);
  const { bytesPerSecond, pace } = together;
  const facts = { waitsMs, bytesPerSecond, ...(pace && { pace }) };
  const unknown = parts.find(({ forecast }) => forecast.durationMs === undefined)?.forecast.unknown;
  if (unknown) return { ...facts, durationMs: undefined, unknown };
  if (together.unknown === 'too-long')
    return { ...facts, durationMs: undefined, unknown: 'too-long' };
  // A link without a limit holds nothing back: then its parts say all.
  const ofParts = parts.map(({ forecast }) => forecast.durationMs ?? 0);
  return { ...facts, durationMs: Math.max(together.durationMs ?? 0, ...ofParts) };
}

import type { Paint } from '../../shared/runtime/text-style.ts';
import { toByteText, toRateText, toWaitText } from './units.ts';

/** Bytes of a transfer, done and in all. */
export interface Progress {
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
  /** 0 when unknown. */
  readonly etaMs: number;
}

/** 0 to 100, whole; 100 only when all is done. 0 when there is nothing to send. */
export function percentOf({ doneBytes, totalBytes }: Progress): number {
  if (totalBytes === 0) return 0;
  if (doneBytes >= totalBytes) return 100;
  return Math.max(0, Math.min(99, Math.floor((100 * doneBytes) / totalBytes)));
}

/** For a log, in which not each percent is worth a line: `40 %`. Empty when nothing is sent. */
export function toTenths(progress: Progress): string {
  return progress.totalBytes === 0 ? '' : `${Math.floor(percentOf(progress) / 10) * 10} %`;
}

/** Beside a bar stand percent, bytes, rate and ETA. */
const besideBarWidth = 50;
const barWidthMin = 8;

/**
 * A bar and what it stands for. On a narrow terminal the bar is short, then the ETA is left out, then
 * the rate, then the bytes.
 *
 * @param options.room columns for all of it
 * @param options.barWidthMax columns of the bar at most
 * @param options.label what stands between the bar and its percent
 */
export function toProgressBar(
  progress: Progress,
  options: { room: number; barWidthMax: number; label?: string; paint: Paint },
): string {
  const { barWidthMax, label = '', paint } = options;
  const room = options.room - label.length;
  const width = Math.max(barWidthMin, Math.min(barWidthMax, room - besideBarWidth));
  const bar = toBar(percentOf(progress), { width, paint });
  return `${bar} ${label}${toProgressText(progress, room - width - 1)}`;
}

/** A bar such as `██████░░░░░░` of so many columns, for 0 to 100 percent. */
export function toBar(percent: number, options: { width: number; paint: Paint }): string {
  const full = Math.floor((percent / 100) * options.width);
  const { paint } = options;
  return paint('good', '█'.repeat(full)) + paint('quiet', '░'.repeat(options.width - full));
}

/**
 * `52 %  1.2 GiB of 2.3 GiB  45.2 MB/s  ETA 24 s`; what is not known is left out, and from the end
 * what has no room.
 */
function toProgressText(progress: Progress, room: number): string {
  const { doneBytes, totalBytes, bytesPerSecond, etaMs } = progress;
  const parts = [
    `${String(percentOf(progress)).padStart(3)} %`,
    `${toByteText(doneBytes)} of ${toByteText(totalBytes)}`,
  ];
  if (bytesPerSecond > 0) parts.push(toRateText(bytesPerSecond));
  if (etaMs > 0) parts.push(`ETA ${toWaitText(etaMs)}`);
  while (parts.length > 1 && parts.join('  ').length > room) parts.pop();
  return parts.join('  ');
}

/** Weight of the newest measurement in the smoothed rate. */
const newestWeight = 0.3;
/** Measurements closer than this say little. */
const sampleMsMin = 200;

/** Smoothed rate of a counter of bytes that only this program watches. */
export class RateMeter {
  #last: { bytes: number; atMs: number } | undefined;
  #bytesPerSecond = 0;

  /** 0 until there are two measurements. */
  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  /** @param atMs of a clock that never goes back */
  measure(bytes: number, atMs: number): void {
    const last = this.#last;
    if (last === undefined || bytes < last.bytes) {
      this.#last = { bytes, atMs };
      return;
    }
    if (atMs - last.atMs < sampleMsMin) return;
    const rate = ((bytes - last.bytes) * 1000) / (atMs - last.atMs);
    const old = this.#bytesPerSecond;
    this.#bytesPerSecond = old === 0 ? rate : old + newestWeight * (rate - old);
    this.#last = { bytes, atMs };
  }
}

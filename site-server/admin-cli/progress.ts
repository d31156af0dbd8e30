import type { Paint } from './table.ts';
import { toByteText, toDurationText, toRateText } from './units.ts';

/** Bytes of a transfer, done and in all. */
export interface Progress {
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
  /** 0 when unknown. */
  readonly etaMs: number;
}

/** 0 to 100, whole; 100 only when all is done. */
export function percentOf(progress: { doneBytes: number; totalBytes: number }): number {
  if (progress.doneBytes >= progress.totalBytes) return 100;
  return Math.min(99, Math.floor((100 * progress.doneBytes) / progress.totalBytes));
}

/** A bar such as `██████░░░░░░` of so many columns. */
export function toBar(percent: number, options: { width: number; paint: Paint }): string {
  const full = Math.round((Math.max(0, Math.min(100, percent)) / 100) * options.width);
  const { paint } = options;
  return paint('good', '█'.repeat(full)) + paint('quiet', '░'.repeat(options.width - full));
}

/** `52 %  1.20 of 2.30 GiB  45.2 MB/s  ETA 24 s`; what is not known is left out. */
export function toProgressText(progress: Progress): string {
  const { doneBytes, totalBytes, bytesPerSecond, etaMs } = progress;
  const parts = [
    `${String(percentOf(progress)).padStart(3)} %`,
    `${toByteText(doneBytes)} of ${toByteText(totalBytes)}`,
  ];
  if (bytesPerSecond > 0) parts.push(toRateText(bytesPerSecond));
  if (etaMs > 0) parts.push(`ETA ${toDurationText(etaMs)}`);
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

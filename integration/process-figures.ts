import { readFileSync, writeFileSync } from 'node:fs';

/** Forgets the peak resident set of a process, so that `peakRssBytes` counts from now. */
export function resetPeakRss(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch {
    // Without the right to do so the peak counts from the start of the process.
  }
}

/** Largest resident set of a process, in bytes. */
export function peakRssBytes(pid: number): number {
  const match = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? 0) * 1024;
}

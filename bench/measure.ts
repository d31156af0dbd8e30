import { readFileSync, writeFileSync } from 'node:fs';

/** What one run cost. */
export interface RunCost {
  readonly seconds: number;
  /** CPU seconds of the whole machine: both ends, the kernel's part included. */
  readonly cpuSeconds: number;
  /** Bytes over the loopback interface, both directions. */
  readonly wireBytes: number;
}

/** Measures time, CPU and bytes on the wire of what `run` does; nothing else should run meanwhile. */
export async function measured(run: () => Promise<void>): Promise<RunCost> {
  const cpuBefore = machineCpuSeconds();
  const bytesBefore = loopbackBytes();
  const startedMs = performance.now();
  await run();
  return {
    seconds: (performance.now() - startedMs) / 1000,
    cpuSeconds: machineCpuSeconds() - cpuBefore,
    wireBytes: loopbackBytes() - bytesBefore,
  };
}

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

/** The middle value; of an even count the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** The value below which this part of the values lies, by linear interpolation. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const position = (sorted.length - 1) * part;
  const low = sorted[Math.floor(position)] ?? Number.NaN;
  const high = sorted[Math.ceil(position)] ?? Number.NaN;
  return low + (high - low) * (position - Math.floor(position));
}

/** user, nice, system, irq and softirq of /proc/stat; ticks are 10 ms. */
function machineCpuSeconds(): number {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  const ticks = line.trim().split(/\s+/).slice(1).map(Number);
  return [0, 1, 2, 5, 6].reduce((sum, index) => sum + (ticks[index] ?? 0), 0) / 100;
}

function loopbackBytes(): number {
  const line = readFileSync('/proc/net/dev', 'utf8')
    .split('\n')
    .find((one) => one.trim().startsWith('lo:'));
  const fields = line?.trim().split(/[\s:]+/) ?? [];
  return Number(fields[9] ?? 0);
}

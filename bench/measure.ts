import { readFileSync } from 'node:fs';

/** What one run cost. */
export interface RunCost {
  readonly seconds: number;
  /** CPU seconds of both ends, the kernel's part of their work included. */
  readonly cpuSeconds: number;
  /** Bytes over the loopback interface, both directions. */
  readonly wireBytes: number;
}

/**
 * Measures time, CPU and bytes on the wire of what `run` does; nothing else should run meanwhile.
 *
 * @param cpuSeconds what both ends have used so far
 */
export async function measured(
  cpuSeconds: () => number,
  run: () => Promise<unknown>,
): Promise<RunCost> {
  const cpuBefore = cpuSeconds();
  const bytesBefore = loopbackBytes();
  const startedMs = performance.now();
  await run();
  return {
    seconds: (performance.now() - startedMs) / 1000,
    cpuSeconds: cpuSeconds() - cpuBefore,
    wireBytes: loopbackBytes() - bytesBefore,
  };
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

/** CPU seconds of a process, its threads included; ticks of /proc are 10 ms. */
export function cpuSecondsOf(pid: number): number {
  return sumOfStat(pid, [11, 12]);
}

/** CPU seconds of the children of a process that have ended. */
export function cpuSecondsOfChildren(pid: number): number {
  return sumOfStat(pid, [13, 14]);
}

/** Fields of /proc/<pid>/stat, counted from the one behind the name in brackets. */
function sumOfStat(pid: number, fields: readonly number[]): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const values = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields.reduce((sum, field) => sum + Number(values[field] ?? 0), 0) / 100;
}

/** CPU seconds the hypervisor has given to other machines so far, of all cores. */
export function stolenCpuSeconds(): number {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  return Number(line.split(/\s+/)[8] ?? 0) / 100;
}

function loopbackBytes(): number {
  const line = readFileSync('/proc/net/dev', 'utf8')
    .split('\n')
    .find((one) => one.trim().startsWith('lo:'));
  const fields = line?.trim().split(/[\s:]+/) ?? [];
  return Number(fields[9] ?? 0);
}

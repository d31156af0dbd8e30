import { median, type RunCost } from './measure.ts';

/** All runs of one contender in one series. */
export interface Contender {
  readonly name: string;
  readonly runs: readonly RunCost[];
  /** Largest resident set of sender and receiver, in bytes, where it was measured. */
  readonly peakRss?: readonly [sender: number, receiver: number];
}

const megabyte = 1_000_000;

/** Prints a series: medians, ranges, and every contender as a ratio of the first. */
export function printSeries(title: string, bytes: number, contenders: readonly Contender[]): void {
  console.log(`\n${title}`);
  const present = contenders.filter(({ runs }) => runs.length > 0);
  const rows = present.map((contender) => toRow(contender, bytes));
  console.table(Object.fromEntries(rows));
  const [ours, ...others] = present;
  if (!ours) return;
  for (const other of others) {
    const ratio = middleSeconds(other) / middleSeconds(ours);
    console.log(`${ours.name} runs at ${ratio.toFixed(2)} x the speed of ${other.name}`);
  }
}

function middleSeconds({ runs }: Contender): number {
  return median(runs.map(({ seconds }) => seconds));
}

function toRow(contender: Contender, bytes: number): [string, Record<string, string>] {
  const { name, runs, peakRss } = contender;
  const seconds = runs.map((run) => run.seconds);
  const middle = median(seconds);
  const gibibytes = bytes / 1024 ** 3;
  return [
    name,
    {
      seconds: middle.toFixed(2),
      'min..max': `${Math.min(...seconds).toFixed(2)}..${Math.max(...seconds).toFixed(2)}`,
      'MB/s': (bytes / megabyte / middle).toFixed(0),
      'CPU s/GiB': (median(runs.map((run) => run.cpuSeconds)) / gibibytes).toFixed(2),
      'wire MB': (median(runs.map((run) => run.wireBytes)) / megabyte).toFixed(1),
      'peak RSS MiB': peakRss
        ? peakRss.map((rss) => (rss / 1024 ** 2).toFixed(0)).join(' + ')
        : '–',
    },
  ];
}

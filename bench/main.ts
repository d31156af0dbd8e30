/**
 * The benchmarks: Waybill beside the bare gRPC stream and rsync over ssh, in the same run, on the
 * same data, one after another and again. rsync runs as it comes with ssh's own cipher, with the
 * fastest one, and with --fsync, which promises what a push does; a plain write and sync of the same
 * bytes says what the disk gives in that run. Figures hold for this machine; the
 * ratios travel better. Takes room for six trees of each run in the temporary folder.
 */
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { usageFailure } from '../shared/runtime/usage-failure.ts';
import { BenchGround, smallBytes, smallFiles } from './bench-ground.ts';
import { measureBetweenSites } from './between-sites.ts';
import { bigFileName, makeBigFile, makeSmallFiles } from './data-sets.ts';
import { measureDelta } from './delta.ts';
import { measureFanOut } from './fan-out.ts';
import { measureFarAway } from './far-away.ts';
import { measureHostile } from './hostile.ts';
import { measureLatency } from './latency.ts';
import { measureLimits } from './limits.ts';
import { measurePull } from './pull.ts';
import { measurePush } from './push.ts';
import { measureUpdate } from './update.ts';

const gibibyte = 1024 ** 3;
/** A thin link and a long way take their time: so much says enough. */
const fanOutBytesMax = gibibyte / 2;
const farAwayBytesMax = gibibyte / 4;
const series = [
  'push',
  'small',
  'update',
  'latency',
  'pull',
  'fan-out',
  'far-away',
  'delta',
  'sites',
  'limits',
  'hostile',
] as const;
type Series = (typeof series)[number];
const usage =
  'npm run bench -- [--runs COUNT] [--size BYTES] [--only SERIES] [--rest SECONDS] [--seconds COUNT]';
const isCount = (value: number) => Number.isSafeInteger(value) && value >= 1;

const { runs, size, only, rest, seconds } = yargs(hideBin(process.argv))
  .scriptName('npm run bench --')
  .usage('$0 [options]\n\nMeasures Waybill beside a bare gRPC stream and rsync over ssh.')
  .option('runs', { type: 'number', default: 5, describe: 'runs of each contender' })
  .option('size', { type: 'number', default: gibibyte, describe: 'bytes of the big file' })
  .option('rest', {
    type: 'number',
    default: 0,
    describe: 'seconds before each run, for a disk that is quick in bursts only',
  })
  .option('seconds', {
    type: 'number',
    default: 60,
    describe: 'how long a hostile peer is on each service',
  })
  .option('only', { choices: series, describe: 'one series instead of all' })
  .example('$0 --only small --runs 3', 'the push of 10,000 small files, three times')
  .check(({ runs: count }) => isCount(count) || '--runs: expected a whole number from 1 on')
  .check(({ size: bytes }) => isCount(bytes) || '--size: expected a number of bytes from 1 on')
  .check(({ rest: pause }) => pause >= 0 || '--rest: expected a number of seconds')
  .check(({ seconds: count }) => isCount(count) || '--seconds: expected a whole number from 1 on')
  .strict()
  .fail(usageFailure('bench', usage))
  .parseSync();

/** Series with agents of their own. */
const alone: Partial<Record<Series, () => Promise<void>>> = {
  pull: () => measurePull(size, runs),
  'fan-out': () => measureFanOut(Math.min(size, fanOutBytesMax)),
  'far-away': () => measureFarAway(Math.min(size, farAwayBytesMax), runs),
  delta: () => measureDelta(size),
  sites: () => measureBetweenSites(size, runs),
  limits: measureLimits,
  hostile: () => measureHostile(seconds),
};

/** Series beside the same peers. */
const beside: Partial<Record<Series, (ground: BenchGround) => Promise<void>>> = {
  push: (ground) =>
    measurePush(ground, {
      title: `Push: one file of ${(size / gibibyte).toFixed(2)} GiB, incompressible`,
      bytes: size,
      runCount: runs,
      makeSource: (source, index) => makeBigFile(source, size, index),
      fileName: bigFileName,
    }),
  small: (ground) =>
    measurePush(ground, {
      title: 'Push: 10,000 files of 16 KiB',
      bytes: smallBytes,
      runCount: runs,
      makeSource: (source, index) => makeSmallFiles(source, { ...smallFiles, seed: 10 + index }),
    }),
  update: (ground) => measureUpdate(ground, runs),
  latency: measureLatency,
};

const chosen: readonly Series[] = only === undefined ? series : [only];
if (chosen.some((one) => beside[one])) {
  const ground = await BenchGround.start({ restMs: rest * 1000 });
  try {
    for (const one of chosen) await beside[one]?.(ground);
  } finally {
    await ground.stop();
  }
}
for (const one of chosen) await alone[one]?.();

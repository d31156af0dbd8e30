import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Network } from '../integration/network.ts';
import { peakRssBytes, resetPeakRss } from '../integration/process-figures.ts';
import { makeBigFile } from './data-sets.ts';
import { cpuSecondsOf, measured, type RunCost } from './measure.ts';
import { printSeries } from './report.ts';
import { distribute, installed, publishPackage } from './waybill-run.ts';

const sources = ['PS1DP1', 'PS1DP2', 'PS1DP3'];
/** One fetches from one source, the other from three of equal rank. */
const fromOne = 'PS1DP4';
const fromThree = 'PS1DP5';

/** Pulls of a big file from one source and from three, on one machine. */
export async function measurePull(bytes: number, runCount: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'waybill-bench-'));
  const network = await Network.start({
    directory: join(directory, 'network'),
    distributionPoints: [...sources, fromOne, fromThree],
    pull: {
      [fromOne]: { sources: { PS1DP1: 1 } },
      [fromThree]: { sources: Object.fromEntries(sources.map((dpId) => [dpId, 1])) },
    },
  });
  try {
    const admin = await network.admin();
    const one: RunCost[] = [];
    const three: RunCost[] = [];
    const pids = [...network.dps, network.site].map(({ pid }) => pid ?? 0);
    const cpuSeconds = () => pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
    const pidOf = (dpId: string) => network.dp(dpId).pid ?? 0;
    for (let run = 0; run < runCount; run++) {
      const source = join(directory, `source ${run}`);
      await makeBigFile(source, bytes, run);
      const packageId = await publishPackage(admin, source);
      for (const dpId of sources) await distribute(admin, packageId, dpId);
      for (const pid of pids) resetPeakRss(pid);
      one.push(await measured(cpuSeconds, () => distribute(admin, packageId, fromOne)));
      three.push(await measured(cpuSeconds, () => distribute(admin, packageId, fromThree)));
      await installed(admin, { packageId, dpId: fromThree, sourceVersion: 1 });
    }
    const source = peakRssBytes(pidOf('PS1DP1'));
    printSeries(`Pull: one file of ${(bytes / 1024 ** 3).toFixed(2)} GiB, incompressible`, bytes, [
      { name: 'from one source', runs: one, peakRss: [source, peakRssBytes(pidOf(fromOne))] },
      {
        name: 'from three sources',
        runs: three,
        peakRss: [source, peakRssBytes(pidOf(fromThree))],
      },
    ]);
  } finally {
    await network.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

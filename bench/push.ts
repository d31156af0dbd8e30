import { join } from 'node:path';
import { type BenchGround, dpId } from './bench-ground.ts';
import type { RunCost } from './measure.ts';
import { printSeries } from './report.ts';
import type { RsyncOptions } from './rsync-peer.ts';
import { distribute, publishPackage } from './waybill-run.ts';

const fastCipher: RsyncOptions = { ssh: ['-c aes128-gcm@openssh.com'] };
const durable: RsyncOptions = { rsync: ['--fsync'] };

export interface PushSeries {
  readonly title: string;
  /** Content bytes of each tree. */
  readonly bytes: number;
  readonly runCount: number;
  /** Makes the tree of one run. */
  readonly makeSource: (directory: string, run: number) => Promise<void>;
  /** The file in it that a plain write is measured with; none when it is many. */
  readonly fileName?: string;
}

/**
 * Pushes of whole trees that nobody has seen before, to agents that have run for a while. Nothing
 * is deleted between the runs: ext4 takes ten times as long to create a file while it steers clear
 * of thousands of inodes deleted in the last minutes.
 */
export async function measurePush(ground: BenchGround, series: PushSeries): Promise<void> {
  const { title, bytes, runCount, makeSource, fileName } = series;
  await ground.warmUp();
  const admin = await ground.admin();
  const ours: RunCost[] = [];
  const bare: RunCost[] = [];
  const disk: RunCost[] = [];
  const rsync: RunCost[] = [];
  const fastRsync: RunCost[] = [];
  const durableRsync: RunCost[] = [];
  ground.resetPeakRss();
  for (let run = 0; run < runCount; run++) {
    const source = join(ground.directory, `${title} ${run}`);
    await makeSource(source, run);
    const packageId = await publishPackage(admin, source);
    ours.push(await ground.measured(() => distribute(admin, packageId, dpId)));
    bare.push(await ground.measuredBare(bytes));
    if (fileName !== undefined) {
      disk.push(await ground.measuredDisk(join(source, fileName), `${source} plain`));
    }
    rsync.push(...(await ground.measuredRsync(source, `${source} rsync`)));
    fastRsync.push(...(await ground.measuredRsync(source, `${source} fast`, fastCipher)));
    durableRsync.push(...(await ground.measuredRsync(source, `${source} fsync`, durable)));
  }
  printSeries(title, bytes, [
    { name: 'waybill push', runs: ours, peakRss: ground.peakRss },
    { name: 'bare gRPC stream', runs: bare },
    { name: 'plain write, synced', runs: disk },
    { name: 'rsync over ssh', runs: rsync },
    { name: 'rsync over ssh, AES-GCM', runs: fastRsync },
    { name: 'rsync --fsync over ssh', runs: durableRsync },
  ]);
}

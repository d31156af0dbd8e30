import { join } from 'node:path';
import { type BenchGround, dpId, smallBytes, smallFiles } from './bench-ground.ts';
import { changeOnePercent, makeSmallFiles } from './data-sets.ts';
import type { RunCost } from './measure.ts';
import { printSeries } from './report.ts';
import { distribute, installed, publishPackage } from './waybill-run.ts';

const deadlineMs = 30_000;

/** One percent of many small files changes: snapshot, push and commit, beside rsync. */
export async function measureUpdate(ground: BenchGround, runCount: number): Promise<void> {
  const admin = await ground.admin();
  const source = join(ground.directory, 'update');
  const target = join(ground.directory, 'rsync-update');
  await makeSmallFiles(source, { ...smallFiles, seed: 2 });
  const packageId = await publishPackage(admin, source);
  await distribute(admin, packageId, dpId);
  await ground.measuredRsync(source, target);
  const ours: RunCost[] = [];
  const rsync: RunCost[] = [];
  for (let run = 0; run < runCount; run++) {
    await changeOnePercent(source, { ...smallFiles, seed: 100 + run });
    const update = async () => {
      await admin.unary('updatePackage', { packageId }, { deadlineMs });
      await installed(admin, { packageId, dpId, sourceVersion: run + 2 });
    };
    ours.push(await ground.measured(update));
    rsync.push(...(await ground.measuredRsync(source, target)));
  }
  printSeries('Update: 1 % of 10,000 files of 16 KiB changed', smallBytes, [
    { name: 'waybill update', runs: ours },
    { name: 'rsync over ssh', runs: rsync },
  ]);
}

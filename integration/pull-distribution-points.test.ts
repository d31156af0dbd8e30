import assert from 'node:assert/strict';
import { appendFile, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Administrator } from './administrator.ts';
import { storedHashes, storesOnlyWhatIsUsed } from './library-files.ts';
import { Network } from './network.ts';
import { extractPackage } from './programs.ts';
import { writeFiles, writeNoise, writeSmallFiles } from './source-files.ts';
import { treeDifference } from './tree-difference.ts';

const mebibyte = 1024 * 1024;
/** A standard DP, a pull DP behind it, and one behind that; and one with two sources. */
const standard = 'PS1DP1';
const pull = 'PS1DP2';
const behind = 'PS1DP3';
const both = 'PS1DP4';
const all = [standard, pull, behind, both] as const;

describe('pull DPs (ROLE-2, PULL-1 to PULL-11)', () => {
  let network: Network;
  let administrator: Administrator;
  let source: string;
  let packageId: string;

  before(async () => {
    network = await Network.start({
      distributionPoints: all,
      pull: {
        [pull]: { sources: { [standard]: 1 } },
        [behind]: { sources: { [pull]: 1 } },
        [both]: { sources: { [pull]: 1, [standard]: 2 } },
      },
      dp: { unreferencedGraceMs: 0, sweepIntervalMs: 1_000 },
    });
    administrator = await Administrator.of(network);
    source = join(network.directory, 'source');
    await writeNoise(join(source, 'image.wim'), { bytes: 9 * mebibyte + 5, seed: 1 });
    await writeSmallFiles(join(source, 'small'), { count: 300, bytes: 5_000, seed: 2 });
    await writeFiles(source, { empty: '', 'sub/one': 'one', 'sub/same': 'one' });
    packageId = await administrator.create(source);
  });

  after(() => network.stop());

  async function hasNewest(dpId: string): Promise<void> {
    const row = await administrator.installed({ packageId, dpId });
    const { packageHash } = await administrator.getPackage(packageId);
    assert.deepEqual(row.verifiedHash, packageHash);
    const out = await extractPackage(network, dpId, packageId);
    assert.equal(await treeDifference(source, out), '', dpId);
    await rm(out, { recursive: true });
  }

  /** How often the site has brought content to a DP. */
  async function pushCount(dpId: string): Promise<number> {
    const log = await readFile(join(network.dataDirectoryOf(dpId), 'logs', 'audit.log'), 'utf8');
    return log.split('DistributionPoint/PutContent').length - 1;
  }

  it('wait for a source, and are told of it at once when one gets the package (PULL-2)', async () => {
    await administrator.distribute(packageId, behind);
    const job = await administrator.jobIs({ packageId, dpId: behind }, ({ waitingReason }) => {
      return waitingReason === 'no-source';
    });
    assert.match(job.reason, /No source of PS1DP3 holds package/);
    const messages = await administrator.messages({ packageId, dpId: behind });
    assert.equal(messages.filter(({ messageId }) => messageId === 8212).length, 1);
  });

  it('fetch from their sources, in a chain and from several; the site pushes to none (PULL-4, PULL-5, PULL-11)', async () => {
    await administrator.distribute(packageId, standard, pull, both);
    for (const dpId of all) await hasNewest(dpId);
    assert.deepEqual(await administrator.openJobs(), []);
    for (const dpId of [pull, behind, both]) {
      const job = await administrator.lastJob({ packageId, dpId });
      assert.equal(await pushCount(dpId), 0);
      const { sizeBytes } = await administrator.getPackage(packageId);
      const bound = Number(sizeBytes) + 8 * mebibyte;
      assert.ok(Number(job.bytesSent) <= bound, `${job.bytesSent} of ${sizeBytes} bytes`);
    }
  });

  it('report success exactly once (PULL-8, PULL-9)', async () => {
    for (const dpId of [pull, behind, both]) {
      const messages = await administrator.messages({ packageId, dpId });
      for (const id of [8210, 2330]) {
        assert.equal(messages.filter(({ messageId }) => messageId === id).length, 1, `${id}`);
      }
    }
  });

  it('fetch of an update only what changed, switch in one step, and let go of the rest (PKG-5, PULL-6, PKG-10)', async () => {
    const changed = 20_000;
    await writeNoise(join(source, 'small', '1', '3.bin'), { bytes: changed, seed: 9 });
    await rm(join(source, 'small', '2', '7.bin'));
    await administrator.update(packageId);
    for (const dpId of all) await hasNewest(dpId);
    for (const dpId of [pull, behind, both]) {
      const job = await administrator.lastJob({ packageId, dpId });
      assert.equal(Number(job.bytesSent), changed, dpId);
      await storesOnlyWhatIsUsed(network.dataDirectoryOf(dpId));
    }
  });

  it('fetch of a changed file only the difference (PULL-6)', async () => {
    await appendFile(join(source, 'image.wim'), 'a little more');
    await administrator.update(packageId);
    for (const dpId of all) await hasNewest(dpId);
    for (const dpId of all) {
      const job = await administrator.lastJob({ packageId, dpId });
      assert.ok(Number(job.bytesSent) < 64 * 1024, `${dpId}: ${job.bytesSent} bytes`);
    }
  });

  it('fetch everything again when it is redistributed (PKG-6, PULL-6)', async () => {
    const before = await storedHashes(network.dataDirectoryOf(pull));
    await administrator.redistribute(packageId, pull);
    const { sizeBytes } = await administrator.getPackage(packageId);
    const job = await administrator.jobIs({ packageId, dpId: pull }, ({ state }) => {
      return state === 'JOB_STATE_COMPLETE';
    });
    assert.equal(job.action, 'JOB_ACTION_REDISTRIBUTE');
    // One file is there twice and is fetched once.
    assert.ok(Number(job.bytesSent) >= Number(sizeBytes) - 3, `${job.bytesSent} of ${sizeBytes}`);
    await hasNewest(pull);
    assert.deepEqual(await storedHashes(network.dataDirectoryOf(pull)), before);
  });

  it('become standard ones and pull DPs again, without being touched (ROLE-2)', async () => {
    const admin = await network.admin();
    const change = { dpId: behind, kind: 'DISTRIBUTION_POINT_KIND_STANDARD' } as const;
    await admin.unary('setDistributionPoint', change, { deadlineMs: 10_000 });
    await writeFiles(source, { 'sub/two': 'pushed' });
    await administrator.update(packageId);
    await hasNewest(behind);
    const pushed = await pushCount(behind);
    assert.ok(pushed > 0);
    await network.setPull(behind, { sources: { [standard]: 1 } });
    await writeFiles(source, { 'sub/two': 'fetched' });
    await administrator.update(packageId);
    await hasNewest(behind);
    assert.equal(await pushCount(behind), pushed);
  });

  it('lose a package that is removed from them (PKG-7)', async () => {
    await administrator.remove(packageId, pull, both);
    for (const dpId of [pull, both]) {
      await administrator.removed({ packageId, dpId });
      await storesOnlyWhatIsUsed(network.dataDirectoryOf(dpId));
    }
    await hasNewest(behind);
  });

  it('fall back to any DP, and to the site itself, where they may (PULL-1)', async () => {
    await network.setPull(both, { sources: { [pull]: 1 }, allowFallback: true });
    await administrator.distribute(packageId, both);
    await hasNewest(both);
    const other = await administrator.create(join(source, 'sub'));
    await administrator.install(other, both);
    const row = await administrator.installed({ packageId: other, dpId: both });
    assert.deepEqual(row.verifiedHash, (await administrator.getPackage(other)).packageHash);
  });
});

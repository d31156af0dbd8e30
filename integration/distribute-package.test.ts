import assert from 'node:assert/strict';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Administrator } from './administrator.ts';
import { damageStoredFile, storedHashes, storesOnlyWhatIsUsed } from './library-files.ts';
import { Network } from './network.ts';
import { extractPackage, runWaybill } from './programs.ts';
import { writeFiles, writeNoise } from './source-files.ts';
import { treeDifference } from './tree-difference.ts';

const imageBytes = 3.5 * 1024 * 1024;

describe('a package on its way to standard DPs', () => {
  let network: Network;
  let administrator: Administrator;
  let sourceCount = 0;

  before(async () => {
    const swept = { unreferencedGraceMs: 0, sweepIntervalMs: 1_000 };
    network = await Network.start({ site: swept, dp: swept });
    administrator = await Administrator.of(network);
  });

  after(() => network.stop());

  /** A file of several pieces and small files, none of which any other source has. */
  async function makeSource(): Promise<{ source: string; sourceBytes: number }> {
    const seed = ++sourceCount;
    const source = join(network.directory, `source-${seed}`);
    await writeNoise(join(source, 'image.wim'), { bytes: imageBytes, seed });
    const texts = {
      'setup.exe': `setup ${seed}`,
      'docs/readme.txt': `read me ${seed}`,
      'docs/license.txt': `license ${seed}`,
    };
    await writeFiles(source, texts);
    return { source, sourceBytes: imageBytes + Object.values(texts).join('').length };
  }

  async function isEqual(packageId: string, dpId: string, source: string): Promise<void> {
    const extracted = await extractPackage(network, dpId, packageId);
    assert.equal(await treeDifference(source, extracted), '');
  }

  it('is installed on each, verified, equal to its source (PKG-2, PKG-4, PTM-7, PTM-8)', async () => {
    const { source, sourceBytes } = await makeSource();
    const packageId = await administrator.create(source);
    await administrator.distribute(packageId, 'PS1DP1', 'PS1DP2');
    const { packageHash } = await administrator.getPackage(packageId);
    for (const dpId of ['PS1DP1', 'PS1DP2']) {
      const row = await administrator.installed({ packageId, dpId });
      assert.deepEqual(row.verifiedHash, packageHash);
      assert.equal(row.installedVersion, 1);
      await isEqual(packageId, dpId, source);
      const job = await administrator.lastJob({ packageId, dpId });
      assert.equal(job.state, 'JOB_STATE_COMPLETE');
      assert.equal(Number(job.bytesSent), sourceBytes);
      assert.deepEqual(await administrator.openJobs({ packageId, dpId }), []);
    }
  });

  it('is reported by the status messages of Configuration Manager (PKG-2, PTM-8, DM-5, ADM-4)', async () => {
    const { source } = await makeSource();
    const packageId = await administrator.create(source);
    await administrator.install(packageId, 'PS1DP1');
    const messages = await administrator.messages({ packageId });
    assert.deepEqual(
      messages.map(({ messageId, dpId, severity }) => [messageId, dpId, severity]),
      [
        [2300, '', 'SEVERITY_INFORMATION'],
        [2376, '', 'SEVERITY_INFORMATION'],
        [2311, '', 'SEVERITY_INFORMATION'],
        [2301, '', 'SEVERITY_INFORMATION'],
        [2342, 'PS1DP1', 'SEVERITY_INFORMATION'],
        [2357, 'PS1DP1', 'SEVERITY_INFORMATION'],
        [8204, 'PS1DP1', 'SEVERITY_INFORMATION'],
        [8200, 'PS1DP1', 'SEVERITY_INFORMATION'],
        [8210, 'PS1DP1', 'SEVERITY_INFORMATION'],
        [2330, 'PS1DP1', 'SEVERITY_INFORMATION'],
      ],
    );
  });

  it('is told of in a log file for each component, which `waybill logs` shows (PTM-9)', async () => {
    const { source } = await makeSource();
    const packageId = await administrator.create(source);
    await administrator.install(packageId, 'PS1DP1');
    const siteLogs = await readdir(join(network.dataDirectoryOf('PS1'), 'logs'));
    for (const name of ['distmgr.log', 'pkgxfermgr.log']) assert.ok(siteLogs.includes(name), name);
    const dpLogs = await readdir(join(network.dataDirectoryOf('PS1DP1'), 'logs'));
    assert.ok(dpLogs.includes('smsdpprov.log'));
    const { exitCode, stdout } = await runWaybill(network, ['logs', 'pkgxfermgr', '--json']);
    assert.equal(exitCode, 0);
    assert.match(stdout, new RegExp(`"packageId":"${packageId}".*Sending job completed`));
  });

  it('is updated by what changed only; what is gone from the source goes (PKG-5, PKG-10)', async () => {
    const { source } = await makeSource();
    const packageId = await administrator.create(source);
    await administrator.install(packageId, 'PS1DP1');
    const dataDirectory = network.dataDirectoryOf('PS1DP1');
    await storesOnlyWhatIsUsed(dataDirectory);
    const before = await storedHashes(dataDirectory);
    await writeFile(join(source, 'docs/readme.txt'), 'read me again');
    await rm(join(source, 'setup.exe'));
    const { sourceVersion, sourceUnchanged } = await administrator.update(packageId);
    assert.deepEqual([sourceVersion, sourceUnchanged], [2, false]);
    await administrator.installed({ packageId, dpId: 'PS1DP1' });
    const job = await administrator.lastJob({ packageId, dpId: 'PS1DP1' });
    assert.equal(Number(job.bytesSent), 'read me again'.length);
    await isEqual(packageId, 'PS1DP1', source);
    await storesOnlyWhatIsUsed(dataDirectory);
    assert.equal((await storedHashes(dataDirectory)).length, before.length - 1);
  });

  it('says that its source is unchanged, and does nothing (PKG-5)', async () => {
    const { source } = await makeSource();
    const packageId = await administrator.create(source);
    await administrator.install(packageId, 'PS1DP1');
    const { sourceVersion, sourceUnchanged } = await administrator.update(packageId);
    assert.deepEqual([sourceVersion, sourceUnchanged], [1, true]);
    const words = ['package', 'update', packageId, '--wait'];
    const { exitCode, stdout } = await runWaybill(network, words);
    assert.equal(exitCode, 0);
    assert.match(stdout, /is unchanged: nothing to do/);
    assert.equal((await administrator.endedJobs({ packageId })).length, 1);
    assert.deepEqual(await administrator.openJobs({ packageId }), []);
  });

  it('is sent whole by a redistribution, which repairs a damaged library (PKG-6)', async () => {
    const { source, sourceBytes } = await makeSource();
    const packageId = await administrator.create(source);
    const dataDirectory = network.dataDirectoryOf('PS1DP1');
    const before = new Set(await storedHashes(dataDirectory));
    await administrator.install(packageId, 'PS1DP1');
    for (const hash of await storedHashes(dataDirectory)) {
      if (!before.has(hash)) await damageStoredFile(dataDirectory, hash);
    }
    await assert.rejects(extractPackage(network, 'PS1DP1', packageId), /expected hash/);
    await administrator.redistribute(packageId, 'PS1DP1');
    const { verifiedHash } = await administrator.installed({ packageId, dpId: 'PS1DP1' });
    assert.deepEqual(verifiedHash, (await administrator.getPackage(packageId)).packageHash);
    const job = await administrator.lastJob({ packageId, dpId: 'PS1DP1' });
    assert.equal(job.action, 'JOB_ACTION_REDISTRIBUTE');
    assert.equal(Number(job.bytesSent), sourceBytes);
    await isEqual(packageId, 'PS1DP1', source);
  });

  it('is removed from one DP and stays on the other; deleted, it is nowhere (PKG-7)', async () => {
    const { source } = await makeSource();
    const packageId = await administrator.create(source);
    await administrator.install(packageId, 'PS1DP1');
    await administrator.install(packageId, 'PS1DP2');
    await administrator.remove(packageId, 'PS1DP1');
    await administrator.removed({ packageId, dpId: 'PS1DP1' });
    await assert.rejects(extractPackage(network, 'PS1DP1', packageId), /is not in this content/);
    await isEqual(packageId, 'PS1DP2', source);
    const told = await administrator.messages({ packageId, dpId: 'PS1DP1' });
    assert.equal(told.at(-1)?.messageId, 2331);
    await administrator.delete(packageId);
    const left = (await administrator.packages()).map((one) => one.packageId);
    assert.ok(!left.includes(packageId));
    await assert.rejects(extractPackage(network, 'PS1DP2', packageId), /is not in this content/);
    for (const name of ['PS1DP1', 'PS1DP2', 'PS1']) {
      await storesOnlyWhatIsUsed(network.dataDirectoryOf(name));
    }
  });
});

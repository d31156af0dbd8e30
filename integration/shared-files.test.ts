import assert from 'node:assert/strict';
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Administrator } from './administrator.ts';
import { storedHashes, storesOnlyWhatIsUsed } from './library-files.ts';
import { Network } from './network.ts';
import { extractPackage } from './programs.ts';
import { writeFiles, writeNoise } from './source-files.ts';
import { testSeed } from './test-scale.ts';
import { treeDifference } from './tree-difference.ts';

const mebibyte = 1024 * 1024;
const swept = { unreferencedGraceMs: 0, sweepIntervalMs: 1_000 };
const dpId = 'PS1DP1';

describe('files that several packages share (PKG-4, PKG-10)', () => {
  let network: Network;
  let administrator: Administrator;

  before(async () => {
    network = await Network.start({ distributionPoints: [dpId], site: swept, dp: swept });
    administrator = await Administrator.of(network);
  });

  after(() => network.stop());

  const sharedBytes = 24 * mebibyte;
  const smallText = (name: string) => `a small file of ${name}`;

  /** Two sources: a large and a small file stand in both, each has one of its own. */
  async function makeTwins(name: string, seed: number): Promise<readonly [string, string]> {
    const [one, other] = [
      join(network.directory, `${name}-1`),
      join(network.directory, `${name}-2`),
    ];
    await writeNoise(join(one, 'shared.wim'), { bytes: sharedBytes, seed });
    const own = { 'small.txt': smallText(name), 'own.txt': `own of ${one}` };
    await writeFiles(one, own);
    await writeFiles(other, { ...own, 'own.txt': `own of ${other}` });
    await mkdir(join(other, 'elsewhere'));
    await copyFile(join(one, 'shared.wim'), join(other, 'elsewhere', 'under another name'));
    return [one, other];
  }

  async function isEqual(packageId: string, source: string): Promise<void> {
    assert.equal(await treeDifference(source, await extractPackage(network, dpId, packageId)), '');
  }

  it('are stored and sent once, and stay while one package uses them (PKG-7)', async () => {
    const sources = await makeTwins('once', testSeed);
    const first = await administrator.create(sources[0]);
    const second = await administrator.create(sources[1]);
    const libraries = [network.dataDirectoryOf('PS1'), network.dataDirectoryOf(dpId)];
    const sentFirst = await administrator.install(first, dpId);
    const sentSecond = await administrator.install(second, dpId);
    const ownBytes = `own of ${sources[0]}`.length;
    assert.equal(Number(sentFirst.bytesSent), sharedBytes + smallText('once').length + ownBytes);
    assert.equal(Number(sentSecond.bytesSent), ownBytes);
    for (const library of libraries) {
      await storesOnlyWhatIsUsed(library);
      assert.equal((await storedHashes(library)).length, 4, 'two shared files, two of their own');
    }
    await administrator.delete(first);
    for (const library of libraries) {
      await storesOnlyWhatIsUsed(library);
      assert.equal((await storedHashes(library)).length, 3);
    }
    await isEqual(second, sources[1]);
    await administrator.delete(second);
  });

  it('are sent once when both packages go to the DP at the same time', async () => {
    const sources = await makeTwins('same', testSeed + 1);
    const packageIds = await Promise.all(sources.map((source) => administrator.create(source)));
    const jobs = await Promise.all(packageIds.map((id) => administrator.install(id, dpId)));
    const sentBytes = jobs.reduce((sum, { bytesSent }) => sum + Number(bytesSent), 0);
    const ownBytes = 2 * `own of ${sources[0]}`.length;
    assert.equal(sentBytes, sharedBytes + smallText('same').length + ownBytes);
    for (const [index, packageId] of packageIds.entries()) {
      await isEqual(packageId, sources[index] ?? '');
      await administrator.delete(packageId);
    }
  });

  it('that stand several times in one package are sent and stored once', async () => {
    const source = join(network.directory, 'copies');
    await writeFiles(source, { a: 'the same', 'b/a': 'the same', 'b/c': 'the same' });
    const packageId = await administrator.create(source);
    const job = await administrator.install(packageId, dpId);
    assert.equal(Number(job.bytesSent), 'the same'.length);
    await isEqual(packageId, source);
    await administrator.delete(packageId);
  });
});

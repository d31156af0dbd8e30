import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeededRandom } from '../shared/testing/seeded-random.ts';
import { Administrator } from './administrator.ts';
import { CountingProxy } from './counting-proxy.ts';
import { HierarchyNetwork } from './hierarchy-network.ts';
import { storedHashes, storesOnlyWhatIsUsed } from './library-files.ts';
import { Network } from './network.ts';
import { cutTo, exportPackage, importAtDp, withBitFlipped } from './prestaged-files.ts';
import { extractPackage } from './programs.ts';
import { SmallDisk } from './small-disk.ts';
import { writeFiles, writeNoise, writeSmallFiles } from './source-files.ts';
import { byScale, testSeed } from './test-scale.ts';
import { treeDifference } from './tree-difference.ts';

const mebibyte = 1024 * 1024;
const imageBytes = byScale({ short: 24, long: 512 }) * mebibyte;
const smallFiles = { count: 200, bytes: 5_000 };
const contentBytes = imageBytes + smallFiles.count * smallFiles.bytes;

/** Nothing is left free for others: a test must not depend on how full the disk is. */
const site = { sending: { packageFileReserveBytes: 0 } };

async function makeSource(directory: string, seed: number, bytes = imageBytes): Promise<string> {
  const source = join(directory, `source-${seed}`);
  await writeNoise(join(source, 'image.wim'), { bytes, seed });
  await writeSmallFiles(join(source, 'small'), { ...smallFiles, seed });
  await writeFiles(source, { 'setup.exe': `setup ${seed}`, empty: '' });
  return source;
}

describe('prestaged content at distribution points (PKG-12)', function () {
  this.timeout(300_000);
  let network: Network;
  let administrator: Administrator;
  let proxy: CountingProxy;
  let pulled: CountingProxy;

  before(async () => {
    network = await Network.start({
      distributionPoints: ['PS1DP1', 'PS1DP2', 'PS1DP3'],
      pull: { PS1DP3: { sources: { PS1DP1: 1 } } },
      site,
      // What nothing holds is swept at once: what stays was held.
      dp: { unreferencedGraceMs: 0, sweepIntervalMs: 1_000 },
    });
    administrator = await Administrator.of(network);
    proxy = await CountingProxy.start(network.dp('PS1DP2').address);
    await administrator.setAddress('PS1DP2', proxy.address);
    pulled = await CountingProxy.start(network.dp('PS1DP1').address);
    await administrator.setAddress('PS1DP1', pulled.address);
  });

  after(async () => {
    await network?.stop();
    await proxy?.[Symbol.asyncDispose]();
    await pulled?.[Symbol.asyncDispose]();
  });

  const pathOf = (name: string) => join(network.directory, name);

  async function isEqual(packageId: string, dpId: string, source: string): Promise<void> {
    const out = await extractPackage(network, dpId, packageId);
    assert.equal(await treeDifference(source, out), '');
    await rm(out, { recursive: true });
  }

  async function imported(dpId: string, path: string, words: RegExp): Promise<void> {
    const end = await importAtDp(network.dp(dpId), path);
    assert.equal(end.exitCode, 0, end.stderr);
    assert.match(end.stdout, words);
  }

  async function refused(dpId: string, path: string, words: RegExp): Promise<void> {
    const end = await importAtDp(network.dp(dpId), path);
    assert.equal(end.exitCode, 1, end.stdout);
    assert.match(end.stderr, words);
  }

  it('are imported, outlive sweeps and a crash, and then only the manifest is pushed', async () => {
    const source = await makeSource(network.directory, 1);
    const packageId = await administrator.create(source);
    const path = await exportPackage(network, packageId, pathOf('push.wbp'));
    await imported('PS1DP2', path, /its files are here, verified, and stay until \d{4}-\d\d-\d\d/);
    const before = await storedHashes(network.dataDirectoryOf('PS1DP2'));
    // Two sweeps, and a start, take away what nothing uses. That they take nothing has no state that a test
    // could wait for: a slow machine only makes it look earlier, which fails nothing.
    await sleep(2_500);
    await network.dp('PS1DP2').kill();
    await network.dp('PS1DP2').start();
    await sleep(1_500);
    assert.deepEqual(await storedHashes(network.dataDirectoryOf('PS1DP2')), before);
    proxy.reset();
    await administrator.distribute(packageId, 'PS1DP2');
    await administrator.installed({ packageId, dpId: 'PS1DP2' });
    assert.ok(proxy.forwardedBytes < contentBytes / 100, `${proxy.forwardedBytes} bytes`);
    const { bytesSent } = await administrator.lastJob({ packageId, dpId: 'PS1DP2' });
    assert.equal(Number(bytesSent), 0);
    await isEqual(packageId, 'PS1DP2', source);
    await imported('PS1DP2', path, /serves it already; nothing to do/);
    await storesOnlyWhatIsUsed(network.dataDirectoryOf('PS1DP2'));
  });

  it('are imported at a pull DP, which then fetches the manifest alone', async () => {
    const source = await makeSource(network.directory, 2);
    const packageId = await administrator.create(source);
    await administrator.install(packageId, 'PS1DP1');
    const path = await exportPackage(network, packageId, pathOf('pull.wbp'));
    await imported('PS1DP3', path, /its files are here/);
    pulled.reset();
    await administrator.distribute(packageId, 'PS1DP3');
    await administrator.installed({ packageId, dpId: 'PS1DP3' });
    assert.ok(pulled.returnedBytes < contentBytes / 100, `${pulled.returnedBytes} bytes`);
    await isEqual(packageId, 'PS1DP3', source);
  });

  it('refuse what was altered, cut, foreign or is no such file, and keep nothing of it', async () => {
    const source = await makeSource(network.directory, 3, 10_000);
    const packageId = await administrator.create(source);
    const path = await exportPackage(network, packageId, pathOf('sound.wbp'));
    const before = await storedHashes(network.dataDirectoryOf('PS1DP2'));
    await refused('PS1DP2', await withBitFlipped(path, 40), /cannot be imported/);
    await refused('PS1DP2', await withBitFlipped(path, 32_767), /signature .* is not right/);
    await refused('PS1DP2', await withBitFlipped(path, -500), /altered: expected hash/);
    await refused('PS1DP2', await cutTo(path, -1), /it is cut off/);
    await refused('PS1DP2', network.directory, /expected a regular file/);
    await refused('PS1DP2', pathOf('nowhere.wbp'), /it is not there/);
    await using foreign = await Network.start({ distributionPoints: [], site });
    const theirs = await Administrator.of(foreign);
    const theirId = await theirs.create(source);
    const theirPath = await exportPackage(foreign, theirId, pathOf('foreign.wbp'));
    await refused('PS1DP2', theirPath, /not signed by the hierarchy's CA/);
    await storesOnlyWhatIsUsed(network.dataDirectoryOf('PS1DP2'));
    assert.deepEqual(await storedHashes(network.dataDirectoryOf('PS1DP2')), before);
  });

  it('refuse an older version than they serve, and ask for no other DP', async () => {
    const source = await makeSource(network.directory, 4, 10_000);
    const packageId = await administrator.create(source);
    const path = await exportPackage(network, packageId, pathOf('older.wbp'));
    await writeFiles(source, { 'setup.exe': 'newer' });
    await administrator.update(packageId);
    await administrator.install(packageId, 'PS1DP2');
    await refused('PS1DP2', path, /version 1 was offered; version 2 is served/);
    // With its own certificate a DP may ask itself alone.
    const [one, other] = [network.dp('PS1DP1'), network.dp('PS1DP2')];
    const asked = { configPath: one.configPath, address: other.address };
    const end = await importAtDp(asked, path);
    assert.equal(end.exitCode, 1);
    assert.match(end.stderr, /expected the running agent of distribution point PS1DP1/);
  });

  it('import anew after they were killed at any moment', async () => {
    const source = await makeSource(network.directory, 5);
    const packageId = await administrator.create(source);
    const path = await exportPackage(network, packageId, pathOf('killed.wbp'));
    const staging = join(network.dataDirectoryOf('PS1DP2'), 'content-library', 'staging');
    const random = new SeededRandom(testSeed);
    for (let round = 0; round < byScale({ short: 2, long: 20 }); round++) {
      const running = importAtDp(network.dp('PS1DP2'), path);
      const isBegun = async () => (await readdir(staging)).includes('import.held');
      while (!(await isBegun())) await sleep(2);
      await sleep(random.below(byScale({ short: 100, long: 2_000 })));
      await network.dp('PS1DP2').kill();
      await running;
      await network.dp('PS1DP2').start();
    }
    await imported('PS1DP2', path, /its files are here/);
    proxy.reset();
    await administrator.distribute(packageId, 'PS1DP2');
    await administrator.installed({ packageId, dpId: 'PS1DP2' });
    assert.ok(proxy.forwardedBytes < contentBytes / 100, `${proxy.forwardedBytes} bytes`);
    await isEqual(packageId, 'PS1DP2', source);
    await storesOnlyWhatIsUsed(network.dataDirectoryOf('PS1DP2'));
  });
});

describe('prestaged content at a DP of another site than its source (PKG-12)', function () {
  this.timeout(120_000);

  it('builds on the version that the DP serves', async () => {
    await using network = await HierarchyNetwork.start({
      site: { ...site, despooling: { reserveBytes: 0 } },
      sites: [
        { siteCode: 'CS1', kind: 'central-administration' },
        { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: ['PS1DP1', 'PS1DP2'] },
      ],
    });
    const central = await network.administrator('CS1');
    const source = await makeSource(network.directory, 6, 4 * mebibyte);
    const packageId = await central.create(source);
    await central.distribute(packageId, 'PS1DP1');
    await central.installed({ packageId, dpId: 'PS1DP1' });
    await network.dp('PS1DP1').stop();
    await writeNoise(join(source, 'more.wim'), { bytes: mebibyte, seed: 7 });
    await central.update(packageId);
    const at = { cliOptions: network.cliOptionsOf('CS1') };
    const path = join(network.directory, 'delta.wbp');
    await exportPackage(at, packageId, path, ['--since', '1']);
    const without = await importAtDp(network.dp('PS1DP2'), path);
    assert.match(without.stderr, /since version 1 .* none of it is here/);
    // Its site goes on sending as soon as it is back: whichever is first, it ends right.
    await network.dp('PS1DP1').start();
    const end = await importAtDp(network.dp('PS1DP1'), path);
    assert.equal(end.exitCode, 0, end.stderr);
    await central.installed({ packageId, dpId: 'PS1DP1' });
    const out = await extractPackage(network, 'PS1DP1', packageId);
    assert.equal(await treeDifference(source, out), '');
  });
});

describe('prestaged content and a full disk (PKG-12)', function () {
  this.timeout(120_000);
  const bytes = 24 * mebibyte;
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'waybill-'));
  });

  afterEach(() => rm(directory, { recursive: true }));

  it('is refused with what is needed, where it is exported and where it is imported', async function () {
    const disk = await SmallDisk.mount(join(directory, 'small'), 16 * mebibyte);
    if (!(disk instanceof SmallDisk)) return this.skip();
    await using _ = disk;
    await using network = await Network.start({
      directory,
      ...{ distributionPoints: ['PS1DP1'], site },
      dp: { contentLibraryDirectory: join(disk.directory, 'library'), reserveBytes: 0 },
    });
    const administrator = await Administrator.of(network);
    const packageId = await administrator.create(await makeSource(directory, 8, bytes));
    const place = join(disk.directory, 'full.wbp');
    const exported = exportPackage(network, packageId, place);
    await assert.rejects(exported, /MiB free; .* MiB are needed. Nothing was left there/);
    const path = await exportPackage(network, packageId, join(directory, 'large.wbp'));
    const end = await importAtDp(network.dp('PS1DP1'), path);
    assert.equal(end.exitCode, 1);
    assert.match(end.stderr, /expected \d+ bytes free, got \d+ bytes\. Nothing was imported/);
    assert.ok(!(await readdir(disk.directory)).some((name) => name.startsWith('full.wbp')));
    assert.deepEqual(await storedHashes(network.dataDirectoryOf('PS1DP1')).catch(() => []), []);
  });
});

import assert from 'node:assert/strict';
import { appendFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeededRandom } from '../shared/testing/seeded-random.ts';
import type { Administrator } from './administrator.ts';
import { HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { storesOnlyWhatIsUsed } from './library-files.ts';
import {
  cutTo,
  exportOver,
  exportPackage,
  importOver,
  importPackage,
  isRefused,
  withBitFlipped,
} from './prestaged-files.ts';
import { extractPackage, runWaybill } from './programs.ts';
import { writeFiles, writeNoise } from './source-files.ts';
import { byScale, testSeed } from './test-scale.ts';
import { treeDifference } from './tree-difference.ts';

const mebibyte = 1024 * 1024;
const imageBytes = 6 * mebibyte;
/** What else goes over a link: replication, handshakes, status. */
const talkBytesMax = mebibyte;
/** The package file begins there. */
const beginningBytes = 32_768;

/** Nothing is left free for others: a test must not depend on how full the disk is. */
const site = {
  ...{ unreferencedGraceMs: 0, sweepIntervalMs: 1_000 },
  despooling: { reserveBytes: 0 },
  sending: { packageFileReserveBytes: 0 },
};

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: ['PS1DP1'] },
];

/** Resolves when so many names are in a directory. */
async function whenThere(directory: string, count = 1): Promise<void> {
  while ((await readdir(directory)).length < count) await sleep(5);
}

describe('prestaged content between sites (PKG-12)', function () {
  this.timeout(300_000);
  let network: HierarchyNetwork;
  let central: Administrator;
  let primary: Administrator;
  let sourceCount = 0;
  const atCentral = () => ({ cliOptions: network.cliOptionsOf('CS1') });
  const atPrimary = () => ({ cliOptions: network.cliOptionsOf('PS1') });
  const pathOf = (name: string) => join(network.directory, name);

  before(async () => {
    network = await HierarchyNetwork.start({ sites, links: ['PS1'], site });
    central = await network.administrator('CS1');
    primary = await network.administrator('PS1');
  });

  after(() => network?.stop());

  async function makeSource(bytes = imageBytes): Promise<string> {
    const seed = ++sourceCount;
    const source = pathOf(`source-${seed}`);
    await writeNoise(join(source, 'image.wim'), { bytes, seed });
    await writeFiles(source, { 'setup.exe': `setup ${seed}`, 'docs/readme.txt': `read ${seed}` });
    return source;
  }

  /** A package of the central site that the primary one knows, and nobody is to have. */
  async function createKnown(source: string): Promise<string> {
    const packageId = await central.create(source);
    await primary.knows(packageId);
    return packageId;
  }

  async function isInstalled(packageId: string, source: string): Promise<void> {
    await primary.installed({ packageId, dpId: 'PS1DP1' });
    const out = await extractPackage(network, 'PS1DP1', packageId);
    assert.equal(await treeDifference(source, out), '');
  }

  const sent = () => network.link('PS1').to.forwardedBytes;

  it('is imported with the link cut, distributed, and never sent', async () => {
    const source = await makeSource();
    const packageId = await createKnown(source);
    const path = await exportPackage(atCentral(), packageId, pathOf('first.wbp'));
    network.link('PS1').cut();
    network.link('PS1').to.reset();
    assert.equal((await importPackage(atPrimary(), path)).state, 'stored');
    await primary.distribute(packageId, 'PS1DP1');
    await isInstalled(packageId, source);
    network.link('PS1').join();
    await central.installed({ packageId, dpId: 'PS1DP1' });
    assert.ok(sent() < talkBytesMax, `${sent()} bytes were sent`);
    assert.equal((await importPackage(atPrimary(), path)).state, 'stored-before');
  });

  it('stays though nobody is to have it yet; what changed since is exported alone', async () => {
    const source = await makeSource();
    const packageId = await createKnown(source);
    const full = await exportPackage(atCentral(), packageId, pathOf('full.wbp'));
    assert.equal((await importPackage(atPrimary(), full)).state, 'stored');
    await appendFile(join(source, 'setup.exe'), ' changed');
    await central.update(packageId);
    await primary.hears(packageId, 2);
    const delta = await exportPackage(atCentral(), packageId, pathOf('d.wbp'), ['--since', '1']);
    assert.ok((await stat(delta)).size < talkBytesMax / 4);
    network.link('PS1').to.reset();
    assert.equal((await importPackage(atPrimary(), delta)).state, 'stored');
    const { storedVersion } = await primary.getPackage(packageId);
    assert.equal(storedVersion, 2);
    await central.distribute(packageId, 'PS1DP1');
    await isInstalled(packageId, source);
    assert.ok(sent() < talkBytesMax, `${sent()} bytes were sent`);
    // An older file, and one that builds on another version, are refused; nothing changes.
    await isRefused(await network.admin('PS1'), full, /version 1 was offered; version 2 is served/);
    assert.equal((await primary.getPackage(packageId)).storedVersion, 2);
  });

  it('makes a send needless that is under way', async () => {
    const source = await makeSource();
    const packageId = await createKnown(source);
    const path = await exportPackage(atCentral(), packageId, pathOf('under-way.wbp'));
    network.link('PS1').cut();
    await central.distribute(packageId, 'PS1DP1');
    await central.sendRequestIs({ packageId }, ({ state }) => state.endsWith('RETRYING'));
    await importPackage(atPrimary(), path);
    network.link('PS1').to.reset();
    network.link('PS1').join();
    await isInstalled(packageId, source);
    await central.sendRequestEnded({ packageId }, () => true);
    assert.ok(sent() < talkBytesMax, `${sent()} bytes were sent`);
  });

  it('waits for what the hierarchy knows of it, and says so', async () => {
    network.link('PS1').cut();
    const source = await makeSource();
    const packageId = await central.create(source);
    const path = await exportPackage(atCentral(), packageId, pathOf('early.wbp'));
    const end = await runWaybill(atPrimary(), ['package', 'import', path]);
    assert.equal(end.exitCode, 0, end.stderr);
    assert.match(end.stdout, /waits: metadata of package .* has not arrived from site CS1 yet/);
    network.link('PS1').join();
    await primary.knows(packageId);
    await primary.packageIs(packageId, ({ storedVersion }) => storedVersion === 1);
    await primary.distribute(packageId, 'PS1DP1');
    await isInstalled(packageId, source);
  });

  it('refuses what was altered, cut, or is no such file, and changes nothing', async () => {
    const packageId = await createKnown(await makeSource());
    const path = await exportPackage(atCentral(), packageId, pathOf('sound.wbp'));
    const text = pathOf('text.wbp');
    await writeFile(text, 'WBPRES0\nnot one');
    const refused: readonly (readonly [string, RegExp])[] = [
      [await withBitFlipped(path, 3), /expected a file made by "waybill package export"/],
      [await withBitFlipped(path, 40), /damaged|signature/],
      [await withBitFlipped(path, beginningBytes - 1), /its signature is not right/],
      // The name of its key: another one, or none at all, which depends on the digit that was hit.
      [await withBitFlipped(path, beginningBytes - 70), /key|what it says of itself is damaged/],
      [await withBitFlipped(path, beginningBytes + 600), /altered/],
      [await withBitFlipped(path, -1_000_000), /its bytes were altered: expected hash/],
      [await cutTo(path, -1), /it is cut off: \d+ bytes, expected \d+/],
      [await cutTo(path, 1_000), /it is cut off: 1000 bytes/],
      [await cutTo(path, 0), /expected a file made by/],
      [text, /expected a file made by/],
      [pathOf('nowhere.wbp'), /it is not there/],
      [network.directory, /expected a regular file/],
      ['/dev/zero', /expected a regular file/],
    ];
    for (const [file, words] of refused) await isRefused(await network.admin('PS1'), file, words);
    assert.equal((await primary.getPackage(packageId)).storedVersion, 0);
    const [own] = await readdir(join(network.dataDirectoryOf('PS1'), 'despool'));
    assert.equal(own, undefined);
    await storesOnlyWhatIsUsed(network.dataDirectoryOf('PS1'));
    await isRefused(await network.admin('CS1'), path, /made at site CS1 itself/);
    const readOnly = await runWaybill(atPrimary(), ['package', 'import', 'relative.wbp']);
    assert.equal(readOnly.exitCode, 2);
  });

  it('refuses a file of another hierarchy, though its site has the same name', async () => {
    const [top] = sites;
    assert.ok(top);
    await using foreign = await HierarchyNetwork.start({ sites: [top], site });
    const source = await makeSource(10_000);
    const administrator = await foreign.administrator('CS1');
    const packageId = await administrator.create(source);
    const at = { cliOptions: foreign.cliOptionsOf('CS1') };
    const path = await exportPackage(at, packageId, pathOf('foreign.wbp'));
    await isRefused(
      await network.admin('PS1'),
      path,
      /key .* is none of a site that is known in this hierarchy/,
    );
  });

  it('refuses what builds on another version, and says on which it may build', async () => {
    const source = await makeSource(10_000);
    const packageId = await createKnown(source);
    const full = await exportPackage(atCentral(), packageId, pathOf('v1.wbp'));
    for (const version of [2, 3]) {
      await appendFile(join(source, 'setup.exe'), ` ${version}`);
      await central.update(packageId);
      await primary.hears(packageId, version);
    }
    const delta = await exportPackage(atCentral(), packageId, pathOf('v3.wbp'), ['--since', '2']);
    await isRefused(await network.admin('PS1'), delta, /since version 2 .* none of it is here/);
    await importPackage(atPrimary(), full);
    await isRefused(
      await network.admin('PS1'),
      delta,
      /version 1 is here; expected .* with "--since 1"/,
    );
    const words = ['package', 'export', packageId, '--to', pathOf('v9.wbp')];
    const none = await runWaybill(atCentral(), [...words, '--since', '3']);
    assert.match(none.stderr, /expected one of the versions 1, 2/);
    const there = await runWaybill(atCentral(), [...words.slice(0, -1), full]);
    assert.match(there.stderr, /--force replaces an exported file/);
    assert.equal(there.exitCode, 1);
    const unknown = ['package', 'export', 'CS1000FF', '--to', pathOf('v9.wbp')];
    assert.match((await runWaybill(atCentral(), unknown)).stderr, /There is no package CS1000FF/);
    const own = join(network.dataDirectoryOf('CS1'), 'x.wbp');
    const inside = await runWaybill(atCentral(), [...words.slice(0, -1), own]);
    assert.match(inside.stderr, /outside the site server's own files/);
    await exportPackage(atCentral(), packageId, full, ['--force']);
    assert.equal((await importPackage(atPrimary(), full)).state, 'stored');
  });

  it('goes on after the site was killed at any moment', async () => {
    const bytes = byScale({ short: 48, long: 512 }) * mebibyte;
    const source = await makeSource(bytes);
    const packageId = await createKnown(source);
    const path = await exportPackage(atCentral(), packageId, pathOf('killed.wbp'));
    const kills = byScale({ short: 3, long: 20 });
    const random = new SeededRandom(testSeed);
    for (let round = 0; round < kills; round++) {
      const running = importOver(await network.admin('PS1'), path).catch(() => {});
      await Promise.race([running, whenThere(join(network.dataDirectoryOf('PS1'), 'despool'))]);
      await sleep(random.below(byScale({ short: 300, long: 3_000 })));
      await network.agent('PS1').kill();
      await running;
      await network.agent('PS1').start();
    }
    const { state } = await importPackage(atPrimary(), path);
    assert.match(state, /^stored/);
    await primary.distribute(packageId, 'PS1DP1');
    await isInstalled(packageId, source);
  });

  it('leaves nothing of an export that was killed, and exports again', async () => {
    const source = await makeSource(byScale({ short: 48, long: 512 }) * mebibyte);
    const packageId = await createKnown(source);
    const directory = pathOf('exports');
    await writeFiles(directory, { other: '' });
    const path = join(directory, 'killed.wbp');
    const running = exportOver(await network.admin('CS1'), packageId, path).catch(() => {});
    await whenThere(directory, 2);
    await network.agent('CS1').kill();
    await running;
    await network.agent('CS1').start();
    if ((await readdir(directory)).includes('killed.wbp')) return;
    await exportPackage(atCentral(), packageId, path);
    assert.deepEqual((await readdir(directory)).sort(), ['killed.wbp', 'other']);
    assert.equal((await importPackage(atPrimary(), path)).state, 'stored');
  });
});

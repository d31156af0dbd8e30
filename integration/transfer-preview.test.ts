import assert from 'node:assert/strict';
import { appendFile, copyFile, mkdir, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Administrator } from './administrator.ts';
import { HierarchyNetwork } from './hierarchy-network.ts';
import { Network } from './network.ts';
import { runWaybill } from './programs.ts';
import { writeFiles, writeNoise, writeSmallFiles } from './source-files.ts';

const mebibyte = 1024 * 1024;
/** What was said and what then travelled may differ by so much. */
const shareMax = 0.03;

/** A way of a preview, as `--json` has it. */
interface Transfer {
  readonly way: string;
  readonly dpId: string;
  readonly siteCode: string;
  readonly fromSiteCode: string;
  readonly toSiteCode: string;
  readonly bytes: number;
  readonly fileCount: number;
  readonly basis: string;
  readonly note: string;
  readonly waitsMs: number;
  readonly durationMs: number | null;
  readonly durationUnknown: string;
  readonly pace: string;
}

interface Preview {
  readonly version: {
    readonly sourceVersion: number;
    readonly publishedVersion: number;
    readonly sourceUnchanged: boolean;
    readonly newFiles: number;
    readonly newBytes: number;
  };
  readonly transfers: readonly Transfer[];
  readonly total: { readonly bytes: number; readonly bytesBetweenSites: number };
}

interface CommandLine {
  readonly cliOptions: readonly string[];
}

async function preview(network: CommandLine, ...words: string[]): Promise<Preview> {
  const { exitCode, stdout, stderr } = await runWaybill(network, [
    ...['package', ...words, '--preview', '--json'],
  ]);
  assert.equal(exitCode, 0, stderr);
  return JSON.parse(stdout) as Preview;
}

function toDp({ transfers }: Preview, dpId: string): Transfer {
  const found = transfers.find((one) => one.way === 'distribution-point' && one.dpId === dpId);
  assert.ok(found, `the preview says nothing of ${dpId}`);
  return found;
}

function overRoute({ transfers }: Preview, from: string, to: string): Transfer {
  const found = transfers.find((one) => one.fromSiteCode === from && one.toSiteCode === to);
  assert.ok(found, `the preview says nothing of ${from} to ${to}`);
  return found;
}

function isNear(said: number, travelled: number, what: string): void {
  const isIt = Math.abs(said - travelled) <= shareMax * travelled;
  assert.ok(isIt, `${what}: said ${said}, travelled ${travelled}`);
}

/** Replaces a few bytes in the middle of a file. */
async function edit(path: string, at: number): Promise<void> {
  await using file = await open(path, 'r+');
  await file.write(Buffer.from('these bytes are other ones'), 0, 26, at);
}

/** All files of an agent, but those of its state store and its logs. */
async function filesOf(directory: string): Promise<string[]> {
  const all = await readdir(directory, { recursive: true, withFileTypes: true });
  return all
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name).slice(directory.length))
    .filter((path) => !/^\/(state-store|logs)\//.test(path))
    .sort();
}

describe('a preview at one site', () => {
  let network: Network;
  let administrator: Administrator;
  const [dpId, otherId, pullId] = ['PS1DP1', 'PS1DP2', 'PS1DP3'] as const;

  before(async () => {
    network = await Network.start({
      distributionPoints: [dpId, otherId, pullId],
      pull: { [pullId]: { sources: { [dpId]: 1 } } },
    });
    administrator = await Administrator.of(network);
  });

  after(() => network.stop());

  async function makeSource(name: string, seed: number): Promise<string> {
    const source = join(network.directory, name);
    await writeNoise(join(source, 'image.wim'), { bytes: 12 * mebibyte, seed });
    await writeSmallFiles(join(source, 'small'), { count: 150, bytes: 3_000, seed });
    await writeFiles(source, { 'docs/readme.txt': `read ${name}` });
    return source;
  }

  /** What there is to see of the site and its DPs. */
  async function everything() {
    const rows = [
      await administrator.packages(),
      await administrator.statuses({}),
      await administrator.openJobs(),
      await administrator.endedJobs(),
      await administrator.messages(),
      await administrator.auditRecords(),
    ];
    const names = ['PS1', dpId, otherId, pullId];
    const files = names.map((name) => filesOf(network.dataDirectoryOf(name)));
    return { rows, files: await Promise.all(files) };
  }

  it('says what a first distribution sends, by what each DP holds, and changes nothing', async () => {
    const first = await administrator.create(await makeSource('first', 1));
    await administrator.install(first, dpId);
    // The second package has a large file of the first one.
    const source = await makeSource('second', 2);
    await mkdir(join(source, 'shared'));
    const shared = join(source, 'shared', 'image.wim');
    await copyFile(join(network.directory, 'first', 'image.wim'), shared);
    const packageId = await administrator.create(source);
    const before = await everything();
    const said = await preview(network, 'distribute', packageId, '--all');
    assert.deepEqual(await everything(), before, 'nothing is done');
    for (const one of [dpId, otherId, pullId]) {
      const { bytes, basis } = toDp(said, one);
      assert.equal(basis, 'asked');
      await administrator.distribute(packageId, one);
      await administrator.installed({ packageId, dpId: one });
      const { bytesSent } = await administrator.lastJob({ packageId, dpId: one });
      isNear(bytes, Number(bytesSent), one);
    }
    assert.ok(toDp(said, otherId).bytes > toDp(said, dpId).bytes + 11 * mebibyte);
    const again = await preview(network, 'distribute', packageId, '--dp', dpId);
    assert.deepEqual([toDp(again, dpId).bytes, toDp(again, dpId).basis], [0, 'nothing-to-do']);
  });

  it('says what an update sends, with deltas as they will be, and publishes nothing (PKG-5)', async () => {
    const source = await makeSource('updated', 3);
    const packageId = await administrator.create(source);
    for (const one of [dpId, pullId]) await administrator.install(packageId, one);
    await edit(join(source, 'image.wim'), 5 * mebibyte);
    await writeNoise(join(source, 'new.bin'), { bytes: 2 * mebibyte, seed: 33 });
    await appendFile(join(source, 'docs/readme.txt'), ' and more');
    const before = await everything();
    const said = await preview(network, 'update', packageId);
    assert.deepEqual(await everything(), before, 'nothing is done');
    assert.deepEqual([said.version.sourceVersion, said.version.publishedVersion], [2, 1]);
    assert.equal(said.version.newFiles, 3);
    await administrator.update(packageId);
    for (const one of [dpId, pullId]) {
      await administrator.installed({ packageId, dpId: one });
      const { bytesSent } = await administrator.lastJob({ packageId, dpId: one });
      const { bytes } = toDp(said, one);
      assert.ok(bytes < 3 * mebibyte, 'the large file comes as its delta');
      isNear(bytes, Number(bytesSent), one);
    }
    const unchanged = await preview(network, 'update', packageId);
    assert.equal(unchanged.version.sourceUnchanged, true);
    assert.deepEqual(unchanged.transfers, []);
  });

  it('estimates what a DP lacks that cannot be asked, from what is installed there', async () => {
    const packageId = await administrator.create(join(network.directory, 'first'));
    await network.dp(dpId).kill();
    const said = toDp(await preview(network, 'distribute', packageId, '--dp', dpId), dpId);
    assert.equal(said.basis, 'installed-packages');
    assert.match(said.note, /could not be asked|is unreachable/);
    await network.dp(dpId).start();
    await administrator.distribute(packageId, dpId);
    await administrator.installed({ packageId, dpId });
    const { bytesSent } = await administrator.lastJob({ packageId, dpId });
    assert.equal(said.bytes, Number(bytesSent), 'it holds all of it from the first package');
  });

  it('reckons by the limits, links and schedules as they are (PTM-5, PTM-6)', async () => {
    const packageId = await administrator.create(await makeSource('limited', 8));
    const waybill = async (...words: string[]) => {
      const { exitCode, stderr } = await runWaybill(network, words);
      assert.equal(exitCode, 0, stderr);
    };
    await waybill('dp', 'set', dpId, '--limit', '1MB/s');
    await waybill('link', 'set', 'wan', '--dp', dpId, '--dp', otherId, '--limit', '500kB/s');
    const words = ['distribute', packageId, '--dp', dpId, '--dp', otherId];
    const said = await preview(network, ...words);
    const { bytes, durationMs, pace } = toDp(said, dpId);
    assert.equal(pace, 'limit');
    assert.ok(Math.abs((durationMs ?? 0) - bytes / 500) < 0.02 * (bytes / 500), `${durationMs}`);
    const link = said.transfers.find(({ way }) => way === 'link');
    assert.equal(link?.bytes, bytes + toDp(said, otherId).bytes);
    const site = said.transfers.find(({ way }) => way === 'site');
    assert.equal(site?.durationMs, link?.durationMs, 'the link is what holds them back together');
    await waybill('dp', 'set', dpId, '--schedule', 'closed');
    const closed = toDp(await preview(network, ...words), dpId);
    assert.equal(closed.durationMs, null);
    assert.match(closed.durationUnknown, /never opens/);
    await waybill('link', 'delete', 'wan');
    await waybill('dp', 'set', dpId, '--limit', 'none', '--schedule', 'none');
  });

  it('is told in words that fit a terminal', async () => {
    const packageId = await administrator.create(await makeSource('told', 9));
    const words = ['package', 'distribute', packageId, '--dp', dpId, '--dp', otherId, '--preview'];
    const { exitCode, stdout, stderr } = await runWaybill(network, words);
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /^Package \S+ version 1: 152 files, 12\.4 MiB\.\nNothing is done\. /);
    assert.match(stdout, /\nIn all 24\.\d MiB to 2 DPs, .+ of it manifests; /);
    for (const line of stdout.split('\n')) assert.ok(line.length <= 80, line);
  });
});

describe('a preview over several sites (REP-2, REP-4)', () => {
  let network: HierarchyNetwork;
  let central: Administrator;
  const linked = ['PS1', 'SS1'];

  before(async () => {
    network = await HierarchyNetwork.start({
      sites: [
        { siteCode: 'CS1', kind: 'central-administration' },
        { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: ['PS1DP1'] },
        { siteCode: 'SS1', kind: 'secondary', parent: 'PS1', standard: ['SS1DP1'] },
      ],
      links: linked,
    });
    central = await network.administrator('CS1');
  });

  after(() => network?.stop());

  const sentTo = (siteCode: string) => network.link(siteCode).to.forwardedBytes;
  /** What else goes over a link while a package does: replication, handshakes, status. */
  const talkBytesMax = mebibyte / 4;

  async function isAsSaid(said: Preview, packageId: string): Promise<void> {
    for (const [dpId, siteCode] of [
      ['PS1DP1', 'PS1'],
      ['SS1DP1', 'SS1'],
    ] as const) {
      await central.installed({ packageId, dpId });
      const there = await network.administrator(siteCode);
      const { bytesSent } = await there.lastJob({ packageId, dpId });
      isNear(toDp(said, dpId).bytes, Number(bytesSent), dpId);
    }
    const hops = [overRoute(said, 'CS1', 'PS1'), overRoute(said, 'PS1', 'SS1')];
    for (const { toSiteCode, bytes } of hops) {
      const sent = sentTo(toSiteCode);
      assert.ok(sent > bytes * (1 - shareMax), `${toSiteCode}: said ${bytes}, sent ${sent}`);
      assert.ok(sent < bytes * (1 + shareMax) + talkBytesMax, `${toSiteCode}: ${bytes}, ${sent}`);
    }
  }

  it('says what goes over each hop, and to the DPs there, whichever site is asked', async () => {
    const source = join(network.directory, 'over-sites');
    await writeNoise(join(source, 'image.wim'), { bytes: 8 * mebibyte, seed: 5 });
    // Half of it compresses well.
    const text = 'what is written here is written again and again. '.repeat(100_000);
    await writeFiles(source, { 'text.txt': text });
    const packageId = await central.create(source);
    const words = ['distribute', packageId, '--dp', 'PS1DP1', '--dp', 'SS1DP1'];
    const primary = await network.administrator('PS1');
    await primary.knows(packageId);
    const cliOptions = (siteCode: string) => ({ cliOptions: network.cliOptionsOf(siteCode) });
    const said = await preview(cliOptions('CS1'), ...words);
    const elsewhere = await preview(cliOptions('PS1'), ...words);
    assert.deepEqual(bytesOf(elsewhere), bytesOf(said));
    assert.ok(overRoute(said, 'CS1', 'PS1').bytes < 9 * mebibyte, 'the text is compressed');
    for (const siteCode of linked) network.link(siteCode).to.reset();
    await central.distribute(packageId, 'PS1DP1', 'SS1DP1');
    await isAsSaid(said, packageId);

    await edit(join(source, 'image.wim'), 3 * mebibyte);
    await writeNoise(join(source, 'new.bin'), { bytes: 3 * mebibyte, seed: 6 });
    const update = await preview(cliOptions('SS1'), 'update', packageId);
    assert.equal(update.version.sourceVersion, 2);
    const { sourceVersion } = await central.getPackage(packageId);
    assert.equal(sourceVersion, 1, 'nothing is published');
    for (const siteCode of linked) network.link(siteCode).to.reset();
    await central.update(packageId);
    await isAsSaid(update, packageId);
  });

  it('says what it cannot know of a site that is away', async () => {
    const source = join(network.directory, 'away');
    await writeNoise(join(source, 'image.wim'), { bytes: mebibyte, seed: 7 });
    const packageId = await central.create(source);
    await network.agent('PS1').kill();
    const words = ['package', 'distribute', packageId, '--dp', 'PS1DP1', '--preview'];
    const cli = { cliOptions: network.cliOptionsOf('CS1') };
    const { exitCode, stdout, stderr } = await runWaybill(cli, words);
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /Site PS1 could not be asked: .*its DPs are estimated from afar/);
    assert.match(stdout, /PS1DP1: estimated, since nothing is known|from the packages/);
    await network.agent('PS1').start();
  });
});

function bytesOf({ transfers, total }: Preview) {
  const ways = transfers.map(({ way, dpId, fromSiteCode, toSiteCode, bytes }) => {
    return [way, dpId, fromSiteCode, toSiteCode, bytes].join(' ');
  });
  return { ways: ways.sort(), total: [total.bytes, total.bytesBetweenSites] };
}

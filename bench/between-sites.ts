import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { HierarchyNetwork } from '../integration/hierarchy-network.ts';
import type { AdminChannel } from '../integration/network.ts';
import { makeBigFile, makeSmallFiles, NoiseStream } from './data-sets.ts';
import { cpuSecondsOf, cpuSecondsOfChildren, measured, type RunCost } from './measure.ts';
import { type Contender, printSeries } from './report.ts';
import { RsyncPeer } from './rsync-peer.ts';
import { packageHandled, publishPackage } from './waybill-run.ts';
import { isInstalled, WebServer } from './web-server.ts';

const execute = promisify(execFile);
const deadlineMs = 30_000;
const dpId = 'PS1DP1';
/** A real source tree that every machine has. */
const realTree = '/usr/share';
/** In the next version of a tree one file of so many is another. */
const changedOneOf = 30;
const editBytesMax = 4096;
/** What both sites have stored before: nearly all directories of their libraries are there then. */
const earlierFiles = { count: 20_000, bytes: 64, seed: 53 };

/** A tree, and what it becomes; each in a folder. */
interface Trees {
  readonly title: string;
  readonly first: string;
  readonly next?: string;
}

/**
 * From one site to another: a file that does not compress, a real source tree, and its next version,
 * beside `rsync -z` over ssh and casync over HTTP. Ours begins with the administrator's command, the
 * package being in the library of its source site; it ends when the receiving site has every file
 * verified and synced in its library. Both sites are in use: they have sent and stored another package
 * before. Theirs ends when the program ends. The CPU seconds are those of both ends; of casync, of the
 * receiving one, since its chunks are made before. Bytes are counted on the loopback interface: where
 * others use it, run this in a network of its own (`unshare --net`).
 */
export async function measureBetweenSites(bytes: number, runCount: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'waybill-bench-'));
  try {
    const noise = join(directory, 'noise');
    await makeBigFile(noise, bytes, 51);
    const gibibytes = (bytes / 1024 ** 3).toFixed(2);
    await measureTrees(directory, runCount, {
      title: `one file of ${gibibytes} GiB, incompressible`,
      first: noise,
    });
    await rm(noise, { recursive: true });
    const [first, next] = [join(directory, 'tree'), join(directory, 'next-tree')];
    for (const copy of [first, next]) await copyTree(realTree, copy);
    await changeFiles(next);
    await measureTrees(directory, runCount, { title: `the tree ${realTree}`, first, next });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function measureTrees(directory: string, runCount: number, trees: Trees): Promise<void> {
  const contenders: readonly ((room: string, trees: Trees) => Promise<NamedRuns>)[] = [
    waybillRun,
    rsyncRun,
    casyncRun,
  ];
  const firstRuns = new Map<string, RunCost[]>();
  const nextRuns = new Map<string, RunCost[]>();
  for (let run = 0; run < runCount; run++) {
    for (const contender of contenders) {
      const room = join(directory, 'room');
      await mkdir(room);
      const { name, first, next } = await contender(room, trees);
      await rm(room, { recursive: true });
      if (first) firstRuns.set(name, [...(firstRuns.get(name) ?? []), first]);
      if (next) nextRuns.set(name, [...(nextRuns.get(name) ?? []), next]);
    }
  }
  const bytes = await bytesOf(trees.first);
  printSeries(`Site to site: ${trees.title}`, bytes, toContenders(firstRuns));
  const title = `Site to site: its next version, one file of ${changedOneOf} edited; Waybill's time with the snapshot`;
  if (trees.next) printSeries(title, bytes, toContenders(nextRuns));
}

/** What a contender took for the first version and for the next. */
interface NamedRuns {
  readonly name: string;
  readonly first?: RunCost;
  readonly next?: RunCost;
}

async function waybillRun(room: string, { first, next }: Trees): Promise<NamedRuns> {
  const network = await HierarchyNetwork.start({
    directory: join(room, 'network'),
    sites: [
      { siteCode: 'CS1', kind: 'central-administration' },
      { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: [dpId] },
    ],
  });
  try {
    const [central, primary] = [await network.admin('CS1'), await network.admin('PS1')];
    // Only the way between the sites is measured: the DP stands still.
    await network.dp(dpId).kill();
    const send = async (directory: string) => {
      const packageId = await publishPackage(central, directory);
      return async () => {
        await central.unary('distributePackage', { packageId, dpIds: [dpId] }, { deadlineMs });
        await stored(primary, packageId, 1);
        return packageId;
      };
    };
    const earlier = join(room, 'earlier');
    await makeSmallFiles(earlier, earlierFiles);
    await (await send(earlier))();
    const source = join(room, 'source');
    await copyTree(first, source);
    const sendFirst = await send(source);
    const cpuSeconds = () => cpuSecondsOfSites(network);
    let packageId = '';
    const sent = await measured(cpuSeconds, async () => {
      packageId = await sendFirst();
    });
    if (next === undefined) return { name: 'waybill', first: sent };
    // Edited in place, as a source is: what is the same stays untouched.
    await copyTree(next, source);
    const updated = await measured(cpuSeconds, async () => {
      await central.unary('updatePackage', { packageId }, { deadlineMs });
      await packageHandled(central, packageId);
      await stored(primary, packageId, 2);
    });
    return { name: 'waybill', first: sent, next: updated };
  } finally {
    await network.stop();
  }
}

function cpuSecondsOfSites({ sites }: HierarchyNetwork): number {
  return sites.reduce((sum, { server }) => sum + cpuSecondsOf(server.pid ?? 0), 0);
}

/** Resolves when the site has the version in its library. */
async function stored(admin: AdminChannel, packageId: string, version: number): Promise<void> {
  for await (const one of admin.serverStream('watchPackage', { packageId }, {})) {
    if (one.storedVersion >= version) return;
  }
}

async function rsyncRun(room: string, { first, next }: Trees): Promise<NamedRuns> {
  const name = 'rsync -z over ssh';
  const rsync = await RsyncPeer.start(join(room, 'ssh'));
  if (!rsync) return { name };
  try {
    const target = join(room, 'target');
    await mkdir(target);
    const copy = (source: string) =>
      measured(
        () => rsync.cpuSeconds,
        () => rsync.copy(source, target, { rsync: ['-z'] }),
      );
    const sent = await copy(first);
    return { name, first: sent, ...(next && { next: await copy(next) }) };
  } finally {
    rsync.stop();
  }
}

/** Making the chunks is done once for all and not counted. */
async function casyncRun(room: string, { first, next }: Trees): Promise<NamedRuns> {
  const name = 'casync over HTTP';
  const root = join(room, 'web');
  await mkdir(root);
  const web = isInstalled('casync') ? await WebServer.start(join(room, 'nginx'), root) : undefined;
  if (!web) return { name };
  try {
    const address = `http://127.0.0.1:${web.plainPort}`;
    const store = `--store=${join(root, 'store.castr')}`;
    const target = join(room, 'target');
    const copy = async (source: string, index: string) => {
      await execute('casync', ['make', store, join(root, index), source]);
      const from = [`--store=${address}/store.castr`, `--seed=${target}`, `${address}/${index}`];
      await mkdir(target, { recursive: true });
      const cpuSeconds = () => cpuSecondsOfChildren(process.pid);
      return measured(cpuSeconds, () => execute('casync', ['extract', ...from, target]));
    };
    const sent = await copy(first, 'first.caidx');
    return { name, first: sent, ...(next && { next: await copy(next, 'next.caidx') }) };
  } finally {
    web.stop();
  }
}

function toContenders(runs: ReadonlyMap<string, readonly RunCost[]>): Contender[] {
  return [...runs].map(([name, ofName]) => ({ name, runs: ofName }));
}

async function copyTree(from: string, to: string): Promise<void> {
  // Links that leave the tree are no part of a package.
  const filter = ['--safe-links', '-a'];
  await mkdir(to, { recursive: true });
  await execute('rsync', [...filter, `${from}/`, `${to}/`]);
}

/** Edits some of the files in the middle, as a new release does. */
async function changeFiles(tree: string): Promise<void> {
  const noise = new NoiseStream(52);
  const names = await readdir(tree, { recursive: true, withFileTypes: true });
  const files = names.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  for (const [index, path] of files.sort().entries()) {
    if (index % changedOneOf !== 0) continue;
    await using file = await open(path, 'r+');
    const { size } = await file.stat();
    const edit = noise.next(Math.min(editBytesMax, Math.ceil(size / 10)));
    await file.write(edit, 0, edit.length, Math.floor(size / 3));
  }
}

async function bytesOf(tree: string): Promise<number> {
  const { stdout } = await execute('du', ['-sb', tree]);
  return Number(stdout.split('\t')[0]);
}

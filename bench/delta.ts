import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Network } from '../integration/network.ts';
import { bigFileName, makeBigFile, NoiseStream } from './data-sets.ts';
import { measured, type RunCost } from './measure.ts';
import { printSeries } from './report.ts';
import { RsyncPeer } from './rsync-peer.ts';
import { distribute, installed, packageHandled, publishPackage } from './waybill-run.ts';
import { isInstalled, WebServer } from './web-server.ts';

const execute = promisify(execFile);
const noCpuTime = () => 0;
const pieceBytes = 1024 * 1024;
const editBytes = 4096;
const deadlineMs = 30_000;
const standard = 'PS1DP1';
const pull = 'PS1DP2';

/**
 * The next version of a big file: one edit of 4 KiB in every MiB, and 4 KiB more at the front. What
 * travels, by push, by pull, and with Debian's rsync, zsync and casync on the same files.
 */
export async function measureDelta(bytes: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'waybill-bench-'));
  try {
    const old = join(directory, 'v1');
    const next = join(directory, 'v2');
    await makeBigFile(old, bytes, 31);
    await makeNextVersion(join(old, bigFileName), next);
    const contenders = [
      ...(await waybillRuns(directory, old, next)),
      ...(await rsyncRun(directory, old, next)),
      ...(await webRuns(directory, old, next)),
    ];
    const title = `Update: ${(bytes / 1024 ** 2).toFixed(0)} MiB, an edit of 4 KiB in every MiB and 4 KiB more at the front`;
    printSeries(title, bytes, contenders);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

type Contender = { readonly name: string; readonly runs: readonly RunCost[] };

async function makeNextVersion(old: string, directory: string): Promise<void> {
  await mkdir(directory);
  await using from = await open(old, 'r');
  await using to = await open(join(directory, bigFileName), 'w');
  const noise = new NoiseStream(32);
  await to.writeFile(noise.next(editBytes));
  const { size } = await from.stat();
  for (let offset = 0; offset < size; offset += pieceBytes) {
    const piece = Buffer.alloc(Math.min(pieceBytes, size - offset));
    await from.read(piece, 0, piece.length, offset);
    const place = Math.floor((piece.length - editBytes) / 3);
    noise.next(editBytes).copy(piece, place);
    await to.writeFile(piece);
  }
}

/** Both are told at once of the new version; each is measured by itself. */
async function waybillRuns(directory: string, old: string, next: string): Promise<Contender[]> {
  const network = await Network.start({
    directory: join(directory, 'network'),
    distributionPoints: [standard, pull],
    pull: { [pull]: { sources: { [standard]: 1 } } },
  });
  try {
    const admin = await network.admin();
    const source = join(directory, 'source');
    await mkdir(source);
    await copyFile(join(old, bigFileName), join(source, bigFileName));
    const packageId = await publishPackage(admin, source);
    for (const dpId of [standard, pull]) await distribute(admin, packageId, dpId);
    await network.dp(pull).kill();
    await copyFile(join(next, bigFileName), join(source, bigFileName));
    const pushed = await measured(noCpuTime, async () => {
      await admin.unary('updatePackage', { packageId }, { deadlineMs });
      await packageHandled(admin, packageId);
      await installed(admin, { packageId, dpId: standard, sourceVersion: 2 });
    });
    const pulled = await measured(noCpuTime, async () => {
      await network.dp(pull).start();
      await installed(admin, { packageId, dpId: pull, sourceVersion: 2 });
    });
    return [
      { name: 'waybill push, snapshot included', runs: [pushed] },
      { name: 'waybill pull', runs: [pulled] },
    ];
  } finally {
    await network.stop();
  }
}

async function rsyncRun(directory: string, old: string, next: string): Promise<Contender[]> {
  const rsync = await RsyncPeer.start(join(directory, 'ssh'));
  if (!rsync) return [];
  const target = join(directory, 'rsync');
  await mkdir(target);
  await copyFile(join(old, bigFileName), join(target, bigFileName));
  const options = { rsync: ['--no-whole-file'] };
  const run = await measured(noCpuTime, () => rsync.copy(next, target, options));
  rsync.stop();
  return [{ name: 'rsync over ssh', runs: [run] }];
}

/** What fetches from a web server: what is made once beforehand is not counted. */
async function webRuns(directory: string, old: string, next: string): Promise<Contender[]> {
  const root = join(directory, 'web');
  await mkdir(root);
  const web = await WebServer.start(join(directory, 'nginx'), root);
  if (!web) return [];
  const address = `http://127.0.0.1:${web.plainPort}`;
  const oldFile = join(old, bigFileName);
  const contenders: Contender[] = [];
  if (isInstalled('zsync')) {
    await copyFile(join(next, bigFileName), join(root, bigFileName));
    const control = join(root, 'v2.zsync');
    await execute('zsyncmake', [
      '-u',
      `${address}/${bigFileName}`,
      '-o',
      control,
      join(root, bigFileName),
    ]);
    const words = ['-q', '-i', oldFile, '-o', join(directory, 'zsync.out'), `${address}/v2.zsync`];
    contenders.push({
      name: 'zsync',
      runs: [await measured(noCpuTime, () => execute('zsync', words))],
    });
  } else console.log('zsync is left out: install the package zsync');
  if (isInstalled('casync')) {
    const store = `--store=${join(root, 'store.castr')}`;
    await execute('casync', ['make', store, join(root, 'v2.caibx'), join(next, bigFileName)]);
    const from = [`--store=${address}/store.castr`, `--seed=${oldFile}`, `${address}/v2.caibx`];
    const words = ['extract', ...from, join(directory, 'casync.out')];
    contenders.push({
      name: 'casync',
      runs: [await measured(noCpuTime, () => execute('casync', words))],
    });
  } else console.log('casync is left out: install the package casync');
  web.stop();
  return contenders;
}

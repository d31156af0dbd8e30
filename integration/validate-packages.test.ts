import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  appendFile,
  lstat,
  readdir,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { hashOf } from '../shared/content-library/content-hash.ts';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import { Administrator } from './administrator.ts';
import { damageStoredFile, storedFilePath } from './library-files.ts';
import { adminIdentity, Network } from './network.ts';
import { extractPackage, runWaybill } from './programs.ts';
import { writeNoise, writeSmallFiles } from './source-files.ts';
import { byScale } from './test-scale.ts';
import { treeDifference } from './tree-difference.ts';

const standard = 'PS1DP1';
const pull = 'PS1DP2';
const dpIds = [standard, pull] as const;
const damagedCount = byScale({ short: 60, long: 1_000 });
const smallBytes = 20_000;

interface File {
  readonly hash: string;
  readonly sizeBytes: number;
}

interface Found {
  readonly dpId: string;
  readonly fileCount: number;
  readonly damagedFiles: number;
  readonly missingFiles: number;
  readonly repairedFiles: number;
  readonly files: readonly { readonly path: string; readonly finding: string }[];
  readonly failure: string;
}

/** What is done to a file of a library. */
const damages: readonly ((path: string, aside: string) => Promise<void>)[] = [
  async (path) => {
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(path, bytes);
  },
  (path) => truncate(path, 100),
  (path) => appendFile(path, 'more'),
  (path) => rm(path),
  async (path, aside) => {
    // To the very bytes: a link is no file of a library, whatever it leads to.
    await rename(path, aside);
    await symlink(aside, path);
  },
];

describe('validation of packages (PKG-8)', () => {
  let network: Network;
  let administrator: Administrator;
  let source: string;
  let sharing: string;
  let packageId: string;
  let sharingId: string;
  let files: readonly File[];

  before(async () => {
    network = await Network.start({
      distributionPoints: dpIds,
      pull: { [pull]: { sources: { [standard]: 1 }, allowFallback: true } },
    });
    administrator = await Administrator.of(network);
    source = join(network.directory, 'source');
    const sizes = { count: damagedCount + 30, bytes: smallBytes, seed: 1 };
    await writeSmallFiles(join(source, 'small'), sizes);
    await writeNoise(join(source, 'image.wim'), { bytes: 3_500_000, seed: 2 });
    packageId = await administrator.create(source);
    sharing = join(network.directory, 'sharing');
    // The same bytes: its files are those of the other package.
    await writeSmallFiles(join(sharing, 'small'), { count: 10, bytes: smallBytes, seed: 1 });
    sharingId = await administrator.create(sharing);
    for (const dpId of dpIds) {
      await administrator.install(packageId, dpId);
      await administrator.install(sharingId, dpId);
    }
    files = await filesOf(join(source, 'small'));
  });

  after(() => network.stop());

  async function filesOf(directory: string): Promise<File[]> {
    const found: File[] = [];
    for (const name of (await readdir(directory, { recursive: true })).sort()) {
      const path = join(directory, name);
      if (!(await lstat(path)).isFile()) continue;
      const bytes = readFileSync(path);
      found.push({ hash: hashOf(bytes), sizeBytes: bytes.length });
    }
    return found;
  }

  async function damage(dpId: string, some: readonly File[]): Promise<void> {
    for (const [index, { hash }] of some.entries()) {
      const path = storedFilePath(network.dataDirectoryOf(dpId), hash);
      await damages[index % damages.length]?.(
        path,
        join(network.directory, `aside-${dpId}-${hash}`),
      );
    }
  }

  async function validate(...words: string[]): Promise<{ exitCode: number; results: Found[] }> {
    const all = ['package', 'validate', ...words, '--wait', '--json'];
    const { exitCode, stdout, stderr } = await runWaybill(network, all);
    assert.ok(stdout !== '', stderr);
    return { exitCode, results: (JSON.parse(stdout) as { results: Found[] }).results };
  }

  async function report(...words: string[]): Promise<Found[]> {
    const { exitCode, stdout } = await runWaybill(network, [
      'package',
      'report',
      ...words,
      '--json',
    ]);
    assert.equal(exitCode, 0);
    return JSON.parse(stdout) as Found[];
  }

  /** What a DP gives of files to whoever asks, unverified: their bytes by hash. */
  async function served(dpId: string, some: readonly File[]): Promise<Map<string, Buffer>> {
    const channel = new RpcChannel({
      conversation: 'Content',
      address: network.dp(dpId).address,
      expected: (peer) => peer.kind === 'dp',
      expectedText: dpId,
      credentials: await readPeerCredentials(network.certificateFiles(adminIdentity)),
    });
    const got = new Map<string, Buffer>();
    try {
      const call = channel.duplex('fetch', { deadlineMs: 30_000 });
      for (const { hash, sizeBytes } of some) {
        const fileHash = Buffer.from(hash, 'hex');
        await call.write({ files: { files: [{ fileHash, fileBytes: sizeBytes }] } });
        const answer = await call.read();
        for (const one of answer?.files?.files ?? []) got.set(hash, Buffer.from(one.data));
      }
      call.end();
    } finally {
      channel.close();
    }
    return got;
  }

  it('of what is whole says so, and reads all of it', async () => {
    const { exitCode, results } = await validate(packageId, '--all');
    assert.equal(exitCode, 0);
    assert.equal(results.length, 2);
    for (const one of results) {
      assert.equal(one.fileCount, files.length + 1);
      assert.deepEqual([one.damagedFiles, one.missingFiles], [0, 0], JSON.stringify(one));
    }
    const ids = (await administrator.messages({ packageId, dpId: standard })).map(
      ({ messageId }) => messageId,
    );
    assert.deepEqual(ids.slice(-3), [2381, 2380, 2384]);
  });

  it('finds every file damaged in five ways on a standard and a pull DP, serves none of them, repairs all and sends only those', async () => {
    const damaged = files.slice(0, damagedCount);
    for (const dpId of dpIds) await damage(dpId, damaged);
    const { exitCode, results } = await validate(packageId, '--all', '--no-repair');
    assert.equal(exitCode, 1);
    const goneCount = damagedCount / damages.length;
    for (const one of results) {
      assert.equal(one.damagedFiles, damagedCount - goneCount, one.dpId);
      assert.equal(one.missingFiles, goneCount);
      assert.equal(one.files.length, Math.min(100, damagedCount));
    }
    for (const dpId of dpIds) {
      const got = await served(dpId, files);
      assert.equal(got.size, files.length - damagedCount, 'what is whole is served, nothing else');
      for (const [hash, bytes] of got) assert.equal(hashOf(bytes), hash);
      const { state, reason } = (await administrator.statuses({ packageId, dpId }))[0] ?? {};
      assert.equal(state, 'PACKAGE_STATUS_STATE_INSTALL_FAILED');
      assert.match(reason ?? '', /damaged/);
    }
    // Files that another package uses are missing there, too: it was looked at by itself.
    const ofSharing = (await administrator.getPackage(sharingId)).packageId;
    for (const dpId of dpIds) {
      await administrator.statusIs({ packageId: ofSharing, dpId }, ({ state }) => {
        return state === 'PACKAGE_STATUS_STATE_INSTALL_FAILED';
      });
    }
    const unsound = await report('--damaged');
    assert.equal(unsound.length, 4);
    const repaired = await validate(packageId, '--all');
    assert.equal(repaired.exitCode, 0);
    for (const dpId of dpIds) {
      const job = await administrator.lastJob({ packageId, dpId });
      assert.equal(job.action, 'JOB_ACTION_ADD');
      assert.equal(Number(job.bytesSent), damagedCount * smallBytes, `only those to ${dpId}`);
      const out = await extractPackage(network, dpId, packageId);
      assert.equal(await treeDifference(source, out), '', dpId);
      assert.equal((await served(dpId, files)).size, files.length);
    }
    const after = await validate(sharingId, '--all');
    assert.equal(after.exitCode, 0);
    assert.deepEqual(await report('--damaged'), []);
  });

  it('while it goes on, who fetches gets right bytes only', async () => {
    const damaged = files.slice(0, 20);
    await damage(standard, damaged);
    const words = [packageId, '--dp', standard, '--rate', '500kB/s'];
    const validated = validate(...words);
    let fetchCount = 0;
    let isOver = false;
    const ended = validated.finally(() => {
      isOver = true;
    });
    while (!isOver) {
      const out = join(network.directory, `got-${++fetchCount}`);
      const got = await runWaybill(network, ['get', packageId, '--out', out]);
      assert.equal(got.exitCode, 0, got.stderr);
      assert.equal(await treeDifference(source, out), '');
      await rm(out, { recursive: true });
    }
    const { exitCode, results } = await ended;
    assert.equal(exitCode, 0);
    assert.equal(results[0]?.repairedFiles, 20);
    assert.ok(fetchCount > 0);
  });

  it('goes on after kill -9 of the DP, from where it was, and loses nothing it found', async () => {
    const order = await inManifestOrder();
    const first = order[0] as File;
    const last = order.at(-1) as File;
    for (const { hash } of [first, last]) {
      await damageStoredFile(network.dataDirectoryOf(standard), hash);
    }
    const words = [packageId, '--dp', standard, '--rate', '700kB/s'];
    const validated = validate(...words);
    await administrator.jobIs({ packageId, dpId: standard }, (job) => {
      const { totalBytes, remainingBytes, action } = job;
      const isHalf = Number(remainingBytes) < Number(totalBytes) * 0.6;
      return action === 'JOB_ACTION_VALIDATE' && Number(totalBytes) > 0 && isHalf;
    });
    await network.dp(standard).kill();
    await network.dp(standard).start();
    const { exitCode, results } = await validated;
    assert.equal(exitCode, 0);
    assert.deepEqual([results[0]?.damagedFiles, results[0]?.missingFiles], [2, 0]);
    assert.equal(results[0]?.repairedFiles, 2);
  });

  /** Files of the package as a validation comes to them. */
  async function inManifestOrder(): Promise<File[]> {
    const library = join(network.dataDirectoryOf('PS1'), 'content-library', 'data-lib');
    const text = readFileSync(join(library, `${packageId}.1.manifest`), 'utf8');
    const lines = text.split('\n').slice(1, -1);
    return lines.flatMap((line) => {
      const fields = JSON.parse(line) as (string | number)[];
      if (fields[0] !== 'f') return [];
      return [{ hash: String(fields.at(-1)), sizeBytes: Number(fields[3]) }];
    });
  }

  it('brings a damaged manifest again, and then looks at the files', async () => {
    const library = join(network.dataDirectoryOf(standard), 'content-library', 'data-lib');
    const path = join(library, `${packageId}.1.manifest`);
    const bytes = readFileSync(path);
    bytes[bytes.length - 10] = (bytes[bytes.length - 10] ?? 0) ^ 1;
    await writeFile(path, bytes);
    const [file] = files;
    if (file) await damageStoredFile(network.dataDirectoryOf(standard), file.hash);
    const { exitCode } = await validate(packageId, '--dp', standard);
    assert.equal(exitCode, 0);
    await administrator.messagesAre((all) => {
      const own = all.filter((one) => one.packageId === packageId && one.dpId === standard);
      return own.some(({ messageId }) => messageId === 2388) && own.at(-1)?.messageId === 2330;
    });
    const [found] = await report(packageId, '--dp', standard);
    assert.equal(found?.repairedFiles, found?.damagedFiles);
    const out = await extractPackage(network, standard, packageId);
    assert.equal(await treeDifference(source, out), '');
  });

  it('mends the copy of the site server from its source, in the same version', async () => {
    const damaged = files.slice(10, 20);
    await damage('PS1', damaged);
    const { exitCode, results } = await validate(packageId, '--site-copy', 'PS1');
    assert.equal(exitCode, 0);
    assert.deepEqual([results[0]?.dpId, results[0]?.repairedFiles], ['', damaged.length]);
    const told = (await administrator.messages({ packageId })).filter((one) => one.dpId === '');
    const ids = told.map(({ messageId }) => messageId);
    for (const id of [2382, 2385, 2383, 2384]) assert.ok(ids.includes(id), `${id} of ${ids}`);
    assert.equal((await administrator.getPackage(packageId)).sourceVersion, 1);
    for (const { hash } of damaged) {
      const bytes = readFileSync(storedFilePath(network.dataDirectoryOf('PS1'), hash));
      assert.equal(hashOf(bytes), hash);
    }
  });

  it('finds and sweeps what nobody uses in the library of a DP, after its grace (PKG-10)', async () => {
    const extra = join(network.directory, 'extra');
    await writeNoise(join(extra, 'only.bin'), { bytes: 50_000, seed: 9 });
    const extraId = await administrator.create(extra);
    await administrator.install(extraId, standard);
    await administrator.remove(extraId, standard);
    await administrator.removed({ packageId: extraId, dpId: standard });
    const sweep = async (...words: string[]) => {
      const all = ['dp', 'sweep', standard, ...words, '--json'];
      const { exitCode, stdout, stderr } = await runWaybill(network, all);
      assert.equal(exitCode, 0, stderr);
      return JSON.parse(stdout) as Record<'before' | 'after', Record<'unused' | 'due', unknown>>;
    };
    const dry = await sweep('--dry-run');
    assert.deepEqual(dry.before.unused, { files: 1, bytes: 50_000 });
    // Its grace is an hour.
    assert.deepEqual(dry.before.due, { files: 0, bytes: 0 });
    assert.deepEqual((await sweep()).after.unused, { files: 1, bytes: 50_000 });
    const compared = await runWaybill(network, ['dp', 'compare', standard, pull]);
    assert.match(compared.stdout, /hold the same: 2 packages/);
  });
});

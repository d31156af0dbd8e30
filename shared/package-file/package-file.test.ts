import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { appendFile, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashOf } from '../content-library/content-hash.ts';
import { filePathOf } from '../content-library/library-layout.ts';
import type { FileProgress } from '../content-library/task-progress.ts';
import { isErrorWithCode, WaybillError } from '../domain/errors.ts';
import { isAbortError } from '../runtime/abort-error.ts';
import { noiseOf } from '../testing/noise.ts';
import { SeededRandom } from '../testing/seeded-random.ts';
import type { TestTree } from '../testing/test-library.ts';
import { makePackageFile, type PackageFileOptions } from './package-file-maker.ts';
import { unpackPackageFile } from './package-file-unpacker.ts';
import { packageId, type SentFile, TwoSites } from './testing/two-sites.ts';

const isLong = process.env.WAYBILL_TEST_SCALE === 'long';
const tinyFileCount = isLong ? 10_000 : 500;
const mebibyte = 1024 * 1024;
const bigFileCount = isLong ? 13 : 1;

const text = (words: string, times = 1) => Buffer.from(words.repeat(times));

/** Files of all kinds: shared, empty, in directories, over a block, over a piece. */
const variedTree: TestTree = {
  'a.txt': text('some words. ', 4_000),
  'b.txt': text('some words. ', 4_000),
  empty: Buffer.alloc(0),
  'noise.bin': noiseOf(1_300_000, 7),
  sub: { 'c.txt': text('others. ', 700_000), deep: { 'name\nwith line': text('x') }, none: {} },
};

/** Many files, some of which differ from one version to the next. */
function treeOf(version: number, fileCount = 60): TestTree {
  const random = new SeededRandom(version);
  const files: Record<string, Uint8Array> = {};
  for (let index = 0; index < fileCount; index++) {
    const change = index % 10 === version % 10 ? version : 0;
    files[`f${index}.txt`] = text(`file ${index} of change ${change}. `, 1 + (index % 50));
  }
  return { files, [`only-${version}`]: random.bytes(100) };
}

async function bytesOf(path: string): Promise<number> {
  return (await readFile(path)).length;
}

/** The whole tree of the package at the other site, every hash checked. */
async function treeAt(sites: TwoSites, name: string): Promise<string> {
  const out = sites.directory.join(name);
  await sites.target.library.extractPackage(packageId, out);
  return out;
}

async function refusalOf(work: Promise<unknown>): Promise<Error> {
  return work.then(
    () => assert.fail('It was not refused'),
    (error: Error) => error,
  );
}

/** The same file, with something else in the place of its first block's end. */
async function damaged(sites: TwoSites, sent: SentFile): Promise<SentFile> {
  const bytes = await readFile(sent.path);
  bytes[bytes.length - 10] = (bytes.at(-10) ?? 0) ^ 0xff;
  const path = sites.directory.join('damaged');
  await writeFile(path, bytes);
  return { ...sent, path };
}

describe('package file', () => {
  it('carries a version to another library, byte for byte (REP-2)', async () => {
    await using sites = await TwoSites.open();
    const version = await sites.publish(1, variedTree);
    const sent = await sites.make();
    const { fileHash, fileBytes, rawBytes, fileCount, packageHash } = sent.made;
    assert.equal(fileHash, hashOf(await readFile(sent.path)));
    assert.equal(fileBytes, await bytesOf(sent.path));
    assert.equal(packageHash, version.packageHash);
    assert.equal(fileCount, 5, 'two files have the same bytes');
    // The noise stays what it is, the words nearly vanish.
    assert.ok(fileBytes < 1_330_000 && rawBytes > 6_900_000, `${fileBytes} of ${rawBytes}`);
    await sites.receive(sent);
    const held = await sites.target.library.getPackage(packageId);
    assert.equal(held?.packageHash, version.packageHash);
    const out = await treeAt(sites, 'out');
    assert.deepEqual(await readFile(join(out, 'noise.bin')), variedTree['noise.bin']);
    assert.deepEqual(await readdir(join(out, 'sub')), ['c.txt', 'deep', 'none']);
    assert.equal(await bytesOf(join(out, 'empty')), 0);
  });

  it('is the same file for the same version and base (REP-2)', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(1, treeOf(1));
    await sites.publish(2, treeOf(2));
    for (const base of [0, 1]) {
      const [first, second] = [await sites.make(base), await sites.make(base)];
      assert.equal(first.made.fileHash, second.made.fileHash);
    }
  });

  it('carries only what each of the last five versions lacks (REP-2)', async () => {
    await using sites = await TwoSites.open();
    for (let version = 1; version <= 6; version++) await sites.publish(version, treeOf(version));
    const full = await sites.make();
    for (let base = 1; base <= 5; base++) {
      await using other = await TwoSites.open();
      // The other site got that version as any site does.
      await other.publish(base, treeOf(base));
      await other.receive(await other.make());
      const sent = await sites.make(base);
      assert.ok(sent.made.fileCount < 20, `${sent.made.fileCount} files from version ${base}`);
      assert.ok(sent.made.fileBytes < full.made.fileBytes);
      await other.receive(sent);
      await treeAt(other, 'out');
      const held = await other.target.library.getPackage(packageId);
      assert.equal(held?.packageHash, sent.version.packageHash);
    }
  });

  it('carries a manifest as what is different from the one before (REP-2)', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(1, treeOf(1, 400));
    await sites.receive(await sites.make());
    const version = await sites.publish(2, { ...treeOf(1, 400), more: text('more') });
    const sent = await sites.make(1);
    assert.ok(sent.made.fileBytes < 4_000, `${sent.made.fileBytes} bytes`);
    await sites.receive(sent);
    const held = await sites.target.library.getPackage(packageId);
    assert.equal(held?.packageHash, version.packageHash);
  });

  it('carries a delta in place of a file, and the other site keeps it (REP-2)', async () => {
    await using sites = await TwoSites.open();
    const base = noiseOf(3_000_000, 1);
    const file = Buffer.concat([text('in front'), base.subarray(0, 2_900_000), noiseOf(9, 2)]);
    await sites.publish(1, { big: base });
    await sites.receive(await sites.make());
    const version = await sites.publish(2, { big: file, small: text('s') });
    await sites.addDelta(version, base, file);
    const sent = await sites.make(1);
    assert.ok(sent.made.fileBytes < 10_000, `${sent.made.fileBytes} bytes`);
    await sites.receive(sent);
    assert.deepEqual(await readFile(join(await treeAt(sites, 'out'), 'big')), file);
    const { contentId } = version.contents[0] ?? assert.fail();
    const kept = await sites.target.library.deltasOf(contentId);
    assert.deepEqual(kept, await sites.source.library.deltasOf(contentId));
  });

  it('says what is missing when the base is not here, or is damaged (REP-2)', async () => {
    await using sites = await TwoSites.open();
    const base = noiseOf(1_500_000, 1);
    const file = Buffer.concat([text('in front'), base]);
    await sites.publish(1, { big: base, same: text('same') });
    const full = await sites.make();
    const version = await sites.publish(2, { big: file, same: text('same') });
    await sites.addDelta(version, base, file);
    const sent = await sites.make(1);
    const absent = await refusalOf(sites.unpack(sent));
    assert.ok(isErrorWithCode(absent, 'DELTA_BASE_MISSING'), String(absent));
    await sites.receive(full);
    const { fileLibrary } = sites.target.library.layout;
    const basePath = filePathOf(fileLibrary, hashOf(base));
    await rm(basePath);
    await writeFile(basePath, noiseOf(1_500_000, 2));
    const wrong = await refusalOf(sites.unpack(sent));
    assert.ok(isErrorWithCode(wrong, 'DELTA_BASE_MISSING'), String(wrong));
    const [isHeld] = await sites.target.library.areHeld([
      { hash: hashOf(file), sizeBytes: file.length },
    ]);
    assert.equal(isHeld, false);
    await sites.receive(await sites.make());
    await treeAt(sites, 'out');
  });

  it('says so when a file that both versions share is not here (REP-2)', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(1, treeOf(1));
    await sites.receive(await sites.make());
    await sites.publish(2, treeOf(2));
    const { fileLibrary } = sites.target.library.layout;
    await rm(filePathOf(fileLibrary, hashOf(text('file 5 of change 0. ', 6))));
    const error = await refusalOf(sites.unpack(await sites.make(1)));
    assert.ok(isErrorWithCode(error, 'DELTA_BASE_MISSING'), String(error));
    assert.deepEqual(
      { ...error.details },
      {
        code: 'DELTA_BASE_MISSING',
        ...{ packageId, baseVersion: 1, missingFiles: 1 },
      },
    );
  });

  it('is not made of a damaged library, and nothing is left of it (REP-2)', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(1, variedTree);
    const { fileLibrary } = sites.source.library.layout;
    const path = filePathOf(fileLibrary, hashOf(text('some words. ', 4_000)));
    await rm(path);
    await writeFile(path, text('SOME words. ', 4_000));
    const before = await readdir(sites.directory.path);
    const error = await refusalOf(sites.make());
    assert.ok(isErrorWithCode(error, 'FILE_HASH_MISMATCH'), String(error));
    assert.deepEqual(await readdir(sites.directory.path), before);
    const again = await refusalOf(sites.make());
    assert.ok(isErrorWithCode(again, 'FILE_NOT_HELD'), 'what is damaged leaves the library');
  });

  it('is not made against a version that nobody recorded (REP-2)', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(4, variedTree);
    const error = await refusalOf(sites.make(3));
    assert.ok(isErrorWithCode(error, 'DELTA_BASE_MISSING'), String(error));
  });

  it('that carries something else than was said is refused (REP-7)', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(1, variedTree);
    const sent = await sites.make();
    const { version } = sent;
    const others: SentFile[] = [
      { ...sent, version: { ...version, sourceVersion: 2 } },
      { ...sent, version: { ...version, packageHash: 'ab'.repeat(32) } },
      { ...sent, baseVersion: 1 },
    ];
    for (const other of others) {
      const error = await refusalOf(sites.unpack(other));
      assert.ok(isErrorWithCode(error, 'PACKAGE_FILE_INVALID'), String(error));
    }
    await sites.receive(sent);
  });

  it('that is damaged, cut off or too long is refused, and staging is empty (REP-7)', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(1, variedTree);
    const sent = await sites.make();
    const cut = { ...sent, path: sites.directory.join('cut') };
    await writeFile(cut.path, await readFile(sent.path));
    await truncate(cut.path, sent.made.fileBytes - 1);
    const long = { ...sent, path: sites.directory.join('long') };
    await writeFile(long.path, await readFile(sent.path));
    await appendFile(long.path, 'x');
    for (const bad of [cut, long, await damaged(sites, sent)]) {
      const error = await refusalOf(sites.unpack(bad));
      assert.ok(isErrorWithCode(error, 'PACKAGE_FILE_INVALID'), String(error));
      assert.deepEqual(await readdir(sites.target.library.layout.staging), []);
    }
    await sites.receive(sent);
    await treeAt(sites, 'out');
  });

  it('is unpacked again after a crash, whatever was left', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(1, variedTree);
    const sent = await sites.make();
    await sites.unpack(sent);
    // Killed before the commit: what is staged stays, and what the library took.
    await sites.target.library.sweep();
    await sites.receive(sent);
    await treeAt(sites, 'out');
    await sites.receive(sent);
  });

  it('stays until its commit, whatever is swept meanwhile (REP-6)', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(1, variedTree);
    const sent = await sites.make();
    const unpacked = await sites.unpack(sent);
    const { library } = sites.target;
    // As long as it is staged, nothing of it is swept.
    await library.sweep();
    const { version, staged } = unpacked;
    await library.commitPackage({ version, jobSerial: 1, staged });
    await treeAt(sites, 'out');
  });

  it('needs room before anything is written', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(1, variedTree);
    const sent = await sites.make();
    const { library } = sites.target;
    const { sourceVersion, packageHash } = sent.version;
    const expected = { packageId, sourceVersion, baseVersion: 0, packageHash };
    const needs = { library, reserveBytes: Number.MAX_SAFE_INTEGER };
    const error = await refusalOf(unpackPackageFile(needs, { path: sent.path, expected }));
    assert.ok(isErrorWithCode(error, 'DISK_FULL'), String(error));
    assert.deepEqual(await readdir(library.layout.staging), []);
  });

  it('needs room for what stands in it only, before it is written', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(1, variedTree);
    await sites.publish(2, { ...variedTree, 'more.txt': text('little') });
    const { library } = sites.source;
    const path = sites.directory.join('made');
    const neededFor = async (baseVersion: number) => {
      const request = { packageId, baseVersion, path, reserveBytes: Number.MAX_SAFE_INTEGER };
      const error = await refusalOf(makePackageFile({ library, history: sites.history }, request));
      assert.equal(existsSync(path), false);
      assert.ok(error instanceof WaybillError && error.details.code === 'DISK_FULL', `${error}`);
      return error.details.neededBytes;
    };
    assert.ok((await neededFor(0)) > 6 * mebibyte);
    assert.ok((await neededFor(1)) < 10_000);
  });

  it('tells how far it is, on either side', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(1, variedTree);
    const told: FileProgress[] = [];
    const onProgress = (progress: FileProgress) => void told.push(progress);
    const sent = await sites.make(0, { onProgress });
    assert.equal(told.at(-1)?.fileCount, sent.made.fileCount);
    const madeBytes = told.at(-1)?.sizeBytes ?? 0;
    assert.ok(madeBytes > 0.99 * sent.made.rawBytes && madeBytes <= sent.made.rawBytes);
    await sites.unpack(sent, { onProgress });
    assert.deepEqual(told.at(-1), { fileCount: sent.made.fileCount, sizeBytes: madeBytes });
  });

  it('is given up in the middle, and nothing is left', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(1, { big: noiseOf(40 * mebibyte, 3) });
    const sent = await sites.make();
    for (const work of [
      (options: PackageFileOptions) => sites.make(0, options),
      (options: PackageFileOptions) => sites.unpack(sent, options),
    ]) {
      const abort = new AbortController();
      const options = { signal: abort.signal, onProgress: () => abort.abort() };
      assert.ok(isAbortError(await refusalOf(work(options))));
    }
    const names = await readdir(sites.directory.path);
    assert.deepEqual(names.sort(), ['file-1', 'history', 'source', 'target']);
    assert.deepEqual(await readdir(sites.target.library.layout.staging), []);
  });

  it('is given up when nobody wants it any more, and nothing is left', async () => {
    await using sites = await TwoSites.open();
    await sites.publish(1, treeOf(1));
    const path = sites.directory.join('aborted');
    const aborted = AbortSignal.abort();
    const needs = { library: sites.source.library, history: sites.history };
    const request = { packageId, baseVersion: 0, path };
    const error = await refusalOf(makePackageFile(needs, request, { signal: aborted }));
    assert.ok(isAbortError(error));
    await assert.rejects(readFile(path), { code: 'ENOENT' });
  });

  it(`carries ${tinyFileCount} tiny files in few bytes (REP-2)`, async () => {
    await using sites = await TwoSites.open();
    const files: Record<string, Uint8Array> = {};
    for (let index = 0; index < tinyFileCount; index++) files[`n${index}`] = text(`tiny ${index}`);
    await sites.publish(1, files);
    const sent = await sites.make();
    // Their hashes are most of it, once in the manifest and once in front of each file.
    assert.ok(sent.made.fileBytes < 100 * tinyFileCount, `${sent.made.fileBytes} bytes`);
    await sites.receive(sent);
    const held = await sites.target.library.getPackage(packageId);
    assert.equal(held?.packageHash, sent.version.packageHash);
  }).timeout(120_000);

  it(`takes bounded memory for ${bigFileCount} x 24 MiB that do not compress (REP-2)`, async () => {
    await using sites = await TwoSites.open();
    // All of one stretch of noise, so that the test itself needs little.
    const fileBytes = 24 * mebibyte;
    const noise = noiseOf(fileBytes + mebibyte, 3);
    const files: Record<string, Uint8Array> = {};
    for (let index = 0; index < bigFileCount; index++) {
      files[`f${index}`] = noise.subarray(1_000 * index, 1_000 * index + fileBytes);
    }
    await sites.publish(1, files);
    const peak = new PeakMemory();
    const sent = await sites.make();
    assert.ok(sent.made.fileBytes < 1.001 * bigFileCount * fileBytes);
    await sites.receive(sent);
    const grownBytes = peak.stop();
    assert.ok(grownBytes < 160 * mebibyte, `${grownBytes} bytes`);
  }).timeout(240_000);
});

/** How far the memory of the process grows. */
class PeakMemory {
  readonly #before = process.memoryUsage().rss;
  #peak = this.#before;
  readonly #timer = setInterval(() => this.#look(), 10);

  stop(): number {
    this.#look();
    clearInterval(this.#timer);
    return this.#peak - this.#before;
  }

  #look(): void {
    this.#peak = Math.max(this.#peak, process.memoryUsage().rss);
  }
}

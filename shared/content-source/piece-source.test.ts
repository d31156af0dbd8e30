import assert from 'node:assert/strict';
import { mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { hashOf } from '../content-library/content-hash.ts';
import { filePathOf } from '../content-library/library-layout.ts';
import { hasPieces, pieceBytes } from '../domain/content.ts';
import { type ErrorCode, isErrorWithCode } from '../domain/errors.ts';
import { encodeMessage } from '../rpc/service-definitions.ts';
import { isAbortError } from '../runtime/abort-error.ts';
import { openFilesUnder } from '../testing/open-files.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import type { ContentItem } from './content-item.ts';
import { frameMemoryBytes } from './content-message.ts';
import { PieceSource, type PieceSourceConfig } from './piece-source.ts';

const packageId = 'PS100001';
const big = (fill: string) => Buffer.alloc(2 * pieceBytes + 5, fill);
const small = Buffer.from('small');

const fileOf = (bytes: Buffer) => ({ hash: hashOf(bytes), sizeBytes: bytes.length });
const pieceItem = (bytes: Buffer, pieceIndex: number): ContentItem => ({
  kind: 'piece',
  file: fileOf(bytes),
  pieceIndex,
  sizeBytes: bytes.subarray(pieceIndex * pieceBytes, (pieceIndex + 1) * pieceBytes).length,
});
const filesItem = (...contents: Buffer[]): ContentItem => ({
  kind: 'files',
  files: contents.map(fileOf),
  sizeBytes: contents.reduce((sum, { length }) => sum + length, 0),
});

function expectedPiece(bytes: Buffer, pieceIndex: number): Buffer {
  const fileHash = Buffer.from(hashOf(bytes), 'hex');
  const data = bytes.subarray(pieceIndex * pieceBytes, (pieceIndex + 1) * pieceBytes);
  return encodeMessage('DistributionPoint', 'putContent', {
    piece: { fileHash, pieceIndex, data },
  });
}

function expectedFiles(...contents: Buffer[]): Buffer {
  const files = contents.map((data) => ({ fileHash: Buffer.from(hashOf(data), 'hex'), data }));
  return encodeMessage('DistributionPoint', 'putContent', { files: { files } });
}

const lost = (bytes: Buffer) => (error: unknown) =>
  isErrorWithCode(error, 'FILE_NOT_HELD' satisfies ErrorCode) &&
  error.details.code === 'FILE_NOT_HELD' &&
  error.details.fileHash === hashOf(bytes);

describe('piece source', () => {
  let directory: TemporaryDirectory;
  let source: PieceSource;

  const open = (config: Partial<PieceSourceConfig> = {}) =>
    new PieceSource({
      fileLibraryDirectory: directory.path,
      cacheBytesMax: 4 * frameMemoryBytes,
      openFilesMax: 2,
      ...config,
    });
  const pathOf = (bytes: Buffer) => filePathOf(directory.path, hashOf(bytes));
  const bytesOf = async (item: ContentItem) => (await source.message(packageId, item)).bytes;

  async function hold(...contents: Buffer[]): Promise<void> {
    for (const bytes of contents) {
      await mkdir(dirname(pathOf(bytes)), { recursive: true });
      await writeFile(pathOf(bytes), bytes);
    }
  }

  beforeEach(async function () {
    this.timeout(10_000);
    directory = await TemporaryDirectory.create();
    source = open();
  });
  afterEach(async function () {
    this.timeout(10_000);
    await source.stop();
    await directory[Symbol.asyncDispose]();
  });

  it('encodes pieces and small files as the encoder does', async () => {
    const empty = Buffer.alloc(0);
    await hold(big('a'), small);
    for (const index of [2, 0, 1]) {
      assert.ok((await bytesOf(pieceItem(big('a'), index))).equals(expectedPiece(big('a'), index)));
    }
    assert.ok(
      (await bytesOf(filesItem(small, empty, small))).equals(expectedFiles(small, empty, small)),
    );
    assert.ok(!hasPieces(small.length));
  });

  it('uses the memory of a message again, once it is done with and not before', async () => {
    await hold(big('a'), big('b'));
    const first = await source.message(packageId, pieceItem(big('a'), 0));
    const second = await source.message(packageId, pieceItem(big('b'), 0));
    assert.notEqual(second.bytes.buffer, first.bytes.buffer);
    assert.ok(first.bytes.equals(expectedPiece(big('a'), 0)));
    first.done();
    const third = await source.message(packageId, pieceItem(big('b'), 2));
    assert.equal(third.bytes.buffer, first.bytes.buffer);
    assert.ok(third.bytes.equals(expectedPiece(big('b'), 2)), 'nothing of the old message is left');
    assert.ok(second.bytes.equals(expectedPiece(big('b'), 0)));
  });

  it('reads anew, from the file that stands there now, what it is told to forget', async () => {
    const leave = [source.join(packageId), source.join(packageId)];
    await hold(big('a'), small);
    const items = [pieceItem(big('a'), 0), filesItem(small)] as const;
    const replace = async (path: string, bytes: Buffer) => {
      await writeFile(`${path}.new`, bytes);
      await rename(`${path}.new`, path);
    };
    await replace(pathOf(big('a')), big('x'));
    await replace(pathOf(small), Buffer.alloc(small.length, 'x'));
    for (const item of items) (await source.message(packageId, item)).done();
    await replace(pathOf(big('a')), big('a'));
    await replace(pathOf(small), small);
    assert.ok(!(await bytesOf(items[0])).equals(expectedPiece(big('a'), 0)), 'it was kept');
    source.forgetRead();
    assert.ok((await bytesOf(items[0])).equals(expectedPiece(big('a'), 0)));
    assert.ok((await bytesOf(items[1])).equals(expectedFiles(small)));
    for (const end of leave) end();
  });

  it('finds a file that was written anew, whoever reads meanwhile (PKG-6)', async () => {
    const leave = source.join(packageId);
    await hold(big('x'));
    await rename(pathOf(big('x')), `${pathOf(big('x'))}.damaged`);
    await hold(big('a'));
    await rename(`${pathOf(big('x'))}.damaged`, pathOf(big('a')));
    assert.ok(!(await bytesOf(pieceItem(big('a'), 0))).equals(expectedPiece(big('a'), 0)));
    await writeFile(`${pathOf(big('a'))}.new`, big('a'));
    await rename(`${pathOf(big('a'))}.new`, pathOf(big('a')));
    assert.ok((await bytesOf(pieceItem(big('a'), 0))).equals(expectedPiece(big('a'), 0)));
    await rm(pathOf(big('a')));
    await assert.rejects(bytesOf(pieceItem(big('a'), 0)));
    leave();
  });

  it('reads once for two transfers in step', async () => {
    await hold(big('a'));
    const leave = [source.join(packageId), source.join(packageId)];
    const [first, second] = await Promise.all([
      source.message(packageId, pieceItem(big('a'), 0)),
      source.message(packageId, pieceItem(big('a'), 0)),
    ]);
    assert.equal(first.bytes, second.bytes);
    await rm(pathOf(big('a')));
    const third = await source.message(packageId, pieceItem(big('a'), 0));
    assert.equal(third.bytes, first.bytes, 'it came from memory');
    for (const end of leave) end();
  });

  it('uses the memory of a shared message again when the last transfer is done with it', async () => {
    await hold(big('a'));
    const leave = [source.join(packageId), source.join(packageId)];
    const first = await source.message(packageId, pieceItem(big('a'), 0));
    const second = await source.message(packageId, pieceItem(big('a'), 0));
    first.done();
    const cached = await source.message(packageId, pieceItem(big('a'), 1));
    assert.notEqual(cached.bytes.buffer, second.bytes.buffer);
    for (const end of leave) end();
    const alone = await source.message(packageId, pieceItem(big('a'), 2));
    assert.notEqual(alone.bytes.buffer, second.bytes.buffer, 'it is on its way still');
    assert.ok(second.bytes.equals(expectedPiece(big('a'), 0)));
    second.done();
    const last = await source.message(packageId, pieceItem(big('a'), 2));
    assert.equal(last.bytes.buffer, second.bytes.buffer);
  });

  it('keeps nothing for a transfer that is alone', async () => {
    await hold(small);
    const leave = source.join(packageId);
    await bytesOf(filesItem(small));
    assert.equal(source.cachedBytes, 0);
    await rm(pathOf(small));
    await assert.rejects(bytesOf(filesItem(small)), lost(small));
    leave();
  });

  it('stays within its budget, the oldest go first', async () => {
    await hold(big('a'), big('b'));
    const leave = [source.join(packageId), source.join(packageId)];
    for (const bytes of [big('a'), big('b')]) {
      for (const index of [0, 1, 2]) await bytesOf(pieceItem(bytes, index));
    }
    assert.equal(source.cachedBytes, 4 * frameMemoryBytes);
    await rm(pathOf(big('a')));
    await bytesOf(pieceItem(big('a'), 2));
    await bytesOf(pieceItem(big('b'), 2));
    for (const end of leave) end();
    assert.equal(source.cachedBytes, 0, 'nobody reads any more');
  });

  it('keeps what is read for another while it is read, and nothing when all have left', async () => {
    await hold(big('a'));
    const leave = [source.join(packageId), source.join(packageId)];
    const reading = bytesOf(pieceItem(big('a'), 0));
    for (const end of leave) end();
    await reading;
    assert.equal(source.cachedBytes, 0);
  });

  it('says which file the library lost: gone, of another length, or not a file', async () => {
    await hold(big('a'), small);
    const other = Buffer.from('other');
    await assert.rejects(bytesOf(filesItem(small, other)), lost(other));
    await truncate(pathOf(small), 2);
    await assert.rejects(bytesOf(filesItem(small)), lost(small));
    await rm(pathOf(small));
    await symlink(pathOf(big('a')), pathOf(small));
    await assert.rejects(bytesOf(filesItem(small)), lost(small));
    await rm(pathOf(big('a')));
    await mkdir(pathOf(big('a')));
    await assert.rejects(bytesOf(pieceItem(big('a'), 0)), lost(big('a')));
  });

  it('finds a file that was cut while it was open, and the one that took its place', async () => {
    await hold(big('a'));
    await bytesOf(pieceItem(big('a'), 0));
    await truncate(pathOf(big('a')), pieceBytes + 5);
    await assert.rejects(bytesOf(pieceItem(big('a'), 2)), lost(big('a')));
    await rm(pathOf(big('a')));
    await hold(big('a'));
    assert.ok((await bytesOf(pieceItem(big('a'), 2))).equals(expectedPiece(big('a'), 2)));
  });

  it('keeps few files open, and none when nobody reads', async () => {
    const contents = ['a', 'b', 'c', 'd', 'e'].map(big);
    await hold(...contents);
    const leave = source.join(packageId);
    for (const bytes of contents) await bytesOf(pieceItem(bytes, 1));
    // Until the others are closed, or the test takes too long.
    const lastTwo = contents.slice(-2).map(pathOf).sort();
    while (!isDeepStrictEqual(await openFilesUnder(directory.path), lastTwo));
    leave();
    while ((await openFilesUnder(directory.path)).length > 0);
  }).timeout(5_000);

  it('forgets a failed read: the next one tries again', async () => {
    const leave = [source.join(packageId), source.join(packageId)];
    await assert.rejects(bytesOf(filesItem(small)), lost(small));
    await hold(small);
    assert.ok((await bytesOf(filesItem(small))).equals(expectedFiles(small)));
    for (const end of leave) end();
  });

  it('fails what a thread that died was asked, and reads on with another', async () => {
    const real = new URL('./read-worker.js', import.meta.url).href;
    const text = `import { parentPort } from 'node:worker_threads';
      const on = parentPort.on.bind(parentPort);
      parentPort.on = (name, listener) => on(name, (message) => {
        if (message.request.files[0].sizeBytes === 0) throw new Error('crash');
        listener(message);
      });
      await import('${real}');`;
    await hold(small);
    source = open({ program: new URL(`data:text/javascript,${encodeURIComponent(text)}`) });
    const leave = [source.join(packageId), source.join(packageId)];
    await assert.rejects(bytesOf(filesItem(Buffer.alloc(0))), /crash/);
    assert.ok((await bytesOf(filesItem(small))).equals(expectedFiles(small)));
    for (const end of leave) end();
  });

  it('ends what it was asked when it stops, and starts no thread any more', async () => {
    await hold(big('a'), small);
    const reading = [
      assert.rejects(bytesOf(pieceItem(big('a'), 0)), isAbortError),
      assert.rejects(bytesOf(filesItem(small)), isAbortError),
    ];
    await source.stop();
    await Promise.all(reading);
    await source.stop();
    await assert.rejects(bytesOf(pieceItem(big('a'), 0)), isAbortError);
  });
}).timeout(10_000);

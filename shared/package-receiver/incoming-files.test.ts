import assert from 'node:assert/strict';
import { readdir, readFile, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { hashOf } from '../content-library/content-hash.ts';
import { pieceBytes } from '../domain/content.ts';
import { type ErrorCode, isErrorWithCode } from '../domain/errors.ts';
import { PieceSet } from '../domain/piece-set.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { openFilesUnder } from '../testing/open-files.ts';
import { SeededRandom } from '../testing/seeded-random.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { pieceHashesOf } from '../testing/test-library.ts';
import type { WantedFile } from './arriving-file.ts';
import { IncomingFiles } from './incoming-files.ts';

const packageId = 'PS100001';
const otherId = 'PS100002';

const random = new SeededRandom(1);
const patterns = [random.bytes(4_096), random.bytes(4_096)];
/** Bytes of this length that differ in every piece. */
function bytesOf(lengthBytes: number, kind = 0): Buffer {
  const bytes = Buffer.alloc(lengthBytes, patterns[kind]);
  for (let at = 0; at < lengthBytes; at += pieceBytes) bytes[at] = at / pieceBytes;
  return bytes;
}

const big = bytesOf(3 * pieceBytes + 7);
const small = Buffer.from('a small file');
const fileOf = (bytes: Buffer): WantedFile => ({
  hash: hashOf(bytes),
  sizeBytes: bytes.length,
  pieceHashes: pieceHashesOf(bytes),
});
/** Bytes of one piece with memory of their own, as they come from a message. */
const pieceOf = (bytes: Buffer, pieceIndex: number) => ({
  hash: hashOf(bytes),
  pieceIndex,
  bytes: new Uint8Array(bytes.subarray(pieceIndex * pieceBytes, (pieceIndex + 1) * pieceBytes)),
});
const code =
  (...codes: ErrorCode[]) =>
  (error: unknown) =>
    isErrorWithCode(error, ...codes);

describe('incoming files', () => {
  let directory: TemporaryDirectory;
  let clock: FakeClock;
  let files: IncomingFiles;

  beforeEach(async function () {
    this.timeout(10_000);
    directory = await TemporaryDirectory.create();
    clock = new FakeClock(Date.now());
    files = new IncomingFiles({ directory: directory.join('incoming'), clock });
    await files.start();
  });
  afterEach(async function () {
    this.timeout(10_000);
    await files.stop();
    await directory[Symbol.asyncDispose]();
  });

  const pathOf = (hash: string) => directory.join('incoming', hash);

  /** The process dies and another one starts. */
  async function restart(program?: URL): Promise<void> {
    await files.stop();
    const incoming = directory.join('incoming');
    files = new IncomingFiles({ directory: incoming, clock, ...(program && { program }) });
    await files.start();
  }

  async function preparePieces(file: WantedFile, id = packageId): Promise<PieceSet> {
    const [answer] = await files.prepare(id, [file]);
    assert.ok(answer instanceof PieceSet);
    return answer;
  }

  const heldOf = (pieces: PieceSet) =>
    Array.from({ length: pieces.pieceCount }, (_, index) => pieces.has(index));

  it('puts a file together from its pieces, in any order, and stages it whole', async () => {
    await preparePieces(fileOf(big));
    for (const index of [2, 0, 3, 1]) {
      assert.equal(files.staged.all.count, 0);
      await files.receivePiece(pieceOf(big, index));
    }
    const [staged] = files.staged.take();
    assert.equal(files.staged.all.sizeBytes, big.length);
    assert.equal(staged?.hash, hashOf(big));
    assert.deepEqual(await readFile(staged?.path ?? ''), big);
    assert.deepEqual(await files.prepare(otherId, [fileOf(big)]), ['staged']);
  });

  it('takes pieces that come several times, all at once', async () => {
    await preparePieces(fileOf(big));
    const all = [0, 1, 2, 3, 3, 2, 1, 0, 3].map((index) => files.receivePiece(pieceOf(big, index)));
    await Promise.all(all);
    assert.equal(files.staged.all.count, 1);
    await files.receivePiece(pieceOf(big, 1));
    assert.deepEqual(await readFile(pathOf(hashOf(big))), big);
  });

  it('refuses a piece with a wrong hash, index or length, and takes the right one after (SEC-4)', async () => {
    await preparePieces(fileOf(big));
    const wrong = pieceOf(big, 0);
    wrong.bytes[5] = (wrong.bytes[5] ?? 0) ^ 1;
    await assert.rejects(files.receivePiece(wrong), code('FILE_HASH_MISMATCH'));
    const outside = { ...pieceOf(big, 0), pieceIndex: 4 };
    await assert.rejects(files.receivePiece(outside), code('MESSAGE_INVALID'));
    const faraway = { ...pieceOf(big, 0), pieceIndex: 4_294_967_295 };
    await assert.rejects(files.receivePiece(faraway), code('MESSAGE_INVALID'));
    for (const [index, lengthBytes] of [
      [0, pieceBytes - 1],
      [0, pieceBytes + 1],
      [3, 8],
      [3, 6],
      [3, 0],
    ] as const) {
      const piece = { ...pieceOf(big, index), bytes: new Uint8Array(lengthBytes) };
      await assert.rejects(files.receivePiece(piece), code('MESSAGE_INVALID'));
    }
    const swapped = { ...pieceOf(big, 0), bytes: pieceOf(big, 1).bytes };
    await assert.rejects(files.receivePiece(swapped), code('FILE_HASH_MISMATCH'));
    for (const index of [0, 1, 2, 3]) await files.receivePiece(pieceOf(big, index));
    assert.deepEqual(await readFile(pathOf(hashOf(big))), big);
  });

  it('refuses a file nobody wants (SEC-4)', async () => {
    await assert.rejects(files.receivePiece(pieceOf(big, 0)), code('FILE_NOT_WANTED'));
    assert.deepEqual(await readdir(directory.join('incoming')), []);
  });

  it('refuses a batch of small files of which one is wrong, before any is written (SEC-4)', async () => {
    const batch = [
      { hash: hashOf(small), bytes: small },
      { hash: hashOf(big), bytes: Buffer.from('something else') },
    ];
    await assert.rejects(files.receiveSmall(batch), code('FILE_HASH_MISMATCH'));
    assert.deepEqual(await readdir(directory.join('incoming')), []);
    assert.equal(files.staged.all.count, 0);
  });

  it('takes small files, empty ones too, each once', async () => {
    const empty = Buffer.alloc(0);
    const batch = [small, empty, small].map((bytes) => ({ hash: hashOf(bytes), bytes }));
    await files.receiveSmall(batch);
    await files.receiveSmall(batch);
    assert.equal(files.staged.all.count, 2);
    assert.equal(files.staged.all.sizeBytes, small.length);
    assert.deepEqual(await readFile(pathOf(hashOf(small))), small);
    assert.deepEqual(await readFile(pathOf(hashOf(empty))), empty);
  });

  it('does not touch a small file that is staged, whoever sends it again', async () => {
    await files.receiveSmall([{ hash: hashOf(small), bytes: small }]);
    const before = await stat(pathOf(hashOf(small)));
    // As if two streams had sent it at once: the second does not know of the first.
    files.staged.remove([{ hash: hashOf(small) }]);
    await files.receiveSmall([{ hash: hashOf(small), bytes: small }]);
    const after = await stat(pathOf(hashOf(small)));
    assert.equal(after.ino, before.ino);
    assert.equal(after.mtimeMs, before.mtimeMs);
    assert.equal(files.staged.all.count, 1);
  });

  it('goes on with the pieces a crash left, and believes none of them (PTM-7)', async () => {
    await preparePieces(fileOf(big));
    for (const index of [0, 1, 3]) await files.receivePiece(pieceOf(big, index));
    await restart();
    const bytes = await readFile(pathOf(hashOf(big)));
    bytes[pieceBytes + 9] = (bytes[pieceBytes + 9] ?? 0) ^ 1;
    await writeFile(pathOf(hashOf(big)), bytes);
    const pieces = await preparePieces(fileOf(big));
    assert.deepEqual(heldOf(pieces), [true, false, false, true]);
    await files.receivePiece(pieceOf(big, 2));
    assert.equal(files.staged.all.count, 0);
    await files.receivePiece(pieceOf(big, 1));
    assert.deepEqual(await readFile(pathOf(hashOf(big))), big);
    assert.equal(files.staged.all.count, 1);
  });

  it('finds a file that a crash left whole, and cuts one that is longer than it should be', async () => {
    await writeFile(pathOf(hashOf(big)), Buffer.concat([big, small]));
    await writeFile(pathOf(hashOf(small)), small);
    await restart();
    const answers = await files.prepare(packageId, [fileOf(big), fileOf(small)]);
    assert.deepEqual(answers, ['staged', 'staged']);
    assert.deepEqual(await readFile(pathOf(hashOf(big))), big);
  });

  it('takes nothing for a small file that a crash left cut, longer or altered', async () => {
    for (const left of ['', 'a small', 'a small file!', 'a smalL file']) {
      await files.stop();
      await writeFile(pathOf(hashOf(small)), left);
      await restart();
      const [answer] = await files.prepare(packageId, [fileOf(small)]);
      assert.ok(answer instanceof PieceSet, left);
      await files.receiveSmall([{ hash: hashOf(small), bytes: small }]);
      assert.deepEqual(await readFile(pathOf(hashOf(small))), small);
    }
  });

  it('drops a file whose pieces are right and whose whole is not, and begins anew (SEC-4)', async () => {
    const other = bytesOf(2 * pieceBytes, 1);
    // A manifest that lies: the pieces of one file under the name of another.
    const lie = { ...fileOf(other), hash: hashOf(big) };
    await preparePieces(lie);
    const send = (index: number) =>
      files.receivePiece({ ...pieceOf(other, index), hash: hashOf(big) });
    await send(0);
    await assert.rejects(send(1), code('FILE_HASH_MISMATCH'));
    assert.deepEqual(await readdir(directory.join('incoming')), []);
    assert.equal(files.staged.all.count, 0);
    assert.deepEqual(heldOf(await preparePieces(lie)), [false, false]);
    // Whoever tells the truth about the file is believed instead.
    assert.deepEqual(heldOf(await preparePieces(fileOf(big))), [false, false, false, false]);
    for (const index of [0, 1, 2, 3]) await files.receivePiece(pieceOf(big, index));
    assert.deepEqual(await readFile(pathOf(hashOf(big))), big);
  });

  it('stages no file on the word of a piece that comes twice, before the whole is verified', async () => {
    const other = bytesOf(2 * pieceBytes, 1);
    await preparePieces({ ...fileOf(other), hash: hashOf(big) });
    const send = (index: number) =>
      files.receivePiece({ ...pieceOf(other, index), hash: hashOf(big) });
    await send(0);
    const ends = await Promise.allSettled([send(1), send(1), send(1)]);
    assert.deepEqual(
      ends.map(({ status }) => status),
      ['rejected', 'rejected', 'rejected'],
    );
    assert.equal(files.staged.all.count, 0);
  });

  it('keeps a file that two packages want as long as one of them does', async () => {
    await preparePieces(fileOf(big));
    await preparePieces(fileOf(big), otherId);
    await files.receivePiece(pieceOf(big, 0));
    await files.discardArriving(packageId);
    await files.receivePiece(pieceOf(big, 1));
    assert.deepEqual(heldOf(await preparePieces(fileOf(big), otherId)), [true, true, false, false]);
    await files.discardArriving(otherId);
    await assert.rejects(files.receivePiece(pieceOf(big, 2)), code('FILE_NOT_WANTED'));
    assert.deepEqual(await readdir(directory.join('incoming')), []);
  });

  it('loses no file that becomes whole while it is dropped', async () => {
    await preparePieces(fileOf(big));
    for (const index of [0, 1, 2]) await files.receivePiece(pieceOf(big, index));
    const last = files.receivePiece(pieceOf(big, 3));
    await Promise.all([last, files.discardArriving(packageId)]);
    assert.equal(files.staged.all.count, 1);
    assert.deepEqual(await readFile(pathOf(hashOf(big))), big);
  });

  it('goes on after a crash of its thread where the file stands', async () => {
    const real = new URL('./receive-worker.js', import.meta.url).href;
    const text = `import { parentPort } from 'node:worker_threads';
      const on = parentPort.on.bind(parentPort);
      parentPort.on = (name, listener) => on(name, (message) => {
        if (message.request.bytes?.[1] === 255) throw new Error('crash');
        listener(message);
      });
      await import('${real}');`;
    await restart(new URL(`data:text/javascript,${encodeURIComponent(text)}`));
    await preparePieces(fileOf(big));
    await files.receivePiece(pieceOf(big, 0));
    const deadly = pieceOf(big, 1);
    deadly.bytes[1] = 255;
    await assert.rejects(files.receivePiece(deadly), /crash/);
    for (const index of [1, 2, 3]) await files.receivePiece(pieceOf(big, index));
    assert.deepEqual(await readFile(pathOf(hashOf(big))), big);
    assert.equal(files.staged.all.count, 1);
  });

  it('has what is still to come of a file written for who reads it while it arrives', async () => {
    const real = new URL('./receive-worker.js', import.meta.url).href;
    const text = `import { parentPort } from 'node:worker_threads';
      const on = parentPort.on.bind(parentPort);
      parentPort.on = (name, listener) => on(name, (message) => {
        const { id, request: { pieceIndex, isReadSoon } } = message;
        if (!isReadSoon) return listener(message);
        parentPort.postMessage({ id, failure: { code: '', message: 'read soon: ' + pieceIndex } });
      });
      await import('${real}');`;
    await restart(new URL(`data:text/javascript,${encodeURIComponent(text)}`));
    const other = bytesOf(2 * pieceBytes, 1);
    for (const file of [fileOf(big), fileOf(other)]) await preparePieces(file);
    await files.receivePiece(pieceOf(big, 0));
    assert.equal(await files.bytes.readPiece(fileOf(big), 1), undefined);
    await files.receivePiece(pieceOf(big, 1));
    assert.ok(await files.bytes.readPiece(fileOf(big), 0));
    await assert.rejects(files.receivePiece(pieceOf(big, 2)), { message: 'read soon: 2' });
    await files.receivePiece(pieceOf(other, 0));
  });

  it('sends a piece again that got lost on disk behind its back', async () => {
    await preparePieces(fileOf(big));
    for (const index of [0, 1]) await files.receivePiece(pieceOf(big, index));
    // The thread is lost, and with it what it knew; meanwhile the file was cut.
    const answer = files.prepare(packageId, [fileOf(big)]);
    await answer;
    await restart();
    await truncate(pathOf(hashOf(big)), pieceBytes);
    assert.deepEqual(heldOf(await preparePieces(fileOf(big))), [true, false, false, false]);
  });

  it('opens no more files than it may, however many arrive', async () => {
    const many = Array.from({ length: 70 }, (_, index) => {
      const bytes = Buffer.alloc(pieceBytes + 1, index);
      return { bytes, file: fileOf(bytes) };
    });
    await files.prepare(
      packageId,
      many.map(({ file }) => file),
    );
    assert.deepEqual(
      await readdir(directory.join('incoming')),
      [],
      'nothing is made before it comes',
    );
    for (const { bytes } of many) await files.receivePiece(pieceOf(bytes, 1));
    const openFiles = await openFilesUnder(directory.path);
    assert.ok(openFiles.length <= 64, `${openFiles.length} files were open`);
    for (const { bytes } of many) await files.receivePiece(pieceOf(bytes, 0));
    assert.equal(files.staged.all.count, 70);
  });

  it('hands no memory over that other messages share', async () => {
    const memory = new ArrayBuffer(2 * pieceBytes + 300_000);
    const piece = new Uint8Array(memory, 100, pieceBytes);
    const other = new Uint8Array(memory, pieceBytes + 200, 100_000).fill(7);
    piece.set(big.subarray(0, pieceBytes));
    await preparePieces(fileOf(big));
    await files.receivePiece({ hash: hashOf(big), pieceIndex: 0, bytes: piece });
    const tail = new Uint8Array(memory, pieceBytes + 200_000, 300_000).fill(9);
    await files.receiveSmall([{ hash: hashOf(tail), bytes: tail }]);
    assert.equal(other.length, 100_000);
    assert.ok(other.every((byte) => byte === 7));
    assert.deepEqual(
      (await readFile(pathOf(hashOf(big)))).subarray(0, pieceBytes),
      big.subarray(0, pieceBytes),
    );
    assert.deepEqual(await readFile(pathOf(hashOf(tail))), Buffer.from(tail));
  });

  it('hands over the memory of a long message instead of copying it', async () => {
    await preparePieces(fileOf(big));
    const piece = pieceOf(big, 0);
    await files.receivePiece(piece);
    assert.equal(piece.bytes.length, 0);
  });

  it('sweeps what nobody has asked for, and nobody has written, since', async () => {
    const old = new Date(Date.now() - 1_000_000);
    const fresh = bytesOf(pieceBytes + 1, 1);
    await writeFile(pathOf('1'.repeat(64)), 'left by a crash');
    await writeFile(pathOf('2'.repeat(64)), 'left just now');
    await files.receiveSmall([{ hash: hashOf(small), bytes: small }]);
    await preparePieces(fileOf(big));
    await files.receivePiece(pieceOf(big, 0));
    await clock.advance(500_000);
    await preparePieces(fileOf(fresh));
    for (const hash of ['1'.repeat(64), hashOf(big), hashOf(small)]) {
      await utimes(pathOf(hash), old, old);
    }
    await files.sweep(clock.nowMs() - 400_000 - 500_000);
    assert.equal((await readdir(directory.join('incoming'))).length, 3, 'one was asked for since');
    await utimes(pathOf('2'.repeat(64)), new Date(clock.nowMs()), new Date(clock.nowMs()));
    await files.sweep(clock.nowMs() - 100_000);
    assert.deepEqual(
      (await readdir(directory.join('incoming'))).sort(),
      ['2'.repeat(64), hashOf(small)].sort(),
    );
    await assert.rejects(files.receivePiece(pieceOf(big, 1)), code('FILE_NOT_WANTED'));
    await files.receivePiece(pieceOf(fresh, 0));
  });
}).timeout(10_000);

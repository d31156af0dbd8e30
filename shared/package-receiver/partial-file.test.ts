import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { hashOf } from '../content-library/content-hash.ts';
import { pieceBytes, pieceCountOf } from '../domain/content.ts';
import { SeededRandom } from '../testing/seeded-random.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { pieceHashesOf } from '../testing/test-library.ts';
import { DirectFile } from './direct-file.ts';
import { EarlyPieces } from './early-pieces.ts';
import { PartialFile } from './partial-file.ts';

const noise = new SeededRandom(7).bytes(4_096);
/** Bytes that differ in every piece. */
function bytesOf(lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes, noise);
  for (let at = 0; at < lengthBytes; at += pieceBytes) bytes[at] = at / pieceBytes;
  return bytes;
}
const factsOf = (bytes: Buffer) => ({
  hash: hashOf(bytes),
  sizeBytes: bytes.length,
  pieceHashes: pieceHashesOf(bytes),
});
const pieceOf = (bytes: Buffer, index: number, isReadSoon = false) => ({
  index,
  bytes: new Uint8Array(bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes)),
  isReadSoon,
});
const written = (complete: boolean) => ({ outcome: 'written', complete });

/** Says which pieces were written so. */
class WatchedDirectFile extends DirectFile {
  readonly answers: [index: number, isWritten: boolean][] = [];

  override write(bytes: Uint8Array, position: number): boolean {
    const isWritten = super.write(bytes, position);
    this.answers.push([position / pieceBytes, isWritten]);
    return isWritten;
  }
}

/** Fails as a file system does that takes half of the first write. */
class RefusedDirectFile extends DirectFile {
  readonly #bytes: Buffer;
  readonly #path: string;

  constructor(path: string, bytes: Buffer) {
    super(path);
    this.#bytes = bytes;
    this.#path = path;
  }

  override write(bytes: Uint8Array, position: number): boolean {
    if (bytes.length < pieceBytes) return false;
    const half = new DirectFile(this.#path);
    half.write(this.#bytes.subarray(0, pieceBytes / 2), position);
    half.close();
    return false;
  }
}

describe('partial file', () => {
  const bytes = bytesOf(3 * pieceBytes + 7);
  let directory: TemporaryDirectory;
  let path: string;
  let direct: WatchedDirectFile;
  let isDirectTaken: boolean;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    path = directory.join('file');
    direct = new WatchedDirectFile(path);
    const probe = directory.join('probe');
    await writeFile(probe, '');
    const probed = new DirectFile(probe);
    isDirectTaken = probed.write(new Uint8Array(pieceBytes), 0);
    probed.close();
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  const open = (content: Buffer, directFile: DirectFile = direct) =>
    new PartialFile(path, factsOf(content), {
      earlyPieces: new EarlyPieces(),
      onEnded: () => {},
      direct: directFile,
    });

  it('writes whole pieces past the page cache and an odd last one through it', async () => {
    const file = open(bytes);
    for (const index of [3, 1, 0]) {
      assert.deepEqual(await file.write(pieceOf(bytes, index)), written(false));
    }
    assert.deepEqual(await file.write(pieceOf(bytes, 2)), written(true));
    assert.deepEqual(direct.answers, [
      [3, false],
      [1, isDirectTaken],
      [0, isDirectTaken],
      [2, isDirectTaken],
    ]);
    assert.deepEqual(await readFile(path), bytes);
  });

  it('writes through the page cache what somebody is about to read', async () => {
    const file = open(bytes);
    await file.write(pieceOf(bytes, 0));
    for (const index of [1, 2]) await file.write(pieceOf(bytes, index, true));
    assert.deepEqual(await file.write(pieceOf(bytes, 3)), written(true));
    assert.deepEqual(
      direct.answers.map(([index]) => index),
      [0, 3],
    );
    assert.deepEqual(await readFile(path), bytes);
  });

  it('is right where such writes are refused, half done or not', async () => {
    const file = open(bytes, new RefusedDirectFile(path, bytesOf(pieceBytes).fill(9)));
    for (const index of [2, 1, 0, 3]) await file.write(pieceOf(bytes, index));
    assert.deepEqual(await readFile(path), bytes);
    assert.deepEqual(await open(bytes).finish(), written(true));
  });

  it('writes nothing of a piece that is wrong, and takes the right one after', async () => {
    const file = open(bytes);
    const wrong = pieceOf(bytes, 1);
    wrong.bytes[9] = (wrong.bytes[9] ?? 0) ^ 1;
    const answer = await file.write(wrong);
    assert.equal(answer.outcome, 'hash-mismatch');
    assert.deepEqual(direct.answers, []);
    for (const index of [0, 1, 2, 3]) await file.write(pieceOf(bytes, index));
    assert.deepEqual(await readFile(path), bytes);
  });

  it('rewrites the pieces that a crash left wrong, though the page cache has them', async () => {
    const left = Buffer.from(bytes);
    for (const at of [5, 2 * pieceBytes + 5, 3 * pieceBytes + 5]) left[at] = (left[at] ?? 0) ^ 1;
    await writeFile(path, left);
    const file = open(bytes);
    const held = [0, 1, 2, 3].map((index) => file.pieces.has(index));
    assert.deepEqual(held, [false, true, false, false]);
    for (const index of [3, 2]) await file.write(pieceOf(bytes, index));
    assert.deepEqual(await file.write(pieceOf(bytes, 0)), written(true));
    assert.deepEqual(
      direct.answers.map(([index]) => index),
      [3, 2, 0],
    );
    assert.deepEqual(await readFile(path), bytes);
  });

  it('hashes the whole in order, however early pieces come', async () => {
    const long = bytesOf(20 * pieceBytes + 1);
    const file = open(long);
    for (let index = pieceCountOf(long.length) - 1; index > 0; index--) {
      assert.deepEqual(await file.write(pieceOf(long, index)), written(false));
    }
    assert.deepEqual(await file.write(pieceOf(long, 0)), written(true));
    assert.deepEqual(await readFile(path), long);
  });

  it('finds that the whole is wrong though every piece was right, and keeps nothing (SEC-4)', async () => {
    const facts = { ...factsOf(bytes), hash: 'f'.repeat(64) };
    const file = new PartialFile(path, facts, {
      earlyPieces: new EarlyPieces(),
      onEnded: () => {},
      direct,
    });
    for (const index of [2, 0, 3]) await file.write(pieceOf(bytes, index));
    const answer = await file.write(pieceOf(bytes, 1));
    assert.equal(answer.outcome, 'hash-mismatch');
    assert.equal(existsSync(path), false);
  });
}).timeout(10_000);

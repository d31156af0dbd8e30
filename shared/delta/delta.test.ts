import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import fc from 'fast-check';
import { hashOf } from '../content-library/content-hash.ts';
import { pieceBytes } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import { noiseOf } from '../testing/noise.ts';
import { pieceHashesOf } from '../testing/test-library.ts';
import { encodeHeader, FrameBuilder } from './delta-format.ts';
import { DeltaFiles } from './testing/delta-files.ts';

const mib = pieceBytes;

/** One change of a file: these bytes go, noise comes. */
interface Edit {
  readonly at: number;
  readonly removeBytes: number;
  readonly insertBytes: number;
  readonly seed: number;
}

function edited(base: Buffer, edits: readonly Edit[]): Buffer {
  return edits.reduce((file, { at, removeBytes, insertBytes, seed }) => {
    const start = Math.min(at, file.length);
    const rest = file.subarray(start + removeBytes);
    return Buffer.concat([file.subarray(0, start), noiseOf(insertBytes, seed), rest]);
  }, base);
}

/** Bytes that are the same in many places, as those of real files are. */
function repeated(length: number, seed: number): Buffer {
  const words = Array.from({ length: 8 }, (_, index) => noiseOf(1 + index * 97, seed + index));
  const picks = noiseOf(length, seed + 100);
  const parts: Buffer[] = [];
  for (let size = 0, pick = 0; size < length; pick++) {
    const word = words[(picks[pick] ?? 0) % words.length] as Buffer;
    parts.push(word);
    size += word.length;
  }
  return Buffer.concat(parts).subarray(0, length);
}

const edits = fc.array(
  fc.record({
    at: fc.nat(300_000),
    removeBytes: fc.oneof(fc.nat(40), fc.nat(100_000)),
    insertBytes: fc.oneof(fc.nat(40), fc.nat(100_000)),
    seed: fc.nat(),
  }),
  { maxLength: 6 },
);

describe('delta', function () {
  this.timeout(30_000);
  let files: DeltaFiles;

  before(async () => {
    files = await DeltaFiles.open();
  });
  after(() => files[Symbol.asyncDispose]());

  async function made(base: Buffer, file: Buffer): Promise<{ delta: Delta; bytes: Buffer }> {
    const result = await files.make(base, file);
    assert.ok(result);
    const { delta, bytes } = result;
    assert.equal(delta.deltaHash, hashOf(bytes));
    assert.equal(delta.deltaBytes, bytes.length);
    assert.equal(delta.deltaPieceHashes, pieceHashesOf(bytes).toString('hex'));
    return result;
  }

  async function assertComesBack(base: Buffer, file: Buffer): Promise<number> {
    const { delta, bytes } = await made(base, file);
    const applied = await files.apply(base, delta, bytes);
    assert.equal(applied.error, undefined);
    assert.ok(applied.bytes.equals(file));
    return bytes.length;
  }

  it('gives the file back, whatever was edited (PULL-6)', async () => {
    const bases = fc.oneof(
      fc
        .record({ length: fc.nat(300_000), seed: fc.nat() })
        .map((one) => noiseOf(one.length, one.seed)),
      fc
        .record({ length: fc.nat(300_000), seed: fc.nat() })
        .map((one) => repeated(one.length, one.seed)),
      fc.nat(100_000).map((length) => Buffer.alloc(length)),
    );
    await fc.assert(
      fc.asyncProperty(bases, edits, async (base, list) => {
        const file = edited(base, list);
        // Of nothing there is no delta.
        fc.pre(file.length > 0);
        await assertComesBack(base, file);
      }),
      { numRuns: 60 },
    );
  });

  it('carries the edits and little more, wherever bytes moved (PKG-5)', async () => {
    const base = noiseOf(8 * mib, 1);
    let file = base;
    for (let piece = 0; piece < 8; piece++) {
      file = edited(file, [
        { at: piece * mib + 500_001, removeBytes: 4_096, insertBytes: 4_096, seed: piece },
      ]);
    }
    file = edited(file, [{ at: 0, removeBytes: 0, insertBytes: 4_096, seed: 99 }]);
    const deltaBytes = await assertComesBack(base, file);
    assert.ok(deltaBytes >= 9 * 4_096);
    assert.ok(deltaBytes < 9 * 4_096 + 512, `${deltaBytes} bytes`);
  });

  it('carries a few bytes for an edit of a few bytes in every block', async () => {
    const base = noiseOf(mib, 2);
    const file = Buffer.from(base);
    for (let at = 100; at < file.length; at += 400) file.writeUInt32LE(at, at);
    const deltaBytes = await assertComesBack(base, file);
    assert.ok(deltaBytes < 0.04 * mib, `${deltaBytes} bytes`);
  });

  it('finds blocks that changed places, and repetitions', async () => {
    const [a, b, c] = [noiseOf(200_000, 3), noiseOf(200_000, 4), noiseOf(200_000, 5)];
    assert.ok(
      (await assertComesBack(Buffer.concat([a, b, c]), Buffer.concat([c, a, a, b]))) < 1_000,
    );
    assert.ok((await assertComesBack(Buffer.alloc(mib), Buffer.alloc(2 * mib + 7))) < 1_000);
  });

  it('compresses what it inserts where that helps', async () => {
    const base = noiseOf(mib, 6);
    const text = Buffer.from('The quick brown fox jumps over the lazy dog. '.repeat(10_000));
    assert.ok((await assertComesBack(base, Buffer.concat([base, text]))) < 10_000);
  });

  it('crosses the limits of frames and windows', async () => {
    const base = noiseOf(2 * mib, 7);
    const other = noiseOf(3 * mib + 1, 8);
    const file = Buffer.concat([other, base, other.subarray(0, 700_000), base.subarray(5)]);
    const deltaBytes = await assertComesBack(base, file);
    // Noise does not compress, and what is inserted twice is not in the base.
    assert.ok(deltaBytes < other.length + 700_000 + 1_000);
  });

  it('is not made when it is not worth it, and leaves nothing behind', async () => {
    const [base, file] = [noiseOf(mib, 9), noiseOf(mib, 10)];
    const half = Buffer.concat([base.subarray(0, mib / 2 - 5_000), file.subarray(mib / 2 - 5_000)]);
    assert.equal(await files.make(base, half, { deltaShareMax: 0.5 }), undefined);
    assert.equal(await files.make(base, file, { scannedBytesMin: 200_000 }), undefined);
    assert.equal(await files.make(base, base, { fileBytesMin: mib + 1 }), undefined);
    assert.ok(!(await readdir(files.directory.path)).includes('delta'));
    assert.ok(await files.make(base, file));
  });

  it('is for one file and one base, and says so', async () => {
    const [base, file] = [noiseOf(5_000, 11), noiseOf(5_000, 12)];
    const { delta, bytes } = await made(base, file);
    for (const other of [
      { ...delta, fileHash: hashOf(base) },
      { ...delta, baseHash: hashOf(file) },
      { ...delta, fileBytes: 4_999 },
    ]) {
      const { error } = await files.apply(base, other, bytes);
      assert.ok(isErrorWithCode(error, 'DELTA_INVALID'), String(error));
    }
  });

  it('is refused when it copies a few bytes at a time: to follow it would take for ever (SEC-4)', async () => {
    const base = noiseOf(1_000, 1);
    const file = base.subarray(0, 31);
    const subject = {
      ...{ baseHash: hashOf(base), baseBytes: base.length },
      ...{ fileHash: hashOf(file), fileBytes: file.length },
    };
    const frame = new FrameBuilder();
    frame.copy(0, 31);
    const bytes = Buffer.concat([encodeHeader(subject), frame.take() ?? Buffer.alloc(0)]);
    const delta = {
      ...subject,
      deltaHash: hashOf(bytes),
      deltaBytes: bytes.length,
      deltaPieceHashes: '',
    };
    const { error, pieces } = await files.apply(base, delta, bytes);
    assert.ok(isErrorWithCode(error, 'DELTA_INVALID'));
    assert.deepEqual(pieces, []);
  });

  it('is refused when base or delta is not there in its size', async () => {
    const [base, file] = [noiseOf(5_000, 13), noiseOf(5_000, 14)];
    const { delta, bytes } = await made(base, file);
    for (const [otherBase, otherBytes] of [
      [base.subarray(1), bytes],
      [base, bytes.subarray(1)],
    ] as const) {
      const { error, pieces } = await files.apply(otherBase, delta, otherBytes);
      assert.ok(isErrorWithCode(error, 'DELTA_INVALID'), String(error));
      assert.equal(pieces.length, 0);
    }
  });

  it('makes no more than the file has, and fails in no other way, however it is damaged (SEC-4)', async () => {
    const base = repeated(mib + 200_000, 15);
    const file = edited(base, [
      { at: 1_000, removeBytes: 10, insertBytes: 3_000, seed: 1 },
      { at: 400_000, removeBytes: 1_000, insertBytes: 20, seed: 2 },
      { at: 900_000, removeBytes: 0, insertBytes: 300_000, seed: 3 },
    ]);
    const { delta, bytes } = await made(base, file);
    const changes = fc.array(fc.record({ at: fc.nat(), value: fc.nat(255) }), {
      minLength: 1,
      maxLength: 4,
    });
    await fc.assert(
      fc.asyncProperty(changes, fc.option(fc.nat()), async (list, cut) => {
        const damaged = Buffer.from(bytes);
        // Most of it is literal bytes; the numbers that matter are at the ends.
        for (const { at, value } of list) damaged[at % 2 ? at % 160 : at % damaged.length] = value;
        const kept = cut === null ? damaged : damaged.subarray(0, cut % damaged.length);
        const told = { ...delta, deltaBytes: kept.length };
        const { bytes: out, error } = await files.apply(base, told, kept);
        assert.ok(out.length <= file.length);
        assert.ok(error === undefined || isErrorWithCode(error, 'DELTA_INVALID'), String(error));
        if (error === undefined) assert.equal(out.length, file.length);
      }),
      { numRuns: 150 },
    );
  });
});

import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { RequestOf } from '../rpc/conversation.ts';
import { encodeMessage, methodDefinition } from '../rpc/service-definitions.ts';
import { SeededRandom } from '../testing/seeded-random.ts';
import {
  filesFrame,
  frameMemoryBytes,
  type MessageFrame,
  pieceFrame,
  smallFileLength,
} from './content-message.ts';

const mib = 1024 * 1024;
const random = new SeededRandom(7);
const noise = random.bytes(mib);

/** Lengths around which the encoding of a length grows by a byte. */
const borderSizes = [0, 1, 83, 84, 91, 92, 127, 128, 129, 16_300, 16_347, 16_383, 16_384, mib - 1];
const sizes = fc.oneof(fc.nat(40_000), fc.constantFrom(...borderSizes));
const borderIndices = [0, 1, 127, 128, 16_383, 16_384, 2 ** 21 - 1, 2 ** 21, 2 ** 31, 2 ** 32 - 1];
const indices = fc.oneof(fc.nat(2 ** 31 - 1), fc.constantFrom(...borderIndices));
const hashes = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));

/** Memory as a frame before has left it. */
const dirtyMemory = () => new Uint8Array(frameMemoryBytes).fill(0xee).buffer;

function filled(frame: MessageFrame, contents: readonly Buffer[]): Buffer {
  assert.equal(frame.rooms.length, contents.length);
  for (const [index, content] of contents.entries()) {
    const room = frame.rooms[index]!;
    assert.equal(room.sizeBytes, content.length);
    frame.bytes.set(content, room.offset);
  }
  return Buffer.from(frame.bytes.buffer, frame.bytes.byteOffset, frame.bytes.length);
}

/** Holds a frame equal to what the encoder makes of a message that pushes, and of one that answers. */
function checkMessage(bytes: Buffer, message: RequestOf<'DistributionPoint', 'putContent'>) {
  const push = methodDefinition('DistributionPoint', 'putContent');
  const fetch = methodDefinition('Content', 'fetch');
  assert.ok(bytes.equals(push.requestSerialize(message)));
  assert.ok(bytes.equals(fetch.responseSerialize(message)));
  const [body] = Object.keys(message);
  assert.deepEqual(push.requestDeserialize(bytes), { ...message, body });
  assert.deepEqual(fetch.responseDeserialize(bytes), { ...message, body });
}

function checkPiece(fileHash: Buffer, pieceIndex: number, sizeBytes: number): void {
  const data = noise.subarray(0, sizeBytes);
  const piece = { hash: fileHash.toString('hex'), pieceIndex, sizeBytes };
  const bytes = filled(pieceFrame(dirtyMemory(), piece), [data]);
  checkMessage(bytes, { piece: { fileHash, pieceIndex, data } });
}

function checkFiles(files: readonly { hash: Buffer; sizeBytes: number }[]): void {
  const contents = files.map(({ sizeBytes }) => noise.subarray(0, sizeBytes));
  const facts = files.map(({ hash, sizeBytes }) => ({ hash: hash.toString('hex'), sizeBytes }));
  const bytes = filled(filesFrame(dirtyMemory(), facts), contents);
  const messages = files.map(({ hash }, index) => ({ fileHash: hash, data: contents[index]! }));
  checkMessage(bytes, { files: { files: messages } });
}

describe('content message', () => {
  it('of a piece is byte for byte what the encoder makes, to push and to answer, and is read so', () => {
    fc.assert(fc.property(hashes, indices, sizes, checkPiece));
  });

  it('of a piece is right for every length and index at a border', () => {
    const hash = Buffer.alloc(32, 9);
    for (const sizeBytes of [...borderSizes, mib]) checkPiece(hash, 0, sizeBytes);
    for (const pieceIndex of borderIndices) checkPiece(hash, pieceIndex, 1);
  });

  it('of small files is byte for byte what the encoder makes, to push and to answer', () => {
    const file = fc.record({ hash: hashes, sizeBytes: sizes });
    const batches = fc
      .array(file, { minLength: 1, maxLength: 24 })
      .filter((files) => files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) <= mib);
    fc.assert(fc.property(batches, checkFiles));
  });

  it('of small files is right at every border: empty files, one of 1 MiB, 512 of them', () => {
    const hash = Buffer.alloc(32, 9);
    for (const sizeBytes of [...borderSizes, mib]) checkFiles([{ hash, sizeBytes }]);
    checkFiles(Array.from({ length: 512 }, () => ({ hash, sizeBytes: 0 })));
    checkFiles(Array.from({ length: 512 }, (_, index) => ({ hash, sizeBytes: index * 7 })));
  });

  it('fits the memory of a frame, and the longest message there may be', () => {
    const hash = 'a'.repeat(64);
    const piece = { hash, pieceIndex: 2 ** 32 - 1, sizeBytes: mib };
    assert.ok(pieceFrame(dirtyMemory(), piece).bytes.length <= mib + 64 * 1024);
    assert.ok(smallFileLength(mib) <= mib + 64 * 1024);
  });

  it('knows how long a small file is among others', () => {
    fc.assert(
      fc.property(sizes, (sizeBytes) => {
        const file = { fileHash: Buffer.alloc(32), data: noise.subarray(0, sizeBytes) };
        const lengthOf = (count: number) =>
          decodedLength(Array.from({ length: count }, () => file));
        assert.equal(lengthOf(2) - lengthOf(1), smallFileLength(sizeBytes));
      }),
    );
  });
});

/** Bytes of a batch without the tag and length around it. */
function decodedLength(files: { fileHash: Buffer; data: Buffer }[]): number {
  const bytes = encodeMessage('DistributionPoint', 'putContent', { files: { files } });
  let start = 1;
  while ((bytes[start] ?? 0) & 0x80) start += 1;
  return bytes.length - start - 1;
}

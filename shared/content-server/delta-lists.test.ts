import assert from 'node:assert/strict';
import type { Delta } from '../domain/delta.ts';
import { messageBytesMax } from '../rpc/rpc-limits.ts';
import { decodeAnswer, encodeAnswer } from '../rpc/service-definitions.ts';
import { deltaLists } from './delta-lists.ts';

const hash = (digit: string) => digit.repeat(64);

function delta(index: number, pieceCount = 0): Delta {
  return {
    fileHash: index.toString(16).padStart(64, '0'),
    fileBytes: 7_000_000_000_000,
    baseHash: hash('b'),
    baseBytes: 6_000_000_000_000,
    deltaHash: hash('d'),
    deltaBytes: pieceCount * 1024 * 1024,
    deltaPieceHashes: hash('e').repeat(pieceCount),
  };
}

const messages = (deltas: readonly Delta[]) =>
  [...deltaLists(deltas)].map((list) => encodeAnswer('Content', 'listDeltas', list));

const fileHashesOf = (deltas: readonly Delta[]) =>
  messages(deltas).flatMap((bytes) =>
    decodeAnswer('Content', 'listDeltas', bytes).deltas.map(({ fileHash }) =>
      fileHash.toString('hex'),
    ),
  );

describe('delta lists', () => {
  it('bring every fact of a delta', () => {
    const [bytes] = messages([delta(1, 2)]);
    assert.ok(bytes);
    assert.deepEqual(decodeAnswer('Content', 'listDeltas', bytes).deltas, [
      {
        fileHash: Buffer.from(delta(1).fileHash, 'hex'),
        fileBytes: '7000000000000',
        baseHash: Buffer.from(hash('b'), 'hex'),
        baseBytes: '6000000000000',
        deltaHash: Buffer.from(hash('d'), 'hex'),
        deltaBytes: String(2 * 1024 * 1024),
        deltaPieceHashes: Buffer.from(hash('e').repeat(2), 'hex'),
      },
    ]);
  });

  it('are none for no deltas, and have each once', () => {
    assert.deepEqual(messages([]), []);
    assert.equal(fileHashesOf([delta(1), delta(2), delta(1)]).length, 2);
  });

  it('stay under 512 KiB, and bring all, in order (PULL-6)', () => {
    const deltas = Array.from({ length: 9_000 }, (_, index) => delta(index, index % 5));
    const all = messages(deltas);
    assert.ok(all.length > 2);
    for (const bytes of all) assert.ok(bytes.length <= 512 * 1024, `${bytes.length} bytes`);
    assert.deepEqual(
      fileHashesOf(deltas),
      deltas.map(({ fileHash }) => fileHash),
    );
  });

  it('have the longest delta that fits a message, alone, and none that does not', () => {
    const longest = delta(1, 32 * 1024);
    const all = messages([delta(2), longest, delta(3, 32 * 1024 + 1), delta(4)]);
    assert.deepEqual(
      all.map((bytes) => decodeAnswer('Content', 'listDeltas', bytes).deltas.length),
      [1, 1, 1],
    );
    for (const bytes of all) assert.ok(bytes.length <= messageBytesMax);
  });
});

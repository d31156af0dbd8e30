import assert from 'node:assert/strict';
import fc from 'fast-check';
import { pieceBytes, pieceCountOf } from './content.ts';
import { PieceSet } from './piece-set.ts';

const mib = pieceBytes;

describe('piece set', () => {
  it('travels as one bit a piece, the lowest bit of the first byte first', () => {
    const pieces = new PieceSet(10);
    assert.deepEqual([...pieces.toBytes()], []);
    pieces.add(0);
    pieces.add(9);
    assert.deepEqual([...pieces.toBytes()], [0b1, 0b10]);
  });

  it('comes back from its bytes as it was', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 200 }), fc.array(fc.nat(250)), (count, indices) => {
        const pieces = new PieceSet(count);
        for (const index of indices) pieces.add(index);
        const copy = new PieceSet(count, pieces.toBytes());
        const held = new Set(indices.filter((index) => index < count));
        assert.equal(copy.heldCount, held.size);
        assert.equal(copy.isComplete, held.size === count);
        for (let index = 0; index < count; index++) assert.equal(copy.has(index), held.has(index));
      }),
    );
  });

  it('takes nothing for a piece that is none', () => {
    const pieces = new PieceSet(3, Uint8Array.of(0b11111000, 0xff));
    assert.equal(pieces.heldCount, 0);
    for (const index of [-1, 3, 8, 4_294_967_295]) {
      pieces.add(index);
      assert.equal(pieces.has(index), false);
    }
    assert.equal(pieces.heldCount, 0);
  });

  it('gives bytes that do not change with it', () => {
    const pieces = new PieceSet(2);
    pieces.add(0);
    const bytes = pieces.toBytes();
    pieces.add(1);
    assert.deepEqual([...bytes], [1]);
  });

  it('counts the bytes that are missing, the short last piece as it is', () => {
    const sizeBytes = 2 * mib + 5;
    const pieces = new PieceSet(pieceCountOf(sizeBytes));
    assert.equal(pieces.missingBytesOf(sizeBytes), sizeBytes);
    pieces.add(2);
    assert.equal(pieces.missingBytesOf(sizeBytes), 2 * mib);
    pieces.add(0);
    pieces.add(1);
    assert.equal(pieces.missingBytesOf(sizeBytes), 0);
    assert.equal(new PieceSet(0).missingBytesOf(700), 700);
  });
});

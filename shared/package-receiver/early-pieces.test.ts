import assert from 'node:assert/strict';
import { EarlyPieces } from './early-pieces.ts';

const [one, other] = [{}, {}];
const bytesOf = (index: number) => new Uint8Array([index]);

describe('early pieces', () => {
  it('are given back once, by file and index', () => {
    const early = new EarlyPieces();
    early.keep(one, 2, bytesOf(2));
    early.keep(other, 3, bytesOf(3));
    assert.equal(early.take(one, 3), undefined);
    assert.deepEqual(early.take(one, 2), bytesOf(2));
    assert.equal(early.take(one, 2), undefined);
    assert.deepEqual(early.take(other, 3), bytesOf(3));
  });

  it('are the last eight: what no file asks for any more makes room', () => {
    const early = new EarlyPieces();
    for (let index = 0; index < 8; index++) early.keep(one, index, bytesOf(index));
    early.keep(other, 9, bytesOf(9));
    assert.equal(early.take(one, 0), undefined);
    for (let index = 1; index < 8; index++)
      assert.deepEqual(early.take(one, index), bytesOf(index));
    assert.deepEqual(early.take(other, 9), bytesOf(9));
  });

  it('are forgotten with their file, those of others are not', () => {
    const early = new EarlyPieces();
    for (const file of [one, other]) early.keep(file, 1, bytesOf(1));
    early.forget(one);
    assert.equal(early.take(one, 1), undefined);
    assert.deepEqual(early.take(other, 1), bytesOf(1));
  });
});

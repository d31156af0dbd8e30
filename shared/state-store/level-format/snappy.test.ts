import assert from 'node:assert/strict';
import fc from 'fast-check';
import { snappyUncompressed } from './snappy.ts';

describe('snappyUncompressed', () => {
  const cases: [name: string, block: number[], text: string][] = [
    ['nothing', [0], ''],
    ['a literal', [3, 2 << 2, 97, 98, 99], 'abc'],
    [
      'a literal with its length in a byte',
      [61, 60 << 2, 60, ...Array(61).fill(97)],
      'a'.repeat(61),
    ],
    ['a copy that overlaps itself', [8, 0, 97, ((7 - 4) << 2) | 1, 1], 'a'.repeat(8)],
    ['a copy with an offset of two bytes', [6, 2 << 2, 97, 98, 99, (2 << 2) | 2, 3, 0], 'abcabc'],
    [
      'a copy with an offset of four bytes',
      [6, 2 << 2, 97, 98, 99, (2 << 2) | 3, 3, 0, 0, 0],
      'abcabc',
    ],
  ];
  for (const [name, block, text] of cases) {
    it(`reads ${name}`, () => {
      assert.equal(snappyUncompressed(Buffer.from(block)).toString(), text);
    });
  }

  it('refuses what is no block with RangeError, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          snappyUncompressed(Buffer.concat([Buffer.from([200, 1]), bytes]));
        } catch (error) {
          assert(error instanceof RangeError);
        }
      }),
    );
    assert.throws(() => snappyUncompressed(Buffer.from([4, 0, 97])), RangeError);
    assert.throws(() => snappyUncompressed(Buffer.from([5, 0, 97, 1, 2])), RangeError);
    assert.throws(
      () => snappyUncompressed(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x7f])),
      RangeError,
    );
  });
});

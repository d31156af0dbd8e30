import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  compareNames,
  hasPieces,
  parseContentId,
  parseHash,
  pieceBytes,
  pieceCountOf,
  pieceLengthOf,
  refusalOfName,
  refusalOfTarget,
  signatureBytesOf,
} from './content.ts';

describe('content', () => {
  it('cuts every file into pieces that add up to it', () => {
    const sizes = fc.oneof(
      fc.nat(5 * pieceBytes),
      fc.integer({ min: 0, max: 4 }).map((count) => count * pieceBytes),
    );
    fc.assert(
      fc.property(sizes, (sizeBytes) => {
        const lengths = Array.from({ length: pieceCountOf(sizeBytes) }, (_, index) =>
          pieceLengthOf(sizeBytes, index),
        );
        assert.equal(
          lengths.reduce((sum, length) => sum + length, 0),
          sizeBytes,
        );
        assert.ok(lengths.every((length) => length > 0 && length <= pieceBytes));
        assert.equal(hasPieces(sizeBytes), lengths.length > 1);
        assert.equal(signatureBytesOf(sizeBytes), lengths.length > 1 ? 32 * lengths.length : 0);
      }),
    );
  });

  it('orders names as their UTF-8 bytes', () => {
    const names = fc.string({ unit: 'grapheme' });
    fc.assert(
      fc.property(names, names, (a, b) => {
        const expected = Buffer.compare(Buffer.from(a), Buffer.from(b));
        assert.equal(Math.sign(compareNames(a, b)), expected);
      }),
    );
    assert.ok(compareNames('\uffee', '\u{1f600}') < 0);
  });

  it('refuses names no receiver may create (PKG-3, SEC-4)', () => {
    const refused = ['', '.', '..', 'a/b', '/', 'a\0b', '\ud800', 'a\ufffd', 'x'.repeat(256)];
    for (const name of [...refused, 'é'.repeat(128), '\u{1f600}'.repeat(64)]) {
      assert.notEqual(refusalOfName(name), undefined, JSON.stringify(name));
    }
    const fine = ['a', '...', '..a', ' ', 'a\nb', 'x'.repeat(255), 'é'.repeat(127), '\u{1f600}'];
    for (const name of fine) assert.equal(refusalOfName(name), undefined, JSON.stringify(name));
  });

  it('takes links that stay inside, whatever other links they pass through', () => {
    const cases: [depth: number, target: string, isTaken: boolean][] = [
      [0, 'a', true],
      [0, 'a/./b//c', true],
      [0, '.', true],
      [1, '..', true],
      [1, '../a', true],
      [2, '../../a/b', true],
      [0, '..', false],
      [1, '../../a', false],
      [2, 'a/../b', false],
      [2, '../a/..', false],
      [0, '/etc/passwd', false],
      [0, '', false],
      [0, 'a\0', false],
      [0, 'a\ufffd', false],
      [0, 'x'.repeat(4_096), false],
      [0, 'x'.repeat(4_095), true],
    ];
    for (const [depth, target, isTaken] of cases) {
      const refusal = refusalOfTarget(depth, target);
      assert.equal(refusal === undefined, isTaken, `${depth} ${target.slice(0, 40)}: ${refusal}`);
    }
  });

  it('reads content IDs that are safe as file names, and hashes in one spelling', () => {
    for (const id of ['PS100001.1', 'a', 'A-b_c.9', 'x'.repeat(80)]) {
      assert.equal(parseContentId(id), id);
    }
    for (const id of ['', '.', '..', '-a', 'a/b', 'a b', 'a\n', 'x'.repeat(81), 'é']) {
      assert.equal(parseContentId(id), undefined, JSON.stringify(id));
    }
    const hash = '0123456789abcdef'.repeat(4);
    assert.equal(parseHash(hash), hash);
    for (const text of [hash.toUpperCase(), hash.slice(1), `${hash}0`, `${hash}\n`, '']) {
      assert.equal(parseHash(text), undefined);
    }
  });
});

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { nearestWord } from './nearest-word.ts';

const known = ['package', 'dp', 'jobs', 'status', 'list', 'add', 'listen', 'logLevel'];

describe('the word that was probably meant', () => {
  for (const [given, expected] of [
    ['pakage', 'package'],
    ['jbos', 'jobs'],
    ['lst', 'list'],
    ['listne', 'listen'],
    ['loglevel', 'logLevel'],
    ['ad', 'add'],
    ['xyz', undefined],
    ['q', undefined],
    ['foo', undefined],
    ['zz', undefined],
    ['', undefined],
    ['frobnicate', undefined],
  ] as const) {
    it(`for "${given}" is ${expected ?? 'none'}`, () => {
      assert.equal(nearestWord(given, known), expected);
    });
  }

  it('is none for a text that is longer than all of them by far', () => {
    assert.equal(nearestWord(`${known[0]}${'x'.repeat(1_000_000)}`, known), undefined);
  });

  it('is the word itself when it is known, and never one without a letter in common', () => {
    for (const word of known) assert.equal(nearestWord(word, known), word);
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('x', 'y', 'z', 'q'), maxLength: 12 }), (word) =>
        assert.equal(nearestWord(word, known), undefined),
      ),
    );
  });
});

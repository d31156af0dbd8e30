import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toJsonText, toVisibleText } from './visible-text.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
const unsafe = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/;
const anyText = fc.string({ unit: 'binary' });

describe('visible text', () => {
  it('shows what would steer a terminal', () => {
    assert.equal(
      toVisibleText('a\u001b[2Jb\r\n\u009b1mc\u202ed'),
      'a\\u001b[2Jb\\r\\n\\u009b1mc\\u202ed',
    );
  });

  it('leaves letters of all scripts and emoji as they are', () => {
    assert.equal(toVisibleText('Büro 事務所 مكتب 👩‍💻'), 'Büro 事務所 مكتب 👩‍💻');
  });

  it('leaves no control character, whatever the text', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        assert.doesNotMatch(toVisibleText(text), unsafe);
      }),
    );
  });

  it('JSON leaves none either, and parses to the same value', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const json = toJsonText({ text });
        assert.deepEqual(JSON.parse(json), { text });
        assert.doesNotMatch(json, unsafe);
      }),
    );
  });
});

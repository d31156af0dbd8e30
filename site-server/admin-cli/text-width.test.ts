import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toVisibleText } from '../../shared/runtime/visible-text.ts';
import { cutToWidth, widthOf, wrapToWidth } from './text-width.ts';

/** Styled as Output styles it, out of text that was made visible. */
const styledText = fc.array(fc.tuple(fc.boolean(), fc.string({ unit: 'grapheme' }))).map((parts) =>
  parts
    .map(([isStyled, text]) => {
      const visible = toVisibleText(text);
      return isStyled ? `\u001b[31m${visible}\u001b[39m` : visible;
    })
    .join(''),
);

describe('the width of text', () => {
  it('cut text is never wider than asked, and begins as the text does', () => {
    fc.assert(
      fc.property(styledText, fc.integer({ min: 1, max: 40 }), (text, width) => {
        assert.ok(widthOf(cutToWidth(text, width)) <= width);
      }),
    );
    assert.equal(cutToWidth('Office 16', 7), 'Office…');
    assert.equal(cutToWidth('nothing listens there', 17), 'nothing listens…');
    assert.equal(cutToWidth('a /srv/sources/office', 12), 'a /srv/sour…');
    assert.equal(cutToWidth('事務所', 4), '事…');
    assert.equal(cutToWidth('\u001b[31mOffice 16\u001b[39m', 4), '\u001b[31mOff…\u001b[39m');
  });

  it('wrapped lines fit, and nothing but spaces is lost', () => {
    const words = fc
      .array(fc.string({ unit: 'grapheme-ascii', maxLength: 30 }))
      .map((all) => all.join(' '));
    fc.assert(
      fc.property(words, fc.integer({ min: 1, max: 40 }), (text, width) => {
        const lines = wrapToWidth(text, width);
        for (const line of lines) assert.ok(widthOf(line) <= width, JSON.stringify(line));
        assert.equal(lines.join('').replaceAll(' ', ''), text.replaceAll(' ', ''));
      }),
    );
    assert.deepEqual(wrapToWidth('nothing listens there', 10), ['nothing', 'listens', 'there']);
    assert.deepEqual(wrapToWidth('/srv/sources', 5), ['/srv/', 'sourc', 'es']);
    assert.deepEqual(wrapToWidth('', 5), ['']);
  });
});

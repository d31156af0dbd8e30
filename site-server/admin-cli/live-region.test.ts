import assert from 'node:assert/strict';
import fc from 'fast-check';
import { LiveRegion } from './live-region.ts';
import { TerminalScreen } from './testing/terminal-screen.ts';

function terminalOf(size: { columns: number; rows: number }) {
  const screen = new TerminalScreen(size);
  const stream = { ...size, isTTY: true, write: (text: string) => screen.write(text) };
  return { screen, region: new LiveRegion(stream), stream };
}

describe('a live region', () => {
  it('draws each picture in the place of the last, below what was there', () => {
    const { screen, region, stream } = terminalOf({ columns: 20, rows: 6 });
    stream.write('before\n');
    region.draw(['one', 'two', 'three']);
    region.draw(['one', 'zwei']);
    assert.equal(screen.text, 'before\none\nzwei');
    assert.equal(screen.isCursorShown, false);
    region.clear();
    assert.equal(screen.text, 'before');
    assert.equal(screen.isCursorShown, true);
  });

  it('can be left on the screen; what comes next stands below', () => {
    const { screen, region, stream } = terminalOf({ columns: 20, rows: 6 });
    region.draw(['one']);
    region.leave();
    stream.write('after\n');
    assert.equal(screen.text, 'one\nafter');
    assert.equal(screen.isCursorShown, true);
  });

  it('cuts what is too wide or too much, so that the terminal never scrolls or breaks a line', () => {
    const picture = fc.array(fc.string({ unit: 'grapheme', maxLength: 40 }), { maxLength: 12 });
    fc.assert(
      fc.property(
        fc.array(picture, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 10, max: 30 }),
        fc.integer({ min: 2, max: 8 }),
        (pictures, columns, rows) => {
          const { screen, region } = terminalOf({ columns, rows });
          for (const lines of pictures)
            region.draw(lines.map((line) => line.replaceAll(/\p{C}/gu, '')));
          assert.equal(screen.scrolledCount, 0);
          region.clear();
          assert.equal(screen.text, '');
        },
      ),
    );
  });
});

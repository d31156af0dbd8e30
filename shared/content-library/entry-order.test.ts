import assert from 'node:assert/strict';
import { EntryOrder } from './entry-order.ts';

type Step = readonly [depth: number, name: string, type?: 'directory' | 'file'];

function refusalOf(steps: readonly Step[]): string | undefined {
  const order = new EntryOrder();
  let refusal: string | undefined;
  for (const [depth, name, type = 'file'] of steps) {
    assert.equal(refusal, undefined, 'only the last entry is refused');
    refusal = order.refusalOfNext({ depth, name, type });
  }
  return refusal;
}

describe('entry order', () => {
  const fine: [string, Step[]][] = [
    [
      'files ascending',
      [
        [0, 'a'],
        [0, 'b'],
      ],
    ],
    [
      'what is in a directory, then its siblings',
      [
        [0, 'd', 'directory'],
        [1, 'z'],
        [0, 'e'],
      ],
    ],
    [
      'the same name in two directories',
      [
        [0, 'd', 'directory'],
        [1, 'é'],
        [0, 'e', 'directory'],
        [1, 'e\u0301'],
      ],
    ],
    [
      'a name beyond the BMP after one at its end',
      [
        [0, '\uffee'],
        [0, '\u{1f600}'],
      ],
    ],
    [
      'upper case before lower case',
      [
        [0, 'K'],
        [0, 'k'],
      ],
    ],
  ];
  for (const [name, steps] of fine) {
    it(`takes ${name}`, () => assert.equal(refusalOf(steps), undefined));
  }

  const refused: [string, Step[], RegExp][] = [
    [
      'a name twice',
      [
        [0, 'a'],
        [0, 'a'],
      ],
      /twice/,
    ],
    [
      'a name out of order',
      [
        [0, 'b'],
        [0, 'a'],
      ],
      /out of order/,
    ],
    [
      'UTF-16 order',
      [
        [0, '\u{1f600}'],
        [0, '\uffee'],
      ],
      /out of order/,
    ],
    [
      'an entry below a file',
      [
        [0, 'a'],
        [1, 'b'],
      ],
      /deeper/,
    ],
    [
      'an entry two levels down',
      [
        [0, 'a', 'directory'],
        [2, 'b'],
      ],
      /deeper/,
    ],
    [
      'an entry of a directory that has ended',
      [
        [0, 'a', 'directory'],
        [0, 'b'],
        [1, 'c'],
      ],
      /deeper/,
    ],
    [
      'a directory that comes again',
      [
        [0, 'a', 'directory'],
        [1, 'x'],
        [0, 'a', 'directory'],
      ],
      /twice/,
    ],
    [
      'NFD after NFC',
      [
        [0, 'e\u0301'],
        [0, 'é'],
      ],
      /normalised/,
    ],
    [
      'names apart that are one',
      [
        [0, 'e\u0301'],
        [0, 'x'],
        [0, 'é'],
      ],
      /normalised/,
    ],
    [
      'the Kelvin sign after K',
      [
        [0, 'K'],
        [0, '\u212a'],
      ],
      /normalised/,
    ],
    [
      'three Ångströms',
      [
        [0, 'A\u030a'],
        [0, '\u212b'],
      ],
      /normalised/,
    ],
  ];
  for (const [name, steps, reason] of refused) {
    it(`refuses ${name}`, () => assert.match(refusalOf(steps) ?? 'taken', reason));
  }

  it('remembers every ASCII name that has a twin', () => {
    for (let code = 0x80; code <= 0x10ffff; code++) {
      if (code >= 0xd800 && code <= 0xdfff) continue;
      const character = String.fromCodePoint(code);
      const normalised = character.normalize('NFC');
      if (/^[\0-\x7f]+$/.test(normalised)) {
        assert.match(
          refusalOf([
            [0, normalised],
            [0, character],
          ]) ?? 'taken',
          /normalised/,
        );
      }
    }
  });
});

import assert from 'node:assert/strict';
import { KnownParts } from './known-parts.ts';
import { partKeyOf } from './part-path.ts';

const nowMs = 100;

describe('Unfinished files that make way on a full disk', () => {
  /** Site, bytes, and when it was last gone on with. */
  function partsOf(...all: readonly (readonly [string, number, number])[]) {
    const parts = new KnownParts();
    const names = new Map<string, string>();
    for (const [index, [siteCode, heldBytes, usedAtMs]] of all.entries()) {
      const key = partKeyOf(siteCode, String(index).padStart(64, '0'));
      names.set(key, `${siteCode} ${index}`);
      parts.note(key, { heldBytes, usedAtMs });
    }
    return (bytes: number, siteCode: string) =>
      parts
        .thatFree(bytes, { siteCode, sinceMs: nowMs, isResting: () => true })
        .map((key) => names.get(key));
  }

  it('are those of the site that asks, before those of any other', () => {
    const thatFree = partsOf(['PS2', 50, 1], ['PS1', 50, 2], ['PS1', 50, 3]);
    assert.deepEqual(thatFree(60, 'PS1'), ['PS1 1', 'PS1 2']);
  });

  it('are of a site that holds more than its share, down to that and no further (REP-7)', () => {
    const thatFree = partsOf(['PS2', 40, 1], ['PS2', 40, 2], ['PS2', 40, 3], ['PS3', 40, 1]);
    // Of 160 bytes and three sites each has a share of 53.
    assert.deepEqual(thatFree(40, 'PS1'), ['PS2 0']);
    assert.deepEqual(
      thatFree(41, 'PS1'),
      [],
      'a large file of one site ends no work of all others',
    );
  });

  it('are none that were gone on with a moment ago', () => {
    const thatFree = partsOf(['PS1', 50, nowMs + 1]);
    assert.deepEqual(thatFree(10, 'PS1'), []);
  });
});

import assert from 'node:assert/strict';
import { ParentWord } from './parent-word.ts';

describe("the parent's word about a site's own changes (REP-1)", () => {
  it('is there once it has heard them, and what it says of them has come', () => {
    const word = new ParentWord();
    assert.equal(word.isOn(1, 100), false, 'it has heard nothing');
    word.note({ sequence: 5, answeredBy: 20 }, 10);
    assert.equal(word.isOn(5, 19), false);
    assert.equal(word.isOn(5, 20), true);
    assert.equal(word.isOn(6, 20), false);
  });

  it('goes on while more is heard than comes back', () => {
    const word = new ParentWord();
    for (let at = 1; at <= 9; at++) word.note({ sequence: at, answeredBy: 10 * at }, 0);
    assert.deepEqual([word.isOn(1, 10), word.isOn(2, 10)], [true, false]);
    assert.equal(word.isOn(9, 89), false);
    assert.equal(word.isOn(9, 90), true);
  });

  it('is there at once of a parent that does not say by when it has answered', () => {
    const word = new ParentWord();
    word.note({ sequence: 5, answeredBy: 0 }, 0);
    assert.equal(word.isOn(5, 0), true);
  });
});

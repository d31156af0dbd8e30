import assert from 'node:assert/strict';
import fc from 'fast-check';
import { answersWish, toWishId, wishAfter } from './validation-request.ts';

describe('The name of a wish for a validation (PKG-8)', () => {
  it('carries those that wait', () => {
    assert.equal(wishAfter(undefined, 'b'), 'b');
    assert.equal(wishAfter('a', 'b'), 'a~b');
    assert.ok(answersWish('a~b', 'a') && answersWish('a~b', 'b') && answersWish('a~b.1', 'b'));
    assert.ok(!answersWish('a', 'a~b') && !answersWish(undefined, 'a'));
  });

  it('never is too long for a row, and always names the newest, and the ones before where it can', () => {
    const wish = fc.uuid().map(toWishId);
    fc.assert(
      fc.property(fc.array(wish, { minLength: 1, maxLength: 20 }), (wishes) => {
        const name = wishes.reduce<string | undefined>(wishAfter, undefined) ?? '';
        assert.ok(name.length <= 64);
        for (const one of wishes.slice(-4)) assert.ok(answersWish(name, one));
      }),
    );
  });
});

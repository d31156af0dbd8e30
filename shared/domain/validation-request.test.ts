import assert from 'node:assert/strict';
import { answersWish, toWishId } from './validation-request.ts';

const uuid = '123e4567-e89b-42d3-a456-426614174000';
const nowMs = Date.UTC(2026, 10, 26);

describe('The name of a wish for a validation (PKG-8)', () => {
  it('is answered by its own result, and by that of any that took its place, however many', () => {
    const first = toWishId([], { nowMs, uuid });
    let last = first;
    // A clock that stands still, or is behind that of who wished before.
    for (let count = 0; count < 50; count++)
      last = toWishId([last], { nowMs: nowMs - 5_000, uuid });
    assert.ok(answersWish(first, first) && answersWish(`${first}.2`, first));
    assert.ok(answersWish(last, first) && answersWish(`${last}.2`, first));
    assert.ok(!answersWish(first, last), 'nor the other way round');
    assert.ok(last.length <= 64);
  });

  it('is answered by nothing that was there before, by no schedule, and by no older program', () => {
    const wish = toWishId([uuid, undefined, 'schedule-1700000000000'], { nowMs, uuid });
    for (const result of [undefined, '', uuid, 'schedule-1900000000000', `${uuid}.2`]) {
      assert.ok(!answersWish(result, wish), result);
    }
    assert.ok(answersWish(`${uuid}.2`, uuid));
  });

  it('comes after those of all places it is for', () => {
    const [one, other] = [nowMs, nowMs + 60_000].map((ms) => toWishId([], { nowMs: ms, uuid }));
    const wish = toWishId([one, other], { nowMs, uuid });
    assert.ok(answersWish(wish, one ?? '') && answersWish(wish, other ?? ''));
    assert.ok(!answersWish(other, wish));
  });
});

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { expectedPace, type MeasuredPace } from './transfer-pace.ts';

const limit = 1_000_000;
const atAnyTime = (one: number | undefined) => ({ now: one, later: one });
const measured = (bytesPerSecond: number, trust: number): MeasuredPace => {
  return { bytesPerSecond, trust };
};

describe('pace of a running transfer (PTM-6)', () => {
  it('is its limit before anything has left', () => {
    assert.equal(expectedPace(measured(0, 0), atAnyTime(limit)), limit);
  });

  it('is its limit after a first burst, and after a first pause', () => {
    assert.equal(expectedPace(measured(50 * limit, 0.02), atAnyTime(limit)), limit);
    const paused = expectedPace(measured(limit / 100, 0.02), atAnyTime(limit));
    assert.ok(paused > 0.95 * limit && paused < limit, `${paused}`);
  });

  it('is what was measured where the way itself is slower than the limit', () => {
    assert.equal(expectedPace(measured(limit / 4, 1), atAnyTime(limit)), limit / 4);
    const soon = expectedPace(measured(limit / 4, 0.5), atAnyTime(limit));
    assert.equal(soon, (limit * 5) / 8, 'half of each, halfway');
  });

  it('is what was measured where there is no limit', () => {
    assert.equal(expectedPace(measured(700, 0.1), atAnyTime(undefined)), 700);
    assert.equal(expectedPace(measured(0, 0), atAnyTime(undefined)), 0);
  });

  it('follows the limit of another hour when it is held by its own', () => {
    const held = measured(0.9 * limit, 1);
    assert.equal(expectedPace(held, { now: limit, later: 3 * limit }), 2.7 * limit);
    const slow = measured(0.5 * limit, 1);
    assert.equal(expectedPace(slow, { now: limit, later: 3 * limit }), 0.5 * limit);
    assert.equal(expectedPace(slow, { now: limit, later: limit / 10 }), limit / 10);
    assert.equal(expectedPace(held, { now: limit, later: undefined }), 0.9 * limit, 'at least');
  });

  it('is never beyond the limit, nor below what was measured within it', () => {
    const pace = fc.record({
      bytesPerSecond: fc.nat(),
      trust: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(pace, fc.integer({ min: 1024 }), (watched, bytesPerSecond) => {
        const expected = expectedPace(watched, atAnyTime(bytesPerSecond));
        assert.ok(expected <= bytesPerSecond * 1.000001);
        assert.ok(expected >= Math.min(watched.bytesPerSecond, bytesPerSecond) * 0.999999);
      }),
    );
  });
});

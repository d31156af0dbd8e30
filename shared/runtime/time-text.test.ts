import assert from 'node:assert/strict';
import { toDayText, toTimeText } from './time-text.ts';

describe('a moment for reading', () => {
  const thenMs = Date.UTC(2026, 2, 14, 9, 26, 53);
  const cases: readonly [number, string, string][] = [
    [0, 'UTC', ''],
    [thenMs, 'UTC', '2026-03-14 09:26:53'],
    [thenMs, 'Asia/Tokyo', '2026-03-14 18:26:53'],
    [8.64e15 + 1, 'UTC', 'no date'],
    [Number.MAX_SAFE_INTEGER, 'UTC', 'no date'],
    [Number.NaN, 'UTC', 'no date'],
  ];
  for (const [timeMs, timeZone, expected] of cases) {
    it(`${timeMs} in ${timeZone}: ${expected || '(empty)'}`, () =>
      assert.equal(toTimeText(timeMs, timeZone), expected));
    const day = expected === 'no date' ? expected : expected.slice(0, 10);
    it(`the day of ${timeMs} in ${timeZone}: ${day || '(empty)'}`, () =>
      assert.equal(toDayText(timeMs, timeZone), day));
  }
});

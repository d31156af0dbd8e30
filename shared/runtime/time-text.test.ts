import assert from 'node:assert/strict';
import { toDayText, toTimeText } from './time-text.ts';

describe('a moment for reading', () => {
  const thenMs = Date.UTC(2026, 2, 14, 9, 26, 53);
  const cases: readonly [number, string, string][] = [
    [0, 'UTC', ''],
    [thenMs, 'UTC', '2026-03-14 09:26:53'],
    [thenMs, 'Asia/Tokyo', '2026-03-14 18:26:53'],
  ];
  for (const [timeMs, timeZone, expected] of cases) {
    it(expected || '(empty)', () => assert.equal(toTimeText(timeMs, timeZone), expected));
    const day = expected.slice(0, 10);
    it(`of the day ${day || '(empty)'}`, () => assert.equal(toDayText(timeMs, timeZone), day));
  }
});

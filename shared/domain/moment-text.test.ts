import assert from 'node:assert/strict';
import { toMomentText } from './moment-text.ts';

describe('text of a moment', () => {
  for (const [timeMs, text] of [
    [Date.UTC(2026, 10, 26, 12, 30), '2026-11-26 12:30:00 UTC'],
    [Date.UTC(2026, 10, 26, 12, 30, 1, 999), '2026-11-26 12:30:01 UTC'],
    [0, '1970-01-01 00:00:00 UTC'],
    [8.64e15, '+275760-09-13 00:00:00 UTC'],
    [8.64e15 + 1, 'no date'],
    [Number.NaN, 'no date'],
    [Number.POSITIVE_INFINITY, 'no date'],
  ] as const) {
    it(`of ${timeMs} is "${text}"`, () => assert.equal(toMomentText(timeMs), text));
  }
});

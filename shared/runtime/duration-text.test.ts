import assert from 'node:assert/strict';
import { toDurationText } from './duration-text.ts';

describe('a length of time', () => {
  const cases: readonly (readonly [ms: number, text: string])[] = [
    [-5, '0 ms'],
    [40, '40 ms'],
    [24_400, '24 s'],
    [119_600, '2 min'],
    [7_500_000, '2 h 5 min'],
    [86_400_000, '1 d'],
    [100 * 3_600_000, '4 d 4 h'],
  ];
  for (const [ms, text] of cases) {
    it(`of ${ms} ms is "${text}"`, () => assert.equal(toDurationText(ms), text));
  }
});

import assert from 'node:assert/strict';
import { fairAmounts } from './fair-amounts.ts';

describe('fair amounts', () => {
  const cases: [wants: Record<string, number>, total: number, amounts: Record<string, number>][] = [
    [{}, 10, {}],
    [{ a: 3, b: 4 }, 10, { a: 3, b: 4 }],
    [{ a: 100, b: 100, c: 2 }, 12, { a: 5, b: 5, c: 2 }],
    [{ a: 100, b: 4, c: 4 }, 12, { a: 4, b: 4, c: 4 }],
    [{ a: 9, b: 9, c: 9 }, 11, { a: 3, b: 4, c: 4 }],
    [{ a: 9, b: 9 }, 0, { a: 0, b: 0 }],
  ];
  for (const [wants, total, amounts] of cases) {
    it(`of ${total} for ${JSON.stringify(wants)}`, () => {
      const given = fairAmounts(new Map(Object.entries(wants)), total);
      assert.deepEqual(Object.fromEntries(given), amounts);
    });
  }
});

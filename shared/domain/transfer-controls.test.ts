import assert from 'node:assert/strict';
import { prioritiesOpenTo, type WindowLevel } from './transfer-controls.ts';

const week = (level: WindowLevel, once: WindowLevel = level) =>
  Array.from({ length: 168 }, (_, hour) => (hour === 37 ? once : level));

describe('priorities that a schedule opens to (PTM-5)', () => {
  for (const [hours, priorities] of [
    [week('closed'), []],
    [week('closed', 'high-only'), [1]],
    [week('high-only', 'medium-and-high'), [1, 2]],
    [week('closed', 'open'), [1, 2, 3]],
  ] as const) {
    const levels = [...new Set(hours)].join(' and ');
    it(`are ${priorities.join(', ') || 'none'} of ${levels}`, () =>
      assert.deepEqual(prioritiesOpenTo({ hours }), priorities));
  }
});

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { retryDelayMs } from './retry-schedule.ts';

describe('retryDelayMs', () => {
  const limits = { firstMs: 1_000, capMs: 1_800_000 };

  it('doubles up to the cap', () => {
    const delays = [1, 2, 3, 11, 12, 100, 5_000].map((tryCount) =>
      retryDelayMs({ ...limits, tryCount, random: () => 1 }),
    );
    assert.deepEqual(delays, [1_000, 2_000, 4_000, 1_024_000, 1_800_000, 1_800_000, 1_800_000]);
  });

  it('takes off up to a half, by chance', () => {
    fc.assert(
      fc.property(fc.nat(2_000), fc.double({ min: 0, max: 1, noNaN: true }), (tryCount, chance) => {
        const delay = (random: number) =>
          retryDelayMs({ ...limits, tryCount, random: () => random });
        assert(delay(0) <= delay(chance) && delay(chance) <= delay(1));
        assert.equal(delay(0), delay(1) / 2);
      }),
    );
  });
});

import assert from 'node:assert/strict';
import { unmeasured, withMeasuredRate } from './distribution-point-health.ts';

const mb = 1_000_000;

describe('what was measured of a DP (PTM-3)', () => {
  it('moves its priority by a part of the way with each transfer, until it is there', () => {
    let health = unmeasured('PS1DP1');
    const seen: number[] = [];
    for (let count = 0; count < 12; count++) {
      health = withMeasuredRate(health, { bytesPerSecond: 100 * mb, isLimited: false });
      seen.push(health.dpPriority);
    }
    assert.deepEqual(seen.slice(0, 3), [185, 175, 168]);
    assert.ok(Math.abs((seen.at(-1) ?? 0) - 150) <= 2, `${seen}`);
  });

  it('does not jump for one transfer, however quick or slow', () => {
    const settled = { ...unmeasured('A'), measuredBytesPerSecond: 10 * mb, dpPriority: 200 };
    for (const bytesPerSecond of [1, 1e12]) {
      const { dpPriority } = withMeasuredRate(settled, { bytesPerSecond, isLimited: false });
      assert.ok(Math.abs(dpPriority - 200) <= 60, `${bytesPerSecond}: ${dpPriority}`);
    }
  });

  it('knows nothing more from a limit, but that a DP takes as much', () => {
    const limited = { bytesPerSecond: mb, isLimited: true };
    const fresh = unmeasured('A');
    assert.equal(withMeasuredRate(fresh, limited), fresh);
    const slower = { ...fresh, measuredBytesPerSecond: mb / 10, dpPriority: 300 };
    assert.ok(withMeasuredRate(slower, limited).dpPriority < 300);
    const quicker = { ...fresh, measuredBytesPerSecond: 2 * mb };
    assert.equal(withMeasuredRate(quicker, limited), quicker);
  });
});

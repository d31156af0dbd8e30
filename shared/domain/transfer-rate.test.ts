import assert from 'node:assert/strict';
import fc from 'fast-check';
import { TransferRate } from './transfer-rate.ts';

describe('transfer rate', () => {
  it('is unknown before anything arrived', () => {
    const rate = new TransferRate(0);
    assert.equal(rate.bytesPerSecond(0), 0);
    assert.deepEqual(rate.pace(10), { bytesPerSecond: 0, trust: 0 });
  });

  it('is the rate of a steady transfer, trusted more from its first bytes on', () => {
    const rate = new TransferRate(0);
    for (let nowMs = 100; nowMs <= 10_000; nowMs += 100) rate.add(1_000, nowMs);
    assert.equal(rate.bytesPerSecond(10_000), 10_000);
    assert.deepEqual(rate.pace(10_000), { bytesPerSecond: 10_000, trust: 0.99 });
  });

  it('follows a change by half in two seconds', () => {
    const rate = new TransferRate(0);
    rate.add(10_000, 1_000);
    for (let nowMs = 1_200; nowMs <= 3_000; nowMs += 200) rate.add(6_000, nowMs);
    const halfway = 10_000 + (30_000 - 10_000) / 2;
    assert.ok(Math.abs(rate.bytesPerSecond(3_000) - halfway) < 100);
  });

  it('follows slowly, and is trusted late, where it is heard of in large steps', () => {
    const rate = new TransferRate(0, 10_000);
    for (const atMs of [4_000, 8_000]) rate.add(4_000_000, atMs);
    assert.deepEqual(rate.pace(8_000), { bytesPerSecond: 1_000_000, trust: 0.08 });
    assert.ok(rate.bytesPerSecond(12_000) > 750_000, 'before the next step');
    assert.equal(rate.pace(54_000).trust, 1);
  });

  it('falls while nothing arrives', () => {
    const rate = new TransferRate(0);
    rate.add(10_000, 1_000);
    assert.equal(rate.bytesPerSecond(1_100), 10_000);
    assert.equal(rate.bytesPerSecond(3_000), 5_000);
    assert.ok(rate.bytesPerSecond(60_000) < 1);
    assert.equal(rate.pace(600_000).bytesPerSecond, 0);
  });

  it('stays between the slowest and the quickest moment', () => {
    const samples = fc.array(
      fc.record({ bytes: fc.nat(1_000_000), ms: fc.integer({ min: 200, max: 5_000 }) }),
      { minLength: 1 },
    );
    fc.assert(
      fc.property(samples, (steps) => {
        const rate = new TransferRate(0);
        let nowMs = 0;
        for (const { bytes, ms } of steps) {
          nowMs += ms;
          rate.add(bytes, nowMs);
        }
        const rates = steps.map(({ bytes, ms }) => (bytes * 1000) / ms);
        const value = rate.bytesPerSecond(nowMs);
        assert.ok(
          value >= Math.floor(Math.min(...rates)) && value <= Math.ceil(Math.max(...rates)),
        );
      }),
    );
  });
});

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { TransferRate } from './transfer-rate.ts';

describe('transfer rate', () => {
  it('is unknown before anything arrived', () => {
    const rate = new TransferRate(0);
    assert.equal(rate.bytesPerSecond(0), 0);
    assert.equal(rate.etaMs(1_000, 10), 0);
  });

  it('is the rate of a steady transfer, and says when it ends', () => {
    const rate = new TransferRate(0);
    for (let nowMs = 100; nowMs <= 10_000; nowMs += 100) rate.add(1_000, nowMs);
    assert.equal(rate.bytesPerSecond(10_000), 10_000);
    assert.equal(rate.etaMs(5_000, 10_000), 500);
  });

  it('follows a change by half in two seconds', () => {
    const rate = new TransferRate(0);
    rate.add(10_000, 1_000);
    for (let nowMs = 1_200; nowMs <= 3_000; nowMs += 200) rate.add(6_000, nowMs);
    const halfway = 10_000 + (30_000 - 10_000) / 2;
    assert.ok(Math.abs(rate.bytesPerSecond(3_000) - halfway) < 100);
  });

  it('falls while nothing arrives', () => {
    const rate = new TransferRate(0);
    rate.add(10_000, 1_000);
    assert.equal(rate.bytesPerSecond(1_100), 10_000);
    assert.equal(rate.bytesPerSecond(3_000), 5_000);
    assert.ok(rate.bytesPerSecond(60_000) < 1);
    assert.equal(rate.etaMs(1_000, 600_000), 0);
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

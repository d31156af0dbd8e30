import assert from 'node:assert/strict';
import fc from 'fast-check';
import { percentOf, RateMeter, toProgressBar, toTenths } from './progress.ts';

const paint = (_tone: string, text: string) => text;
const progressOf = (doneBytes: number, totalBytes: number) => ({
  doneBytes,
  totalBytes,
  bytesPerSecond: 0,
  etaMs: 0,
});

describe('progress', () => {
  it('is 100 percent only when all is done', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (a, b) => {
        const [done, total] = [Math.min(a, b), Math.max(a, b)];
        fc.pre(done < total);
        const percent = percentOf(progressOf(done, total));
        assert.ok(percent >= 0 && percent <= 99);
      }),
    );
    assert.equal(percentOf(progressOf(5, 5)), 100);
  });

  it('leaves out what is not known', () => {
    assert.equal(
      toProgressBar(progressOf(512, 1024), { width: 4, paint }),
      '██░░  50 %  512 B of 1.00 KiB',
    );
    assert.equal(toTenths(progressOf(519, 1024)), '50 %');
  });

  it('of nothing to send is no progress', () => {
    assert.equal(
      toProgressBar(progressOf(0, 0), { width: 4, paint }),
      'at work, with nothing to send',
    );
    assert.equal(toTenths(progressOf(0, 0)), '');
  });
});

describe('a rate meter', () => {
  it('needs two measurements; then follows the rate smoothly', () => {
    const meter = new RateMeter();
    meter.measure(0, 0);
    assert.equal(meter.bytesPerSecond, 0);
    meter.measure(1_000, 1_000);
    assert.equal(meter.bytesPerSecond, 1_000);
    meter.measure(3_000, 2_000);
    assert.equal(meter.bytesPerSecond, 1_300);
  });

  it('says nothing of measurements that are close together, nor of a counter that began anew', () => {
    const meter = new RateMeter();
    meter.measure(0, 0);
    meter.measure(1_000, 10);
    assert.equal(meter.bytesPerSecond, 0);
    meter.measure(1_000, 1_000);
    meter.measure(0, 2_000);
    assert.equal(meter.bytesPerSecond, 1_000);
    meter.measure(1_000, 3_000);
    assert.equal(meter.bytesPerSecond, 1_000);
  });
});

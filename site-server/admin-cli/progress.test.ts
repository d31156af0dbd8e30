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
      toProgressBar(progressOf(512, 1024), { room: 80, barWidthMax: 10, paint }),
      '█████░░░░░  50 %  512 B of 1 KiB',
    );
    assert.equal(toTenths(progressOf(519, 1024)), '50 %');
  });

  it('of nothing to send is no progress', () => {
    assert.equal(toTenths(progressOf(0, 0)), '');
  });

  it('leaves out what has no room, whole', () => {
    const known = { doneBytes: 512, totalBytes: 1024, bytesPerSecond: 512, etaMs: 936 };
    const barFor = (room: number) => toProgressBar(known, { room, barWidthMax: 20, paint });
    assert.equal(barFor(60), '█████░░░░░  50 %  512 B of 1 KiB  512 B/s  ETA <1 s');
    assert.equal(barFor(47), '████░░░░  50 %  512 B of 1 KiB  512 B/s');
    assert.equal(barFor(32), '████░░░░  50 %  512 B of 1 KiB');
    assert.equal(barFor(20), '████░░░░  50 %');
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

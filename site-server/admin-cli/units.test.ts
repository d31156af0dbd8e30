import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toExactRateText } from './rate-text.ts';
import { toAgeText, toByteText, toCountOf, toRateText, toWaitText } from './units.ts';

describe('units', () => {
  const cases: readonly [string, string][] = [
    [toByteText(0), '0 B'],
    [toByteText(1023), '1023 B'],
    [toByteText(1024), '1 KiB'],
    [toByteText(1536 * 1024), '1.5 MiB'],
    [toByteText(1024 ** 2 - 1), '1 MiB'],
    [toByteText(27.34 * 1024 ** 3), '27.3 GiB'],
    [toByteText(Number.MAX_SAFE_INTEGER), '8 PiB'],
    [toRateText(512), '512 B/s'],
    [toRateText(45_200_000), '45.2 MB/s'],
    [toRateText(999_600), '1 MB/s'],
    [toWaitText(936), '<1 s'],
    [toWaitText(24_400), '24 s'],
    [toAgeText(0, 5), 'never'],
    [toAgeText(10_000, 10_500), 'just now'],
    [toAgeText(10_000, 9_000), 'just now'],
    [toAgeText(10_000, 190_000), '3 min ago'],
    [toCountOf(1, 'file'), '1 file'],
    [toCountOf(12_345, 'file'), '12,345 files'],
  ];
  for (const [actual, expected] of cases)
    it(expected || '(empty)', () => assert.equal(actual, expected));

  it('writes every number of bytes with at most four digits', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        assert.match(toByteText(bytes), /^(\d{1,4}|\d\.\d?[1-9]|\d\d\.[1-9]) [KMGTPE]?i?B$/);
        assert.match(toRateText(bytes), /^(\d{1,3}|\d\.\d?[1-9]|\d\d\.[1-9]) [kMGTPE]?B\/s$/);
      }),
    );
  });

  it('writes a rate that is measured as one that is set, where three digits say it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 999 }), fc.integer({ min: 0, max: 9 }), (n, power) => {
        const rate = n * 10 ** power;
        // What is no whole number of thousands may be set in KiB/s.
        if (rate < 1000 || rate % 1000 === 0) assert.equal(toRateText(rate), toExactRateText(rate));
      }),
    );
    assert.equal(toRateText(5_000_000), '5 MB/s');
  });
});

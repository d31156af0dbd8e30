import assert from 'node:assert/strict';
import { HourOfWeek, isTimeZone, nextQuarterMs } from './hour-of-week.ts';

const hourMs = 3_600_000;

describe('HourOfWeek (PTM-5)', () => {
  it('counts from Monday 00:00 of its time zone', () => {
    const monday = Date.UTC(2026, 2, 16);
    assert.equal(new HourOfWeek('UTC').at(monday), 0);
    assert.equal(new HourOfWeek('UTC').at(monday - 1), 167);
    assert.equal(new HourOfWeek('Asia/Kolkata').at(monday), 5, 'half past five there');
    assert.equal(new HourOfWeek('America/New_York').at(monday), 6 * 24 + 20);
  });

  // The local hours around a change of the clocks, one for each hour that passes.
  const changes: readonly (readonly [string, string, number, readonly number[]])[] = [
    ['Europe/Madrid', 'forward', Date.UTC(2026, 2, 29, 0), [1, 3, 4]],
    ['Europe/Madrid', 'back', Date.UTC(2026, 9, 25, 0), [2, 2, 3]],
    ['America/New_York', 'forward', Date.UTC(2026, 2, 8, 6), [1, 3, 4]],
    ['America/New_York', 'back', Date.UTC(2026, 10, 1, 5), [1, 1, 2]],
  ];
  for (const [timeZone, direction, startMs, hours] of changes) {
    it(`follows the clocks of ${timeZone} ${direction}`, () => {
      const hourOfWeek = new HourOfWeek(timeZone);
      const found = hours.map((_, index) => hourOfWeek.at(startMs + index * hourMs) % 24);
      assert.deepEqual(found, hours);
      assert.equal(hourOfWeek.at(startMs + hourMs - 1) % 24, hours[0], 'until the hour is over');
    });
  }

  it('is asked again at full quarters', () => {
    const quarter = Date.UTC(2026, 0, 1, 10, 15);
    assert.equal(nextQuarterMs(quarter), quarter + 15 * 60_000);
    assert.equal(nextQuarterMs(quarter - 1), quarter);
  });

  describe('what it remembers', () => {
    const { formatToParts } = Intl.DateTimeFormat.prototype;
    let lookedUpCount = 0;
    before(() => {
      Intl.DateTimeFormat.prototype.formatToParts = function (...given) {
        lookedUpCount += 1;
        return formatToParts.apply(this, given);
      };
    });
    after(() => {
      Intl.DateTimeFormat.prototype.formatToParts = formatToParts;
    });
    beforeEach(() => {
      lookedUpCount = 0;
    });
    const [noonMs, laterMs] = [Date.UTC(2031, 5, 1, 12), Date.UTC(2031, 5, 1, 13)];

    it('is the same for all spellings of a time zone', () => {
      for (const timeZone of ['Europe/Lisbon', 'EUROPE/LISBON', 'europe/lisbon']) {
        assert.equal(new HourOfWeek(timeZone).at(noonMs), 6 * 24 + 13);
      }
      assert.equal(lookedUpCount, 1);
    });

    it('is forgotten after 64 other time zones, by those who have asked for it too', () => {
      const hourOfWeek = new HourOfWeek('Europe/Oslo');
      const hours = [hourOfWeek.at(noonMs), hourOfWeek.at(laterMs)];
      const others = Intl.supportedValuesOf('timeZone').filter((name) => name !== 'Europe/Oslo');
      for (const name of others.slice(0, 64)) new HourOfWeek(name).at(noonMs);
      lookedUpCount = 0;
      assert.deepEqual([hourOfWeek.at(noonMs), hourOfWeek.at(laterMs)], hours);
      assert.equal(lookedUpCount, 2);
    });
  });

  it('knows which time zones there are', () => {
    assert.equal(isTimeZone('Europe/Madrid'), true);
    assert.equal(isTimeZone('Europe/Atlantis'), false);
  });
});

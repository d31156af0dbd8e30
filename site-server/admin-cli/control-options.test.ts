import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  bytesPerSecondMax,
  bytesPerSecondMin,
  hoursOfWeek,
  windowLevels,
} from '../../shared/domain/transfer-controls.ts';
import { UsageError } from './command-failure.ts';
import { levelValue, parseLimit, parseSchedule, rateValue } from './control-options.ts';
import { toLimitText, toScheduleText } from './control-view.ts';
import { toWeekRulesText } from './week-rules.ts';

const scheduleOf = (text: string) => parseSchedule(text, '--schedule');
const limitOf = (text: string) => parseLimit(text, '--limit');
const levelAt = (text: string, day: number, hour: number) => scheduleOf(text)[day * 24 + hour];

describe('a schedule on the command line (PTM-5, ADM-3)', () => {
  it('says what an administrator would say', () => {
    const text = 'mon-fri 08-18 closed, sat-sun open, else high-only';
    assert.equal(scheduleOf(text).length, hoursOfWeek);
    assert.equal(levelAt(text, 0, 7), 'high-only');
    assert.equal(levelAt(text, 0, 8), 'closed');
    assert.equal(levelAt(text, 4, 17), 'closed');
    assert.equal(levelAt(text, 4, 18), 'high-only');
    assert.equal(levelAt(text, 5, 0), 'open');
    assert.equal(levelAt(text, 6, 23), 'open');
  });

  it('goes on into the next day, and over the end of the week', () => {
    const nightly = '22-06 open, else closed';
    assert.deepEqual(
      [21, 22, 23].map((hour) => levelAt(nightly, 6, hour)),
      ['closed', 'open', 'open'],
    );
    assert.deepEqual([levelAt(nightly, 0, 5), levelAt(nightly, 0, 6)], ['open', 'closed']);
    const sunday = 'sun 22-06 open, else closed';
    assert.equal(levelAt(sunday, 0, 5), 'open');
    assert.equal(levelAt(sunday, 1, 5), 'closed');
    const weekend = 'fri-mon closed, else open';
    assert.deepEqual(
      [0, 1, 3, 4, 6].map((day) => levelAt(weekend, day, 12)),
      ['closed', 'open', 'open', 'closed', 'closed'],
    );
  });

  it('takes several days and hours in one rule, and long names', () => {
    const text = 'mon, wed Friday 8-12 14:00-18:00 closed, else open';
    assert.deepEqual(
      [8, 11, 12, 13, 14, 17, 18].map((hour) => levelAt(text, 2, hour)),
      ['closed', 'closed', 'open', 'open', 'closed', 'closed', 'open'],
    );
    assert.equal(levelAt(text, 1, 9), 'open');
  });

  it('is one word for a whole week, or none', () => {
    assert.deepEqual(new Set(scheduleOf('closed')), new Set(['closed']));
    assert.equal(scheduleOf('none'), 'none');
    assert.equal(scheduleOf('open'), 'none');
  });

  for (const [text, expected] of [
    ['', /--schedule: expected a rule between two commas/],
    ['mon-fri 08-18 closed,, else open', /a rule between two commas/],
    [
      'mon-fri 08-18 shut, else open',
      /open, medium-and-high, high-only or closed, such as "mon-fri/,
    ],
    ['mno-fri 08-18 closed, else open', /\[DAYS\] \[HOURS\].*got "mno-fri 08-18 closed"/],
    ['mon-fri, else open', /high-only or closed.*got "mon-fri else open"/],
    ['mon 08-25 closed, else open', /full hours from 00 to 24.*got "08-25"/],
    ['mon 08:30-18 closed, else open', /full hours.*got "08:30-18"/],
    ['mon 08-08 closed, else open', /full hours.*got "08-08"/],
    ['mon 24-08 closed, else open', /full hours.*got "24-08"/],
    [
      'mon closed',
      /in the other 144 hours of the week, got "mon closed"\. Say it at the end: ", else open, medium/,
    ],
    [
      'mon 08-18 closed, mon 17-20 open, else open',
      /overlap, got "mon 08-18 closed" and "mon 17-20 open" for mon 17/,
    ],
    ['sun 22-06 open, mon open, else closed', /overlap.* for mon 00/],
    ['mon 08-12 10-14 closed, else open', /overlap/],
    ['mon-sun open, else closed', /no "else" after rules that say all/],
    ['else open, mon closed', /"else" at the end/],
    ['mon closed, else open, else closed', /one "else", at the end/],
    ['mon closed, else', /high-only or closed.*got "else"/],
  ] as const) {
    it(`refuses "${text}" with what was expected`, () => {
      assert.throws(() => scheduleOf(text), expected);
      assert.throws(() => scheduleOf(text), UsageError);
    });
  }

  it('is written so that it reads the same (property)', () => {
    const week = fc.oneof(
      fc.array(fc.constantFrom(...windowLevels), { minLength: 168, maxLength: 168 }),
      // As weeks are: a few kinds of days.
      fc
        .tuple(
          fc.array(fc.array(fc.constantFrom(...windowLevels), { minLength: 24, maxLength: 24 }), {
            minLength: 1,
            maxLength: 3,
          }),
          fc.array(fc.nat({ max: 2 }), { minLength: 7, maxLength: 7 }),
        )
        .map(([kinds, days]) => days.flatMap((kind) => kinds[kind % kinds.length] ?? [])),
    );
    fc.assert(
      fc.property(week, (hours) => {
        const read = scheduleOf(toWeekRulesText(hours, levelValue));
        const isOpen = hours.every((level) => level === 'open');
        assert.deepEqual(read, isOpen ? 'none' : hours);
      }),
    );
  });

  it('is written short', () => {
    const text = 'mon-fri 08-18 closed, sat-sun open, else high-only';
    const hours = scheduleOf(text);
    assert.ok(hours !== 'none');
    assert.equal(toScheduleText({ schedule: { timeZone: 'UTC', hours }, limit: null }), text);
  });
});

describe('a limit on the command line (PTM-6, ADM-3)', () => {
  for (const [text, bytesPerSecond] of [
    ['10MB/s', 10_000_000],
    ['10 MB/s', 10_000_000],
    ['1.5MiB/s', 1_572_864],
    ['80Mbit/s', 10_000_000],
    ['2048 B/s', 2048],
    ['64kbit/s', 8000],
    ['1TB/s', 1e12],
    ['else 2MB/s', 2_000_000],
  ] as const) {
    it(`reads "${text}"`, () => assert.deepEqual(limitOf(text), { kind: 'rate', bytesPerSecond }));
  }

  it('reads pulses, rates by hour, and none', () => {
    const pulse = { kind: 'pulse', blockBytes: 1_048_576, delayMs: 500 };
    assert.deepEqual(limitOf('pulse:1MiB/500ms'), pulse);
    assert.deepEqual(limitOf('pulse: 1 MiB / 500 ms'), pulse);
    const slow = { kind: 'pulse', blockBytes: 8000, delayMs: 1000 };
    assert.deepEqual(limitOf('pulse:8kB/1s'), slow);
    const hourly = limitOf('mon-fri 08-18 2 MB/s, else none');
    assert.ok(hourly !== 'none' && hourly.kind === 'hourly');
    assert.deepEqual(
      [hourly.bytesPerSecond[7], hourly.bytesPerSecond[8], hourly.bytesPerSecond[6 * 24]],
      [0, 2_000_000, 0],
    );
    assert.equal(limitOf('none'), 'none');
    assert.equal(limitOf('else none'), 'none');
  });

  for (const [text, expected] of [
    ['fast', /--limit: expected a rate such as 10MB\/s.*got "fast"/],
    ['10MB', /a rate such as 10MB\/s/],
    ['10Mb/s', /a rate such as/],
    ['-1MB/s', /a rate such as/],
    ['1000B/s', /a rate of 1 KiB\/s to 1 TB\/s, got "1000B\/s"/],
    ['2TB/s', /a rate of 1 KiB\/s to 1 TB\/s/],
    ['0B/s', /to 1 TB\/s, got "0B\/s"\. --schedule says when nothing is to travel/],
    ['mon 08-18 0kB/s, else none', /a rate such as 2MB\/s, or none.*got "mon 08-18 0kB\/s"/],
    ['mon 100B/s, else none', /a rate of .*got "100 B\/s"/],
    ['mon-fri 08-18 quick, else none', /a rate such as 2MB\/s, or none.*got "mon-fri 08-18 quick"/],
    ['pulse:1MiB', /pulse:BLOCK\/PAUSE such as pulse:1MiB\/500ms/],
    ['pulse:1KiB/10ms', /a block of 4 KiB to 1 GiB, got "1KiB"/],
    ['pulse:2GiB/10ms', /a block of/],
    ['pulse:1MiB/0ms', /a pause of 1ms to 60s/],
    ['pulse:1MiB/61s', /a pause of 1ms to 60s, got "61s"/],
  ] as const) {
    it(`refuses "${text}" with what was expected`, () =>
      assert.throws(() => limitOf(text), expected));
  }

  it('is written so that it reads the same (property)', () => {
    const rate = fc.oneof(
      fc.integer({ min: bytesPerSecondMin, max: bytesPerSecondMax }),
      fc.integer({ min: 2, max: 1_000_000 }).map((kilo) => kilo * 1000),
      fc.integer({ min: 1, max: 1_000_000 }).map((kibi) => kibi * 1024),
    );
    fc.assert(
      fc.property(rate, (bytesPerSecond) => {
        const limit = { kind: 'rate', bytesPerSecond } as const;
        assert.deepEqual(limitOf(toLimitText({ schedule: null, limit })), limit);
      }),
    );
    const week = fc.array(fc.oneof(fc.constant(0), rate), { minLength: 168, maxLength: 168 });
    fc.assert(
      fc.property(week, (bytesPerSecond) => {
        const read = limitOf(toWeekRulesText(bytesPerSecond, rateValue));
        assert.deepEqual(read, { kind: 'hourly', bytesPerSecond });
      }),
      { numRuns: 20 },
    );
    const pulse = fc.record({
      kind: fc.constant('pulse' as const),
      blockBytes: fc.integer({ min: 4096, max: 2 ** 30 }),
      delayMs: fc.integer({ min: 1, max: 60_000 }),
    });
    fc.assert(
      fc.property(pulse, (pulses) => {
        const limit = { ...pulses };
        assert.deepEqual(limitOf(toLimitText({ schedule: null, limit })), limit);
      }),
    );
  });

  it('never accepts what the site would refuse, whatever is typed (property)', () => {
    const words = fc.constantFrom(
      ...['mon', 'fri-mon', '08-18', '22-06', '1MB/s', '5 kB/s', '9Gbit/s', 'none', 'else', ','],
      ...['pulse:1MiB/1s', '0B/s', '99-01', 'x'],
    );
    fc.assert(
      fc.property(fc.array(words, { maxLength: 8 }), (all) => {
        let limit: ReturnType<typeof limitOf>;
        try {
          limit = limitOf(all.join(' '));
        } catch (error) {
          assert.ok(error instanceof UsageError, String(error));
          return;
        }
        if (limit === 'none' || limit.kind === 'pulse') return;
        const rates = limit.kind === 'rate' ? [limit.bytesPerSecond] : limit.bytesPerSecond;
        assert.ok(rates.length === 1 || rates.length === hoursOfWeek);
        for (const rate of rates) {
          const isIn = rate >= bytesPerSecondMin && rate <= bytesPerSecondMax;
          assert.ok(isIn || (rate === 0 && limit.kind === 'hourly'));
        }
      }),
    );
  });
});

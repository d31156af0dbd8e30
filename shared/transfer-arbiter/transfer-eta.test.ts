import assert from 'node:assert/strict';
import { hoursOfWeek, type TransferControls } from '../domain/transfer-controls.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { Passage } from './passage.ts';
import { TransferArbiter } from './transfer-arbiter.ts';
import { remainingMs, type TransferToEnd } from './transfer-eta.ts';

/** A Monday, 00:00 in Greenwich. */
const mondayMs = Date.UTC(2024, 0, 1);
const hourMs = 3_600_000;
const mb = 1_000_000;
const nothingYet = { bytesPerSecond: 0, trust: 0 };

function way(controls: TransferControls, sharerCount = 1) {
  const passage = new Passage('dp/A');
  passage.controls = controls;
  return { passage, sharerCount };
}

function toEnd(facts: Partial<TransferToEnd>): number | undefined {
  const whole = { priority: 2, ignoresSchedules: false, remainingBytes: 100 * mb } as const;
  return remainingMs({ ...whole, ways: [], measured: nothingYet, ...facts }, mondayMs);
}

const rate = (bytesPerSecond: number): TransferControls => {
  return { limit: { kind: 'rate', bytesPerSecond } };
};
const byHour = (of: (hour: number) => number): TransferControls => {
  const bytesPerSecond = Array.from({ length: hoursOfWeek }, (_, hour) => of(hour));
  return { limit: { kind: 'hourly', timeZone: 'UTC', bytesPerSecond } };
};
const openIn = (isOpen: (hour: number) => boolean): TransferControls => {
  const hours = Array.from({ length: hoursOfWeek }, (_, hour) =>
    isOpen(hour) ? 'open' : 'closed',
  );
  return { schedule: { timeZone: 'UTC', hours: hours as ('open' | 'closed')[] } };
};

describe('time left of a running transfer (PTM-5, PTM-6)', () => {
  it('is that of the tightest limit from the first moment, whatever left in a burst', () => {
    const ways = [way(rate(5 * mb)), way(rate(2 * mb))];
    assert.equal(toEnd({ ways }), 50_000);
    assert.equal(toEnd({ ways, measured: { bytesPerSecond: 80 * mb, trust: 0.02 } }), 50_000);
  });

  it('counts the pauses of pulses', () => {
    const limit = { kind: 'pulse', blockBytes: mb, delayMs: 500 } as const;
    assert.equal(toEnd({ ways: [way({ limit })] }), 50_000);
  });

  it('counts only its share of a limit', () => {
    assert.equal(toEnd({ ways: [way(rate(4 * mb), 4)] }), 100_000);
  });

  it('follows a limit that differs by the hour', () => {
    const ways = [way(byHour((hour) => (hour === 0 ? mb : 2 * mb)))];
    assert.equal(toEnd({ ways, remainingBytes: 3_600 * mb + 100 * mb }), hourMs + 50_000);
  });

  it('stands still while its window is closed, unless it is let run', () => {
    const ways = [way({ ...openIn((hour) => hour !== 1), ...rate(mb) })];
    const remainingBytes = 3_600 * mb + 100 * mb;
    assert.equal(toEnd({ ways, remainingBytes }), 2 * hourMs + 100_000);
    assert.equal(toEnd({ ways, remainingBytes, ignoresSchedules: true }), hourMs + 100_000);
  });

  it('is none where nothing remains, whatever the window', () => {
    assert.equal(toEnd({ ways: [way(openIn(() => false))], remainingBytes: 0 }), 0);
  });

  it('is unknown where nothing says it, and beyond a week', () => {
    assert.equal(toEnd({ ways: [way({})] }), undefined);
    assert.equal(toEnd({ ways: [way({ ...openIn(() => false), ...rate(mb) })] }), undefined);
    assert.equal(toEnd({ ways: [way(openIn((hour) => hour > 1))] }), undefined);
  });

  it('asks the system once for each local hour, however many transfers there are', () => {
    const { formatToParts } = Intl.DateTimeFormat.prototype;
    let askedCount = 0;
    Intl.DateTimeFormat.prototype.formatToParts = function (date) {
      askedCount += 1;
      return formatToParts.call(this, date);
    };
    try {
      const hours = openIn((hour) => hour === 100).schedule?.hours ?? [];
      for (let count = 0; count < 100; count++) {
        const controls = { schedule: { timeZone: 'Asia/Kathmandu', hours }, ...rate(mb) };
        assert.ok((toEnd({ ways: [way(controls)] }) ?? 0) > 24 * hourMs);
      }
      const weekCount = 7 * 24 * 4;
      assert.ok(askedCount <= weekCount, `${askedCount} times`);
      askedCount = 0;
      const stuck = { bytesPerSecond: 0, trust: 1 };
      const controls = { schedule: { timeZone: 'Asia/Yangon', hours }, ...rate(mb) };
      assert.equal(toEnd({ ways: [way(controls)], measured: stuck }), undefined);
      assert.equal(askedCount, 0, 'what does not get on');
    } finally {
      Intl.DateTimeFormat.prototype.formatToParts = formatToParts;
    }
  });

  it('is asked of the arbiter, which knows who shares the way', () => {
    const clock = new FakeClock(mondayMs);
    const arbiter = new TransferArbiter(clock);
    arbiter.setControls('link/london', rate(2 * mb));
    const remaining = { remainingBytes: 100 * mb, measured: nothingYet };
    const etaMs = (priority: 1 | 2) => {
      const passageNames = ['dp/A', 'link/london'];
      return arbiter.etaMs({ passageNames, priority, ignoresSchedules: false }, remaining);
    };
    const permit = arbiter.open(['dp/A', 'link/london'], 2);
    assert.equal(etaMs(2), 50_000);
    const urgent = arbiter.open(['dp/B', 'link/london'], 1);
    assert.deepEqual([etaMs(2), etaMs(1)], [100_000, 50_000]);
    urgent.close();
    assert.equal(etaMs(2), 50_000);
    permit.close();
    arbiter.setControls('link/london', {});
    assert.equal(etaMs(2), 0);
  });
});

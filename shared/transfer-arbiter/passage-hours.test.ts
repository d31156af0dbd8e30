import assert from 'node:assert/strict';
import { hoursOfWeek, type WindowLevel } from '../domain/transfer-controls.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { PassageHours } from './passage-hours.ts';
import { TransferArbiter } from './transfer-arbiter.ts';

/** A Monday, 00:00 UTC. */
const mondayMs = Date.UTC(2024, 0, 1);
const hourMs = 3_600_000;

/** Open but for these hours of the week. */
function schedule(levels: Record<number, WindowLevel>) {
  const hours = Array.from({ length: hoursOfWeek }, (_, hour) => levels[hour] ?? 'open');
  return { schedule: { timeZone: 'UTC', hours } };
}

describe('PassageHours (PTM-5)', () => {
  let clock: FakeClock;
  let arbiter: TransferArbiter;
  let hours: PassageHours;
  let seen: string[];

  beforeEach(async () => {
    clock = new FakeClock(mondayMs);
    arbiter = new TransferArbiter(clock);
    hours = new PassageHours({ arbiter, clock }, 'in');
    seen = [];
    hours.onChanged(() => {
      seen.push([1, 2, 3].map((priority) => (hours.isOpen(priority as 1) ? 'o' : 'c')).join(''));
    });
    await hours.start();
  });

  afterEach(() => hours.stop());

  it('is always open without a schedule, and sleeps', async () => {
    arbiter.setControls('in', { limit: { kind: 'rate', bytesPerSecond: 1024 } });
    await clock.advance(10 * hourMs);
    assert.equal(hours.isOpen(3), true);
    assert.equal(clock.sleeperCount, 0);
    assert.deepEqual(seen, []);
  });

  it('tells of each edge of the schedule within a second, by priority', async () => {
    arbiter.setControls('in', schedule({ 1: 'medium-and-high', 2: 'high-only', 3: 'closed' }));
    assert.deepEqual(seen, ['ooo'], 'other hours');
    seen.length = 0;
    for (let hour = 1; hour <= 4; hour++) {
      await clock.advance(hour * hourMs - clock.monotonicMs() - 1);
      const before = seen.length;
      await clock.advance(1_000);
      assert.equal(seen.length, before + 1, `hour ${hour}`);
    }
    assert.deepEqual(seen, ['ooc', 'occ', 'ccc', 'ooo']);
  });

  it('tells at once when another schedule is set, or none', async () => {
    arbiter.setControls('in', schedule({ 0: 'closed' }));
    assert.deepEqual(seen, ['ccc']);
    assert.equal(hours.opensAtMs(1), mondayMs + hourMs);
    arbiter.setControls('in', {});
    assert.deepEqual(seen, ['ccc', 'ooo']);
    arbiter.setControls('out', schedule({ 0: 'closed' }));
    assert.deepEqual(seen, ['ccc', 'ooo'], 'another passage');
  });

  it('never opens under a grid that is closed all week', () => {
    const closed = Object.fromEntries(Array.from({ length: 168 }, (_, hour) => [hour, 'closed']));
    arbiter.setControls('in', schedule(closed as Record<number, WindowLevel>));
    assert.equal(hours.opensAtMs(1), undefined);
    assert.equal(hours.isOpen(1), false);
  });
});

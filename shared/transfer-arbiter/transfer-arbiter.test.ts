import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import type { Priority } from '../domain/package.ts';
import {
  freeControls,
  hoursOfWeek,
  type TransferControls,
  type TransferSchedule,
  type WindowLevel,
} from '../domain/transfer-controls.ts';
import { workIsOver } from '../runtime/abort-error.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { TransferArbiter } from './transfer-arbiter.ts';
import type { TransferPermit } from './transfer-permit.ts';

const mib = 2 ** 20;
const megabyte = 1_000_000;
const hourMs = 3_600_000;
/** A Monday, 00:00 UTC. */
const mondayMs = Date.UTC(2026, 2, 16);

/** What left, and when. */
interface Sent {
  readonly atMs: number;
  readonly bytes: number;
}

/** Streams that send as fast as they may, over a fake clock. */
class Ground {
  readonly clock: FakeClock;
  readonly arbiter: TransferArbiter;
  readonly end = new AbortController();

  constructor(startMs = mondayMs) {
    this.clock = new FakeClock(startMs);
    this.arbiter = new TransferArbiter(this.clock);
    // All streams of a test end together.
    setMaxListeners(0, this.end.signal);
  }

  /** So many streams of one transfer; each part takes a millisecond on its way. */
  send(permit: TransferPermit, streamCount = 1, bytesMax = Number.POSITIVE_INFINITY): Sent[] {
    const sent: Sent[] = [];
    let left = bytesMax;
    const stream = async () => {
      while (left > 0) {
        const bytes = Math.min(permit.partBytes, left);
        left -= bytes;
        await permit.take(bytes, this.end.signal);
        sent.push({ atMs: this.clock.monotonicMs(), bytes });
        await this.clock.sleep(1, this.end.signal);
      }
    };
    for (let count = 0; count < streamCount; count++) stream().catch(() => {});
    return sent;
  }

  async stop(): Promise<void> {
    this.end.abort(workIsOver);
    await this.clock.advance(0);
  }
}

function bytesBetween(sent: readonly Sent[], fromMs: number, toMs: number): number {
  let bytes = 0;
  for (const one of sent) if (one.atMs >= fromMs && one.atMs < toMs) bytes += one.bytes;
  return bytes;
}

/** The furthest from the limit in any window of so many milliseconds, as a part of it. */
function worstOff(sent: readonly Sent[], rate: number, windowMs: number, endMs: number): number {
  const expected = (rate * windowMs) / 1000;
  let worst = 0;
  for (let fromMs = 0; fromMs + windowMs <= endMs; fromMs += 50) {
    const off = Math.abs(bytesBetween(sent, fromMs, fromMs + windowMs) - expected) / expected;
    worst = Math.max(worst, off);
  }
  return worst;
}

function grid(level: WindowLevel, exceptions: Record<number, WindowLevel> = {}, timeZone = 'UTC') {
  const hours = Array.from({ length: hoursOfWeek }, (_, hour) => exceptions[hour] ?? level);
  return { timeZone, hours } satisfies TransferSchedule;
}

function rate(bytesPerSecond: number): TransferControls {
  return { limit: { kind: 'rate', bytesPerSecond } };
}

describe('TransferArbiter', () => {
  for (const megabytes of [1, 10, 50]) {
    for (const streamCount of [1, 50]) {
      it(`keeps ${megabytes} MB/s with ${streamCount} streams (PTM-6)`, async () => {
        const ground = new Ground();
        ground.arbiter.setControls('dp/A', rate(megabytes * megabyte));
        const sent = ground.send(ground.arbiter.open(['dp/A'], 2), streamCount);
        await ground.clock.advance(65_000);
        assert(worstOff(sent, megabytes * megabyte, 10_000, 65_000) <= 0.05);
        assert(worstOff(sent, megabytes * megabyte, 60_000, 65_000) <= 0.02);
        await ground.stop();
      });
    }
  }

  it('keeps the limit of a link over all that share it, and each one gets its part (PTM-6)', async () => {
    const { arbiter, clock, ...ground } = withParts(new Ground());
    arbiter.setControls('link/L', rate(10 * megabyte));
    const sents = ['dp/A', 'dp/B', 'dp/C'].map((dp, index) =>
      ground.send(arbiter.open([dp, 'link/L'], 2), 1 + index * 7),
    );
    await clock.advance(30_000);
    const all = sents.flat().sort((a, b) => a.atMs - b.atMs);
    assert(worstOff(all, 10 * megabyte, 10_000, 30_000) <= 0.05);
    for (const sent of sents) {
      const share = bytesBetween(sent, 0, 30_000) / bytesBetween(all, 0, 30_000);
      assert(share > 0.3 && share < 0.37, `share ${share}`);
    }
    await ground.stop();
  });

  it('gives those that come again and again no more than those that stay', async () => {
    const { arbiter, clock, end, ...ground } = withParts(new Ground());
    arbiter.setControls('out', rate(megabyte));
    const sent = ground.send(arbiter.open(['out'], 2), 2);
    const returning = async () => {
      for (;;) {
        const permit = arbiter.open(['out'], 2);
        await permit.take(permit.partBytes, end.signal).finally(() => permit.close());
        await clock.sleep(1, end.signal);
      }
    };
    returning().catch(() => {});
    await clock.advance(10_000);
    const bytes = bytesBetween(sent, 0, 10_000);
    assert(bytes > 4 * megabyte, `${bytes} bytes of ten million`);
    await ground.stop();
  });

  it('goes by the lowest limit, and leaves to others what that one does not use', async () => {
    const { arbiter, clock, ...ground } = withParts(new Ground());
    arbiter.setControls('link/L', rate(10 * megabyte));
    arbiter.setControls('dp/A', rate(megabyte));
    const slow = ground.send(arbiter.open(['dp/A', 'link/L'], 1), 8);
    const quick = ground.send(arbiter.open(['dp/B', 'link/L'], 2), 8);
    await clock.advance(20_000);
    assert(worstOff(slow, megabyte, 10_000, 20_000) <= 0.05);
    assert(worstOff(quick, 9 * megabyte, 10_000, 20_000) <= 0.05);
    await ground.stop();
  });

  it('obeys a changed limit within a second, also one that was very low (PTM-6)', async () => {
    const { arbiter, clock, ...ground } = withParts(new Ground());
    arbiter.setControls('dp/A', rate(1024));
    const sent = ground.send(arbiter.open(['dp/A'], 2), 8);
    for (let second = 0; second < 60; second++) {
      arbiter.setControls('dp/A', rate(1024));
      await clock.advance(1_000);
    }
    assert(bytesBetween(sent, 0, 60_000) <= 1024 * 61 + 4096, 'also when it is said again');
    arbiter.setControls('dp/A', rate(10 * megabyte));
    await clock.advance(20_000);
    assert(bytesBetween(sent, 60_000, 61_000) >= 9 * megabyte);
    arbiter.setControls('dp/A', rate(megabyte));
    await clock.advance(10_000);
    assert(Math.abs(bytesBetween(sent, 80_000, 90_000) - 10 * megabyte) <= 0.05 * 10 * megabyte);
    arbiter.setControls('dp/A', freeControls);
    await clock.advance(1_000);
    assert(bytesBetween(sent, 90_000, 91_000) > 500 * mib, 'nothing holds it back any more');
    await ground.stop();
  });

  it('sends blocks with pauses where a limit is pulses', async () => {
    const { arbiter, clock, ...ground } = withParts(new Ground());
    arbiter.setControls('dp/A', { limit: { kind: 'pulse', blockBytes: 65_536, delayMs: 500 } });
    const sent = ground.send(arbiter.open(['dp/A'], 2), 3);
    await clock.advance(10_400);
    assert.equal(bytesBetween(sent, 0, 10_400), 21 * 65_536);
    assert(
      sent.every(({ atMs }) => atMs % 500 < 5),
      'nothing in the pauses',
    );
    await ground.stop();
  });

  it('keeps the rate of pulses whose block is no multiple of a part (PTM-6)', async () => {
    const { arbiter, clock, ...ground } = withParts(new Ground());
    for (const blockBytes of [100_000, 1_500_000]) {
      arbiter.setControls('dp/A', { limit: { kind: 'pulse', blockBytes, delayMs: 500 } });
      const fromMs = clock.monotonicMs();
      const permit = arbiter.open(['dp/A'], 2);
      const sent = ground.send(permit, 3);
      await clock.advance(20_000);
      permit.close();
      // So many blocks begin in it; each takes a few milliseconds itself.
      const blocks = bytesBetween(sent, fromMs, fromMs + 20_000) / blockBytes;
      assert(blocks >= 38 && blocks <= 41, `${blocks} blocks of ${blockBytes} bytes`);
    }
    await ground.stop();
  });

  it('has another limit in each hour of the week where that is set', async () => {
    const { arbiter, clock, ...ground } = withParts(new Ground());
    const bytesPerSecond = Array.from({ length: hoursOfWeek }, (_, hour) =>
      hour === 0 ? 8192 : 65_536,
    );
    arbiter.setControls('dp/A', { limit: { kind: 'hourly', timeZone: 'UTC', bytesPerSecond } });
    const sent = ground.send(arbiter.open(['dp/A'], 2), 2);
    await clock.advance(hourMs + 60_000);
    assert(Math.abs(bytesBetween(sent, hourMs - 60_000, hourMs) / 60 - 8192) < 164);
    assert(Math.abs(bytesBetween(sent, hourMs, hourMs + 60_000) / 60 - 65_536) < 1_310);
    await ground.stop();
  });

  it('stops at once when a window closes, and goes on when it opens (PTM-5)', async () => {
    const { arbiter, clock, ...ground } = withParts(new Ground());
    arbiter.setControls('dp/A', { ...rate(1024), schedule: grid('open', { 1: 'closed' }) });
    const permit = arbiter.open(['dp/A'], 2);
    const sent = ground.send(permit, 4);
    await clock.advance(3 * hourMs);
    assert(bytesBetween(sent, hourMs - 10_000, hourMs) > 0);
    assert.equal(bytesBetween(sent, hourMs, 2 * hourMs), 0);
    assert(
      bytesBetween(sent, 2 * hourMs, 2 * hourMs + 1_000) > 0,
      'within a second of the opening',
    );
    await ground.stop();
  });

  const cases: readonly (readonly [WindowLevel, readonly Priority[]])[] = [
    ['open', [1, 2, 3]],
    ['medium-and-high', [1, 2]],
    ['high-only', [1]],
    ['closed', []],
  ];
  for (const [level, priorities] of cases) {
    it(`lets priorities ${priorities.join(', ') || 'none'} through while ${level} (PTM-5)`, async () => {
      const { arbiter, clock, ...ground } = withParts(new Ground());
      arbiter.setControls('dp/A', { schedule: grid(level) });
      for (const priority of [1, 2, 3] as const) {
        const permit = arbiter.open(['dp/A'], priority);
        const sent = ground.send(permit, 1, mib);
        await clock.advance(2_000);
        permit.close();
        assert.equal(sent.length > 0, priorities.includes(priority), `priority ${priority}`);
      }
      await ground.stop();
    });
  }

  it('follows a clock that is set, within a second (PTM-5)', async () => {
    let offsetMs = 0;
    const { arbiter, clock, ...ground } = withParts(new Ground(), () => offsetMs);
    arbiter.setControls('dp/A', { ...rate(65_536), schedule: grid('closed', { 5: 'open' }) });
    const sent = ground.send(arbiter.open(['dp/A'], 2));
    await clock.advance(5_000);
    assert.equal(sent.length, 0);
    offsetMs = 5 * hourMs;
    await clock.advance(1_500);
    assert(sent.length > 0);
    offsetMs = 6 * hourMs;
    const before = sent.length;
    await clock.advance(60_000);
    assert(sent.length <= before + 1);
    await ground.stop();
  });

  it('says when a way opens next, over both changes of the clocks (PTM-5)', () => {
    for (const [timeZone, dayMs] of [
      ['Europe/Madrid', Date.UTC(2026, 2, 29)],
      ['America/New_York', Date.UTC(2026, 10, 1)],
    ] as const) {
      const { arbiter } = new Ground(dayMs);
      const sunday = 6 * 24;
      arbiter.setControls('dp/A', { schedule: grid('closed', { [sunday + 6]: 'open' }, timeZone) });
      const opensAtMs = arbiter.opensAtMs(['dp/A'], 2) ?? 0;
      const local = new Intl.DateTimeFormat('en-GB', { timeZone, timeStyle: 'short' });
      assert.equal(local.format(opensAtMs), '06:00');
      assert(opensAtMs - dayMs < 24 * hourMs);
    }
    const { arbiter } = new Ground();
    arbiter.setControls('dp/A', { schedule: grid('high-only') });
    assert.equal(arbiter.opensAtMs(['dp/A'], 2), undefined);
    assert.equal(arbiter.opensAtMs(['dp/A'], 1), mondayMs);
  });

  it('finds the hour of the week after, when the change of the clocks leaves out that of this one (PTM-5)', () => {
    const hour = Date.UTC(2027, 2, 21, 2);
    for (const askedMs of [hour, hour + 3 * 24 * hourMs, Date.UTC(2027, 2, 28, 1)]) {
      const { arbiter } = new Ground(askedMs);
      const timeZone = 'Europe/Berlin';
      arbiter.setControls('dp/A', { schedule: grid('closed', { [6 * 24 + 2]: 'open' }, timeZone) });
      assert.equal(arbiter.opensAtMs(['dp/A'], 2), Date.UTC(2027, 3, 4, 0));
    }
  });

  it('says it anew when the clock is set back, the hour comes, or the schedule changes', () => {
    let offsetMs = 0;
    const { arbiter, clock } = withParts(new Ground(), () => offsetMs);
    const opens = (priority: Priority = 2) =>
      (arbiter.opensAtMs(['dp/A'], priority) ?? 0) - mondayMs;
    arbiter.setControls('dp/A', { schedule: grid('closed', { 3: 'open', 5: 'high-only' }) });
    assert.equal(opens(), 3 * hourMs);
    offsetMs = 3.5 * hourMs;
    assert.equal(opens(), 3.5 * hourMs, 'open now');
    offsetMs = 4 * hourMs;
    assert.deepEqual([opens(), opens(1)], [(7 * 24 + 3) * hourMs, 5 * hourMs]);
    offsetMs = hourMs;
    assert.equal(opens(), 3 * hourMs);
    arbiter.setControls('dp/A', { schedule: grid('closed', { 2: 'open' }) });
    assert.equal(opens(), 2 * hourMs);
    assert.equal(clock.sleeperCount, 0);
  });

  it('heeds no schedule for a transfer that is let run, and its limit all the same', async () => {
    const { arbiter, clock, ...ground } = withParts(new Ground());
    arbiter.setControls('dp/A', { ...rate(megabyte), schedule: grid('closed') });
    const sent = ground.send(arbiter.open(['dp/A'], 3, { ignoresSchedules: true }));
    await clock.advance(20_000);
    assert(worstOff(sent, megabyte, 10_000, 20_000) <= 0.05);
    await ground.stop();
  });

  it('lets a higher priority overtake, and the other go on after it (PTM-3)', async () => {
    const { arbiter, clock, ...ground } = withParts(new Ground());
    arbiter.setControls('dp/A', rate(10 * megabyte));
    const low = ground.send(arbiter.open(['dp/A'], 3), 8);
    await clock.advance(5_000);
    const urgent = arbiter.open(['dp/A'], 1);
    const high = ground.send(urgent, 8, 10 * megabyte);
    await clock.advance(1_500);
    assert.equal(bytesBetween(high, 5_000, 6_200), 10 * megabyte);
    assert(bytesBetween(low, 5_100, 6_000) === 0, 'the way is the other one’s');
    urgent.close();
    await clock.advance(1_000);
    assert(bytesBetween(low, 6_500, 7_500) > 9 * megabyte, 'at once when it is over');
    await ground.stop();
  });

  it('keeps nobody waiting for a higher priority that sends nothing, or may not (PTM-3)', async () => {
    const { arbiter, clock, ...ground } = withParts(new Ground());
    const idle = arbiter.open(['dp/A', 'link/L'], 1);
    await idle.take(mib, ground.end.signal);
    arbiter.setControls('dp/B', { schedule: grid('closed') });
    ground.send(arbiter.open(['dp/B', 'link/L'], 1));
    const sent = ground.send(arbiter.open(['dp/C', 'link/L'], 2), 1, 100 * mib);
    await clock.advance(99);
    assert.equal(sent.length, 0);
    await clock.advance(1_000);
    assert.equal(bytesBetween(sent, 0, 2_000), 100 * mib);
    await ground.stop();
  });

  it('gives what a slow transfer of higher priority leaves to the others (PTM-3)', async () => {
    const { arbiter, clock, ...ground } = withParts(new Ground());
    arbiter.setControls('link/L', rate(50 * megabyte));
    const slow = arbiter.open(['dp/A', 'link/L'], 1);
    let highParts = 0;
    const sendSlowly = async () => {
      for (;;) {
        await slow.take(mib, ground.end.signal);
        highParts += 1;
        await clock.sleep(900, ground.end.signal);
      }
    };
    sendSlowly().catch(() => {});
    const low = ground.send(arbiter.open(['dp/B', 'link/L'], 3), 4);
    await clock.advance(30_000);
    assert(highParts >= 32, 'the higher one is never kept waiting');
    const lowPerSecond = bytesBetween(low, 0, 30_000) / 30;
    assert(lowPerSecond > 40 * megabyte, `${lowPerSecond} of 50 MB/s`);
    await ground.stop();
  });

  it('takes no part of one that gave up, and serves those behind it', async () => {
    const { arbiter, clock, ...ground } = withParts(new Ground());
    arbiter.setControls('dp/A', rate(65_536));
    const permit = arbiter.open(['dp/A'], 2);
    await permit.take(65_536, ground.end.signal);
    const gone = new AbortController();
    const first = permit.take(1024 * 1024, gone.signal);
    const second = permit.take(4096, ground.end.signal);
    gone.abort();
    await assert.rejects(first, { name: 'AbortError' });
    await clock.advance(1_100);
    await second;
    await ground.stop();
  });

  it('cuts parts so that a low limit is kept smoothly', () => {
    const { arbiter } = new Ground();
    const permit = arbiter.open(['dp/A', 'link/L'], 2);
    assert.equal(permit.partBytes, mib);
    arbiter.setControls('dp/A', rate(megabyte));
    assert.equal(permit.partBytes, 98_304);
    arbiter.setControls('link/L', rate(1024));
    assert.equal(permit.partBytes, 4096);
  });
});

/** The ground's parts, with a wall clock that can be set. */
function withParts(ground: Ground, offsetMs: () => number = () => 0) {
  const { clock, end } = ground;
  const nowMs = clock.nowMs.bind(clock);
  clock.nowMs = () => nowMs() + offsetMs();
  const send = ground.send.bind(ground);
  return { arbiter: ground.arbiter, clock, end, send, stop: () => ground.stop() };
}

import assert from 'node:assert/strict';
import { nextQuarterMs } from '../domain/hour-of-week.ts';
import type { Priority } from '../domain/package.ts';
import { hoursOfWeek, type TransferControls, windowLevels } from '../domain/transfer-controls.ts';
import { expectedPace } from '../domain/transfer-pace.ts';
import { SeededRandom } from '../testing/seeded-random.ts';
import { Passage } from './passage.ts';
import { remainingMs, type SharedWay, type TransferToEnd } from './transfer-eta.ts';

const mb = 1_000_000;
const timeZones = ['UTC', 'Europe/Madrid', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'America/Lima'];
/** Some days around a change of the clocks in Madrid and on Lord Howe Island, and some without one. */
const beginsMs = [Date.UTC(2024, 2, 28), Date.UTC(2024, 9, 4), Date.UTC(2024, 9, 25), 0];
const dayMs = 86_400_000;

/** The same, with each passage asked at each quarter of an hour: how it was done before. */
function modelMs(transfer: TransferToEnd, nowMs: number): number | undefined {
  const { ways, priority, ignoresSchedules, remainingBytes, measured } = transfer;
  const now = limitOf(ways, nowMs);
  if (expectedPace(measured, { now, later: undefined }) <= 0) return undefined;
  let leftBytes = remainingBytes;
  let thenMs = nowMs;
  for (let quarter = 0; quarter < 7 * 24 * 4; quarter++) {
    const untilMs = nextQuarterMs(thenMs);
    if (ignoresSchedules || ways.every(({ passage }) => passage.isOpenTo(priority, thenMs))) {
      const pace = expectedPace(measured, { now, later: limitOf(ways, thenMs) });
      if (pace <= 0) return undefined;
      const neededMs = (leftBytes * 1000) / pace;
      if (thenMs + neededMs <= untilMs) return Math.ceil(thenMs + neededMs - nowMs);
      leftBytes -= (pace * (untilMs - thenMs)) / 1000;
    }
    thenMs = untilMs;
  }
  return undefined;
}

function limitOf(ways: readonly SharedWay[], thenMs: number): number | undefined {
  const limits = ways.flatMap(({ passage, sharerCount }) => {
    const limit = passage.limitAt(thenMs);
    return limit === undefined ? [] : [limit / sharerCount];
  });
  return limits.length === 0 ? undefined : Math.min(...limits);
}

function randomControls(random: SeededRandom): TransferControls {
  const timeZone = random.pick(timeZones);
  const hours = Array.from({ length: hoursOfWeek }, () => random.pick(windowLevels));
  const bytesPerSecond = hours.map(() => random.below(4) * mb);
  const limits = [
    { kind: 'rate', bytesPerSecond: (1 + random.below(5)) * mb },
    { kind: 'pulse', blockBytes: mb, delayMs: 1 + random.below(1_000) },
    { kind: 'hourly', timeZone: random.pick(timeZones), bytesPerSecond },
  ] as const;
  const limit = random.below(4) === 0 ? undefined : random.pick(limits);
  return {
    ...(random.below(2) === 0 && { schedule: { timeZone, hours } }),
    ...(limit && { limit }),
  };
}

function randomTransfer(random: SeededRandom): TransferToEnd {
  const ways = Array.from({ length: 1 + random.below(3) }, (_, index) => {
    const passage = new Passage(`link/${index}`);
    passage.controls = randomControls(random);
    return { passage, sharerCount: 1 + random.below(3) };
  });
  // One whose answer hangs on the hour: others are not looked at ahead.
  const hourly = new Passage('dp/A');
  const hours = Array.from({ length: hoursOfWeek }, () => random.pick(windowLevels));
  hourly.controls = { schedule: { timeZone: random.pick(timeZones), hours } };
  return {
    ways: [...ways, { passage: hourly, sharerCount: 1 }],
    priority: random.pick<Priority>([1, 2, 3]),
    ignoresSchedules: random.below(4) === 0,
    remainingBytes: 1 + random.below(1_000) * 10 ** random.below(10),
    measured: { bytesPerSecond: random.below(5) * mb, trust: random.below(11) / 10 },
  };
}

describe('time left of a running transfer, as a look at each hour says it (PTM-5, PTM-6)', () => {
  for (const seed of [1, 2, 3]) {
    it(`is the same to the millisecond, seed ${seed}`, () => {
      const random = new SeededRandom(seed);
      let knownCount = 0;
      for (let count = 0; count < 100; count++) {
        const transfer = randomTransfer(random);
        const nowMs = random.pick(beginsMs) + random.below(4 * dayMs);
        const expected = modelMs(transfer, nowMs);
        assert.equal(remainingMs(transfer, nowMs), expected);
        if (expected !== undefined) knownCount += 1;
      }
      assert.ok(knownCount > 20, `${knownCount} are known`);
    });
  }
});

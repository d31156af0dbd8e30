import assert from 'node:assert/strict';
import { dueSlotMs, lastSlotMs } from './validation-schedule.ts';

const hourMs = 3_600_000;
const nowMs = Date.UTC(2024, 5, 1);
const names = Array.from(
  { length: 1_000 },
  (_, index) => `PS1${String(index).padStart(5, '0')}/DP1`,
);

describe('The schedule of validations (PKG-8)', () => {
  it('makes each package due once in a period, at its own time', () => {
    const schedule = { everyHours: 24, sinceMs: nowMs };
    for (const name of names.slice(0, 50)) {
      const dueMs: number[] = [];
      let wishedAtMs = 0;
      for (let ms = nowMs; ms < nowMs + 10 * 24 * hourMs; ms += hourMs / 4) {
        const slotMs = dueSlotMs(name, schedule, { wishedAtMs, nowMs: ms });
        if (slotMs === undefined) continue;
        dueMs.push(slotMs);
        wishedAtMs = ms;
      }
      assert.equal(dueMs.length, 10, name);
      assert.ok(
        dueMs.every((ms, index) => index === 0 || ms - (dueMs[index - 1] ?? 0) === 24 * hourMs),
      );
    }
  });

  it('spreads them over the whole period', () => {
    const perHour = new Array<number>(24).fill(0);
    for (const name of names) {
      const hour = Math.floor(((lastSlotMs(name, 24, nowMs) / hourMs) % 24) + 24) % 24;
      perHour[hour] = (perHour[hour] ?? 0) + 1;
    }
    for (const count of perHour) assert.ok(count > 15 && count < 80, perHour.join());
  });

  it('makes what was missed due once, and nothing of before it was set', () => {
    const [name = ''] = names;
    const later = nowMs + 100 * 24 * hourMs;
    const schedule = { everyHours: 24, sinceMs: nowMs };
    const slotMs = dueSlotMs(name, schedule, { wishedAtMs: nowMs, nowMs: later });
    assert.ok(slotMs !== undefined && slotMs > later - 24 * hourMs);
    assert.equal(dueSlotMs(name, schedule, { wishedAtMs: later, nowMs: later + 1 }), undefined);
    assert.equal(
      dueSlotMs(name, { ...schedule, sinceMs: later }, { wishedAtMs: 0, nowMs: later }),
      undefined,
    );
  });

  it('goes by no wish from the future: a clock was wrong', () => {
    const [name = ''] = names;
    const schedule = { everyHours: 1, sinceMs: 0 };
    const times = { wishedAtMs: nowMs + 365 * 24 * hourMs, nowMs };
    assert.notEqual(dueSlotMs(name, schedule, times), undefined);
  });
});

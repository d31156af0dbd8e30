import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compareHybridTimes, type HybridTime } from '../../shared/domain/hybrid-time.ts';
import { HybridClock } from './hybrid-clock.ts';

function clockAt(initialMs: number) {
  const wall = { ms: initialMs };
  return { wall, clock: new HybridClock({ clock: { nowMs: () => wall.ms }, siteCode: 'PS1' }) };
}

describe('hybrid clock (REP-1)', () => {
  it('strictly rises while time stands still or runs back', () => {
    const { wall, clock } = clockAt(1_000);
    const times = [clock.now(), clock.now()];
    wall.ms = 500;
    times.push(clock.now());
    wall.ms = 2_000;
    times.push(clock.now());
    assert.deepEqual(
      times.map(({ wallMs, counter }) => [wallMs, counter]),
      [
        [1_000, 0],
        [1_000, 1],
        [1_000, 2],
        [2_000, 0],
      ],
    );
  });

  it('is later than everything it gave out or was shown, in any order of events', () => {
    const event = fc.oneof(
      fc.record({ wallMs: fc.nat(50), counter: fc.nat(5) }),
      fc.record({ setMs: fc.nat(50) }),
      fc.constant('now' as const),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const { wall, clock } = clockAt(10);
        const seen: HybridTime[] = [];
        for (const one of events) {
          if (one === 'now') {
            const now = clock.now();
            for (const before of seen) assert.ok(compareHybridTimes(now, before) > 0);
            seen.push(now);
          } else if ('setMs' in one) wall.ms = one.setMs;
          else {
            clock.receive(one);
            // The same moment of another site whose code sorts first.
            seen.push({ ...one, siteCode: 'AAA' });
          }
        }
      }),
      { seed: 7 },
    );
  });

  it('keeps its counter within 32 bits', () => {
    const { clock } = clockAt(1);
    clock.receive({ wallMs: 5, counter: 2 ** 31 });
    assert.deepEqual(clock.now(), { wallMs: 6, counter: 0, siteCode: 'PS1' });
  });

  it('gives whole milliseconds that rise over all it gave out or was shown, and stands behind none', () => {
    const { wall, clock } = clockAt(1_000);
    assert.deepEqual([clock.nextMs(), clock.nextMs()], [1_000, 1_001]);
    assert.deepEqual(clock.now(), { wallMs: 1_001, counter: 1, siteCode: 'PS1' });
    assert.equal(clock.nextMs(), 1_002);
    clock.receive({ wallMs: 9_000, counter: 3 });
    assert.equal(clock.nextMs(), 9_001, 'a site whose clock is ahead said something');
    wall.ms = 20_000;
    assert.equal(clock.nextMs(), 20_000);
  });

  it('says how far a time is in the future', () => {
    const { clock } = clockAt(1_000);
    assert.equal(clock.aheadMs({ wallMs: 4_600 }), 3_600);
    assert.equal(clock.aheadMs({ wallMs: 400 }), -600);
  });
});

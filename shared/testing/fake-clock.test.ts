import assert from 'node:assert/strict';
import { isAbortError } from '../runtime/abort-error.ts';
import { FakeClock } from './fake-clock.ts';

describe('FakeClock', () => {
  it('stands still until it is advanced', async () => {
    const clock = new FakeClock(1_000);
    let hasWoken = false;
    const asleep = clock.sleep(10).then(() => {
      hasWoken = true;
    });
    await clock.advance(9);
    assert.deepEqual([hasWoken, clock.nowMs(), clock.monotonicMs()], [false, 1_009, 9]);
    await clock.advance(1);
    assert.deepEqual([hasWoken, clock.nowMs(), clock.monotonicMs()], [true, 1_010, 10]);
    await asleep;
  });

  it('wakes sleepers in the order of their moments, and equals in the order they fell asleep', async () => {
    const clock = new FakeClock();
    const woken: string[] = [];
    for (const [name, ms] of Object.entries({ c: 30, a: 10, b1: 20, b2: 20 })) {
      void clock.sleep(ms).then(() => woken.push(`${name} at ${clock.monotonicMs()}`));
    }
    await clock.advance(100);
    assert.deepEqual(woken, ['a at 10', 'b1 at 20', 'b2 at 20', 'c at 30']);
    assert.equal(clock.monotonicMs(), 100);
  });

  it('lets a sleeper sleep again on its way', async () => {
    const clock = new FakeClock();
    const moments: number[] = [];
    void (async () => {
      while (moments.length < 4) {
        await clock.sleep(25);
        moments.push(clock.monotonicMs());
      }
    })();
    await clock.advance(60 * 60_000);
    assert.deepEqual(moments, [25, 50, 75, 100]);
    assert.equal(clock.sleeperCount, 0);
  });

  it('wakes with AbortError when the signal fires, or has fired', async () => {
    const clock = new FakeClock();
    const controller = new AbortController();
    const asleep = clock.sleep(10, controller.signal);
    assert.equal(clock.sleeperCount, 1);
    controller.abort();
    await assert.rejects(asleep, isAbortError);
    await assert.rejects(clock.sleep(10, controller.signal), isAbortError);
    assert.equal(clock.sleeperCount, 0);
  });
});

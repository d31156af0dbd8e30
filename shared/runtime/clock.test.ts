import assert from 'node:assert/strict';
import { isAbortError } from './abort-error.ts';
import { systemClock } from './clock.ts';

describe('systemClock', () => {
  it('sleeps at least so long', async () => {
    const startMs = systemClock.monotonicMs();
    await systemClock.sleep(5);
    assert(systemClock.monotonicMs() - startMs >= 5);
  });

  it('wakes with AbortError as soon as the signal fires, also from a sleep of months', async () => {
    // A timer of Node with such a delay would fire at once.
    for (const ms of [2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
      const controller = new AbortController();
      const asleep = systemClock.sleep(ms, controller.signal);
      const first = await Promise.race([asleep, systemClock.sleep(3).then(() => 'asleep')]);
      assert.equal(first, 'asleep');
      controller.abort(new Error('any reason'));
      await assert.rejects(asleep, isAbortError);
    }
  });

  it('does not begin to sleep when the signal has fired', async () => {
    await assert.rejects(systemClock.sleep(0, AbortSignal.abort()), isAbortError);
  });

  it('leaves nothing behind at a signal that lives longer', async () => {
    const controller = new AbortController();
    let listenerCount = 0;
    const { signal } = controller;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listenerCount += 1;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listenerCount -= 1;
      remove(...args);
    };
    await systemClock.sleep(1, signal);
    assert.equal(listenerCount, 0);
  });
});

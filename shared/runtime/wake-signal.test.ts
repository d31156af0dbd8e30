import assert from 'node:assert/strict';
import { isAbortError } from './abort-error.ts';
import { WakeSignal } from './wake-signal.ts';

describe('WakeSignal', () => {
  it('keeps calls between waits as one', async () => {
    const signal = new WakeSignal();
    signal.wake();
    signal.wake();
    await signal.wait();
    await assertWaits(signal);
  });

  it('ends the wait of everybody who waits, and leaves nothing over', async () => {
    const signal = new WakeSignal();
    const waits = [signal.wait(), signal.wait()];
    signal.wake();
    await Promise.all(waits);
    await assertWaits(signal);
  });

  it('gives up with AbortError when its AbortSignal fires; the next call wakes the next wait', async () => {
    const signal = new WakeSignal();
    const controller = new AbortController();
    const wait = signal.wait(controller.signal);
    controller.abort();
    await assert.rejects(wait, isAbortError);
    await assert.rejects(signal.wait(controller.signal), isAbortError);
    signal.wake();
    await signal.wait();
  });
});

/** That a wait does not end by itself. */
async function assertWaits(signal: WakeSignal): Promise<void> {
  const controller = new AbortController();
  const wait = signal.wait(controller.signal);
  setImmediate(() => controller.abort());
  await assert.rejects(wait, isAbortError);
}

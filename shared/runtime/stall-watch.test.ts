import assert from 'node:assert/strict';
import { FakeClock } from '../testing/fake-clock.ts';
import { isAbortError } from './abort-error.ts';
import { unlessStalled } from './stall-watch.ts';

const stalled = new Error('stalled');

describe('stall watch', () => {
  let clock: FakeClock;
  let progressCount: number;
  let controller: AbortController;

  beforeEach(() => {
    clock = new FakeClock();
    progressCount = 0;
    controller = new AbortController();
  });

  const run = <T>(work: (signal: AbortSignal) => Promise<T>) =>
    unlessStalled(work, {
      signal: controller.signal,
      stallMs: 1_000,
      sleep: (ms, signal) => clock.sleep(ms, signal),
      progressCount: () => progressCount,
      toFailure: () => stalled,
    });

  /** Work that ends when it is aborted, as a stream does. */
  const untilAborted = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });

  it('lets work be that ends by itself, and leaves nothing behind', async () => {
    assert.equal(await run(async () => 'done'), 'done');
    await assert.rejects(
      run(async () => {
        throw new Error('its own');
      }),
      /its own/,
    );
    assert.equal(clock.sleeperCount, 0);
  });

  it('lets work go on for ever as long as it gets on', async () => {
    let finish = () => {};
    const running = run(() => new Promise<void>((resolve) => (finish = resolve)));
    for (let time = 0; time < 20; time++) {
      progressCount += 1;
      await clock.advance(900);
    }
    finish();
    await running;
  });

  it('ends work that does not get on, with the failure', async () => {
    const ended = assert.rejects(run(untilAborted), stalled);
    progressCount = 5;
    await clock.advance(1_000);
    await clock.advance(1_000);
    await clock.advance(1_000);
    await ended;
    assert.equal(clock.sleeperCount, 0);
  });

  it('ends with the signal', async () => {
    const reason = new Error('withdrawn');
    const ended = assert.rejects(run(untilAborted), reason);
    controller.abort(reason);
    await ended;
    assert.equal(clock.sleeperCount, 0);
    assert.ok(!isAbortError(reason));
  });
});

import assert from 'node:assert/strict';
import { FakeClock } from '../testing/fake-clock.ts';
import { progressStream } from './progress-stream.ts';

describe('progress of work as a stream', () => {
  const unaborted = new AbortController().signal;

  it('tells the newest step now and then, and the result last', async () => {
    const clock = new FakeClock();
    let tell: (step: number) => void = () => {};
    let end: (step: number) => void = () => {};
    const work = (told: typeof tell) => {
      tell = told;
      return new Promise<number>((resolve) => {
        end = resolve;
      });
    };
    const steps = progressStream(work, { clock, signal: unaborted });
    const first = steps.next();
    tell(1);
    tell(2);
    await clock.advance(250);
    assert.deepEqual(await first, { value: 2, done: false });
    const second = steps.next();
    // Nothing new: nothing is told.
    await clock.advance(1_000);
    end(9);
    assert.deepEqual(await second, { value: 9, done: false });
    assert.deepEqual(await steps.next(), { value: undefined, done: true });
  });

  it('throws what the work throws', async () => {
    const work = async () => {
      throw new Error('broken');
    };
    const steps = progressStream(work, { clock: new FakeClock(), signal: unaborted });
    await assert.rejects(steps.next(), /broken/);
  });

  it('ends the work of who leaves the loop, or calls it off, and waits for its end', async () => {
    for (const way of ['leaves', 'calls off'] as const) {
      const clock = new FakeClock();
      const off = new AbortController();
      let hasEnded = false;
      const work = (tell: (step: number) => void, signal: AbortSignal) => {
        tell(1);
        return new Promise<number>((_, reject) => {
          signal.addEventListener('abort', () => {
            hasEnded = true;
            reject(signal.reason);
          });
        });
      };
      const steps = progressStream(work, { clock, signal: off.signal });
      const first = steps.next();
      await clock.advance(250);
      await first;
      if (way === 'leaves') await steps.return(undefined);
      else {
        off.abort();
        await assert.rejects(steps.next());
      }
      assert.ok(hasEnded, way);
    }
  });
});

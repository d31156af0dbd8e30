import assert from 'node:assert/strict';
import { AbortError } from './abort-error.ts';
import { SharedMakings } from './shared-makings.ts';

const never = new AbortController().signal;

describe('shared makings', () => {
  const work = (priority: 1 | 2 | 3, key: string) => ({ key, priority });
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  it('run so many at once, the highest priority next', async () => {
    const makings = new SharedMakings<void>(2);
    const begun: string[] = [];
    const ends: (() => void)[] = [];
    const add = (priority: 1 | 2 | 3, key: string) =>
      makings.run(
        work(priority, key),
        () => {
          begun.push(key);
          return new Promise((resolve) => {
            ends.push(resolve);
          });
        },
        never,
      );
    const all = [add(2, 'a'), add(2, 'b'), add(3, 'c'), add(1, 'd'), add(2, 'e')];
    for (let ended = 0; ended < 5; ended++) {
      await turn();
      assert.equal(begun.length, Math.min(5, ended + 2));
      ends[ended]?.();
    }
    await Promise.all(all);
    assert.deepEqual(begun, ['a', 'b', 'd', 'e', 'c']);
  });

  it('end early only when all who wait have gone', async () => {
    const makings = new SharedMakings<string>(1);
    const [one, other] = [new AbortController(), new AbortController()];
    let signal = never;
    let finish: (text: string) => void = () => {};
    const make = (making: AbortSignal) => {
      signal = making;
      return new Promise<string>((resolve) => {
        finish = resolve;
      });
    };
    const first = makings.run(work(2, 'a'), make, one.signal);
    const second = makings.run(work(2, 'a'), make, other.signal);
    await turn();
    one.abort();
    await assert.rejects(first, AbortError);
    assert.equal(signal.aborted, false);
    other.abort();
    await assert.rejects(second, AbortError);
    assert.equal(signal.aborted, true);
    finish('too late');
  });
});

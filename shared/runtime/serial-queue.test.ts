import assert from 'node:assert/strict';
import { SerialQueue } from './serial-queue.ts';

describe('SerialQueue', () => {
  it('runs work one after another, in order, also when one fails', async () => {
    const queue = new SerialQueue();
    const events: string[] = [];
    const work = (name: string, failure?: Error) => async () => {
      events.push(`${name} begins`);
      await Promise.resolve();
      events.push(`${name} ends`);
      if (failure) throw failure;
      return name;
    };
    const results = [
      queue.run(work('a')),
      queue.run(work('b', new Error('b failed'))),
      queue.run(work('c')),
    ];
    assert.deepEqual(
      (await Promise.allSettled(results)).map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.equal(await results[2], 'c');
    const order = ['a', 'b', 'c'].flatMap((name) => [`${name} begins`, `${name} ends`]);
    assert.deepEqual(events, order);
  });

  it('is idle when all work given so far has ended', async () => {
    const queue = new SerialQueue();
    await queue.whenIdle();
    let hasEnded = false;
    const running = queue.run(async () => {
      await Promise.resolve();
      hasEnded = true;
    });
    await queue.whenIdle();
    assert(hasEnded);
    await running;
  });
});

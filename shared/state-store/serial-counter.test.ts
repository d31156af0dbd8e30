import assert from 'node:assert/strict';
import { CapturedLog } from '../testing/captured-log.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { SerialCounter } from './serial-counter.ts';
import { StateStore } from './state-store.ts';

const logger = new CapturedLog().logger;

describe('SerialCounter', () => {
  it('gives no number twice, whether its batch was written or not', async () => {
    await using directory = await TemporaryDirectory.create();
    const { store } = await StateStore.open({ directory: directory.path, logger });
    const counter = await SerialCounter.open(store, 'jobs');
    const numbers = [counter.next(), counter.next(), counter.next()];
    assert.deepEqual(
      numbers.map(({ value }) => value),
      [1, 2, 3],
    );
    // The batch of number 2 was never written; that of 3 was.
    await store.write([numbers[0]?.change, numbers[2]?.change].filter(isDefined), { sync: true });
    await store.close();

    const again = await StateStore.open({ directory: directory.path, logger });
    assert.equal((await SerialCounter.open(again.store, 'jobs')).next().value, 4);
    assert.equal((await SerialCounter.open(again.store, 'messages')).next().value, 1);
    await again.store.close();
  });

  it('never goes back when batches are written in another order', async () => {
    await using directory = await TemporaryDirectory.create();
    const { store } = await StateStore.open({ directory: directory.path, logger });
    const counter = await SerialCounter.open(store, 'jobs');
    const [first, second] = [counter.next(), counter.next()];
    await store.write([second.change], { sync: false });
    await store.write([first.change], { sync: false });
    assert.equal((await SerialCounter.open(store, 'jobs')).next().value, 3);
    await store.close();
  });

  it('begins above what is known to be used', async () => {
    await using directory = await TemporaryDirectory.create();
    const { store } = await StateStore.open({ directory: directory.path, logger });
    const counter = await SerialCounter.open(store, 'packages', { atLeast: 41 });
    const { value, change } = counter.next();
    assert.equal(value, 42);
    await store.write([change], { sync: false });
    assert.equal((await SerialCounter.open(store, 'packages', { atLeast: 7 })).next().value, 43);
    await store.close();
  });
});

function isDefined<T>(value: T | undefined): value is T {
  return value !== undefined;
}

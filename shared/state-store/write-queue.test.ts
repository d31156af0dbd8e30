import assert from 'node:assert/strict';
import type { Operation } from './database.ts';
import { WriteQueue } from './write-queue.ts';

interface Group {
  readonly keys: string[];
  readonly sync: boolean;
  readonly end: (error?: Error) => void;
}

/** A database whose writes end when the test says so. */
class HeldDatabase {
  readonly groups: Group[] = [];

  readonly write = (operations: Operation[], options: { sync: boolean }): Promise<void> =>
    new Promise((resolve, reject) => {
      const keys = operations.map(({ key }) => key);
      const end = (error?: Error) => (error ? reject(error) : resolve());
      this.groups.push({ keys, end, ...options });
    });
}

const put = (key: string): Operation[] => [{ type: 'put', key, value: '1' }];

describe('WriteQueue', () => {
  it('writes one group at a time; what comes meanwhile shares the next', async () => {
    const database = new HeldDatabase();
    const queue = new WriteQueue(database.write);
    const writes = ['a', 'b', 'c'].map((key) => queue.write(put(key), { sync: false }));
    assert.deepEqual(
      database.groups.map(({ keys }) => keys),
      [['a']],
    );
    database.groups[0]?.end();
    await writes[0];
    await Promise.resolve();
    assert.deepEqual(
      database.groups.map(({ keys }) => keys),
      [['a'], ['b', 'c']],
    );
    database.groups[1]?.end();
    await Promise.all(writes);
  });

  it('syncs a group when one of its writes was promised to be synced', async () => {
    const database = new HeldDatabase();
    const queue = new WriteQueue(database.write);
    const first = queue.write(put('a'), { sync: false });
    const rest = [queue.write(put('b'), { sync: false }), queue.write(put('c'), { sync: true })];
    database.groups[0]?.end();
    await first;
    await Promise.resolve();
    database.groups[1]?.end();
    await Promise.all(rest);
    assert.deepEqual(
      database.groups.map(({ sync }) => sync),
      [false, true],
    );
  });

  it('fails the writes of a group that fails, and goes on with the next', async () => {
    const database = new HeldDatabase();
    const queue = new WriteQueue(database.write);
    const first = queue.write(put('a'), { sync: false });
    const second = queue.write(put('b'), { sync: false });
    database.groups[0]?.end(new Error('no room'));
    await assert.rejects(first, /no room/);
    database.groups[1]?.end();
    await second;
    await queue.whenIdle();
  });

  it('keeps the operations of one write together, however many', async () => {
    const database = new HeldDatabase();
    const queue = new WriteQueue(database.write);
    const many = Array.from({ length: 15_000 }, (_, index) => put(`${index}`)).flat();
    const writes = [put('a'), many, put('b')].map((ops) => queue.write(ops, { sync: false }));
    for (const index of [0, 1, 2]) {
      database.groups[index]?.end();
      await writes[index];
      await Promise.resolve();
    }
    assert.deepEqual(
      database.groups.map(({ keys }) => keys.length),
      [1, 15_000, 1],
    );
  });
});

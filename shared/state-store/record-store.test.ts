import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CapturedLog } from '../testing/captured-log.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { joinKey, keySpaces } from './key-space.ts';
import type { KeyRange } from './record-store.ts';
import { StateStore } from './state-store.ts';

describe('RecordStore', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const options = { directory: directory.join('state'), logger: new CapturedLog().logger };
    ({ store } = await StateStore.open(options));
  });
  afterEach(async () => {
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  it('gives back what was put, and undefined for what is not there', async () => {
    const counters = store.records(keySpaces.counters);
    await store.write([counters.put('a', 1), counters.put('c', 3)], { sync: false });
    assert.equal(await counters.get('a'), 1);
    assert.deepEqual(await counters.getMany(['c', 'b', 'a']), [3, undefined, 1]);
    await store.write([counters.delete('a')], { sync: false });
    assert.equal(await counters.get('a'), undefined);
  });

  it('keeps tables apart, also when one name begins another', async () => {
    const packages = store.records<number>({ name: 'packages' });
    const longer = store.records<number>({ name: 'packages-2' });
    await store.write([packages.put('k', 1), longer.put('k', 2)], { sync: false });
    assert.deepEqual(await listed({ name: 'packages' }, {}), [['k', 1]]);
    assert.deepEqual(await listed({ name: 'packages-2' }, {}), [['k', 2]]);
  });

  it('lists more rows than a page holds, each once and in order, both ways', async () => {
    const counters = store.records(keySpaces.counters);
    const keys = Array.from({ length: 2_500 }, (_, index) => joinKey(index));
    await store.write(
      keys.map((key, index) => counters.put(key, index)),
      { sync: false },
    );
    const up = await listed(keySpaces.counters, {});
    assert.deepEqual(
      up.map(([key]) => key),
      keys,
    );
    const down = await listed(keySpaces.counters, { reverse: true });
    assert.deepEqual(down, up.toReversed());
    assert.deepEqual(await listed(keySpaces.counters, { limit: 1_500 }), up.slice(0, 1_500));
  });

  it('lists rows of more bytes than a page holds, each once and in order, both ways', async () => {
    const texts = store.records<string>({ name: 'texts' });
    const keys = Array.from({ length: 12 }, (_, index) => joinKey(index));
    await store.write(
      keys.map((key) => texts.put(key, 'x'.repeat(400_000))),
      { sync: false },
    );
    const listedKeys = async (reverse: boolean) => {
      const found: string[] = [];
      for await (const [key] of texts.list({ reverse })) found.push(key);
      return found;
    };
    assert.deepEqual(await listedKeys(false), keys);
    assert.deepEqual(await listedKeys(true), keys.toReversed());
  });

  it('tells apart keys beyond ASCII, at any length', async () => {
    const texts = store.records<string>({ name: 'texts' });
    for (let length = 1; length < 200; length++) {
      const start = 'x'.repeat(length);
      const longer = `${start}é and more`;
      await store.write([texts.put(start, 'short'), texts.put(longer, 'long')], { sync: false });
      assert.equal(await texts.get(start), 'short');
      assert.equal(await texts.get(longer), 'long', `${length}`);
    }
  });

  it('goes on while the rows it has listed are deleted', async () => {
    const counters = store.records(keySpaces.counters);
    const keys = Array.from({ length: 1_200 }, (_, index) => joinKey(index));
    await store.write(
      keys.map((key) => counters.put(key, 0)),
      { sync: false },
    );
    const seen: string[] = [];
    for await (const [key] of counters.list()) {
      seen.push(key);
      if (seen.length % 100 === 0) {
        await store.write(
          seen.slice(-100).map((done) => counters.delete(done)),
          { sync: false },
        );
      }
    }
    assert.deepEqual(seen, keys);
    assert.deepEqual(await listed(keySpaces.counters, {}), []);
  });

  it('lists exactly the rows of any range, in the order of their UTF-8 bytes', async () => {
    const keys = ['', 'a', 'a/', 'a/b', 'a/b/c', 'a/c', 'a0', 'b', 'b/é', 'b/😀', 'b/\uffee', 'c'];
    const counters = store.records(keySpaces.counters);
    await store.write(
      keys.map((key, index) => counters.put(key, index)),
      { sync: false },
    );
    // Neighbours on both sides, which no range of this table may show.
    await store.write(
      [
        store.records({ name: 'countera' }).put('x', 0),
        store.records({ name: 'counters2' }).put('x', 0),
      ],
      { sync: false },
    );
    const bound = fc.constantFrom(...keys, 'aa', 'z');
    const range = fc.record(
      {
        prefix: fc.constantFrom('', 'a', 'a/', 'a/b', 'b/', 'x'),
        gt: bound,
        gte: bound,
        lt: bound,
        lte: bound,
        reverse: fc.boolean(),
        limit: fc.nat(4),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(range, async (wanted) => {
        const found = await listed(keySpaces.counters, wanted as KeyRange);
        assert.deepEqual(
          found.map(([key]) => key),
          expectedKeys(keys, wanted as KeyRange),
        );
      }),
    );
  });

  async function listed<V>(space: { name: string }, range: KeyRange): Promise<[string, V][]> {
    const rows: [string, V][] = [];
    for await (const row of store.records<V>(space).list(range)) rows.push(row);
    return rows;
  }
});

describe('joinKey', () => {
  it('makes numbers sort as numbers', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (a, b) => {
        assert.equal(joinKey('x', a) < joinKey('x', b), a < b);
      }),
    );
  });

  it('refuses parts that would make two keys equal, and numbers without a place', () => {
    assert.throws(() => joinKey('a/b', 'c'), RangeError);
    for (const number of [-1, 1.5, Number.NaN, 2 ** 53]) {
      assert.throws(() => joinKey(number), RangeError);
    }
  });
});

describe('keySpaces', () => {
  it('has a name for each table, and each name once', () => {
    const names = Object.values(keySpaces).map((space) => space.name);
    assert.equal(new Set(names).size, names.length);
    for (const name of names) assert.match(name, /^[a-z]+(-[a-z]+)*$/);
  });
});

function expectedKeys(keys: readonly string[], range: KeyRange): string[] {
  const compare = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
  const { prefix = '', gt, gte, lt, lte, reverse, limit } = range;
  const inRange = keys
    .filter((key) => key.startsWith(prefix))
    .filter((key) => gt === undefined || compare(key, gt) > 0)
    .filter((key) => gte === undefined || compare(key, gte) >= 0)
    .filter((key) => lt === undefined || compare(key, lt) < 0)
    .filter((key) => lte === undefined || compare(key, lte) <= 0)
    .sort(compare);
  return (reverse ? inRange.reverse() : inRange).slice(0, limit);
}

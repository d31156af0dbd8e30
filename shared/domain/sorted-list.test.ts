import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SortedList } from './sorted-list.ts';

/** What is equal in the order may be told apart. */
interface Entry {
  readonly key: number;
  readonly name: string;
}

const compare = (a: Pick<Entry, 'key'>, b: Pick<Entry, 'key'>) => a.key - b.key;
const newList = () => new SortedList<Entry, Pick<Entry, 'key'>>(compare);

/** The same, in the simplest way. */
class SimpleList {
  entries: Entry[] = [];

  put(entry: Entry): void {
    this.delete(entry);
    this.entries = [...this.entries, entry].sort(compare);
  }

  delete({ key }: Pick<Entry, 'key'>): void {
    this.entries = this.entries.filter((one) => one.key !== key);
  }
}

describe('sorted list', () => {
  it('is as if it was sorted after each change', () => {
    const change = fc.record({
      key: fc.integer({ min: 0, max: 40 }),
      name: fc.constantFrom('a', 'b'),
      isGone: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 120 }), (changes) => {
        const [list, simple] = [newList(), new SimpleList()];
        for (const { isGone, ...entry } of changes) {
          for (const one of [list, simple]) isGone ? one.delete(entry) : one.put(entry);
          assert.equal(list.size, simple.entries.length);
          assert.equal(list.first, simple.entries[0]);
          const before = simple.entries.filter(({ key }) => key < entry.key).length;
          assert.equal(list.countBefore(entry), before);
          const behind = simple.entries.filter(({ key }) => key > entry.key);
          assert.deepEqual(list.after(entry, 3), behind.slice(0, 3));
          assert.equal(list.firstAfter(entry), behind[0]);
        }
        assert.deepEqual(list.after(undefined, 1_000), simple.entries);
      }),
    );
  });

  it('is so with very many, which come in any order and go again', () => {
    const list = newList();
    const count = 20_000;
    // 7,919 has no divisor in common with the count: each key comes once.
    const keys = Array.from({ length: count }, (_, n) => (n * 7_919) % count);
    for (const key of keys) list.put({ key, name: '' });
    const all = list.after(undefined, count);
    assert.ok(all.length === count && all.every(({ key }, index) => key === index));
    assert.equal(list.countBefore({ key: 12_345 }), 12_345);
    for (const key of keys) if (key % 100 !== 0) list.delete({ key });
    assert.deepEqual(
      list.after({ key: 10_050 }, 2).map(({ key }) => key),
      [10_100, 10_200],
    );
    assert.equal(list.countBefore({ key: 10_050 }), 101);
    for (const key of keys) list.delete({ key });
    assert.deepEqual([list.size, list.first, list.after(undefined, 9)], [0, undefined, []]);
  });

  it('looks at a few values only, however many there are', () => {
    let lookCount = 0;
    const list = new SortedList<number>((a, b) => {
      lookCount += 1;
      return a - b;
    });
    for (let key = 0; key < 100_000; key++) list.put(2 * key);
    lookCount = 0;
    list.put(77_777);
    list.delete(77_778);
    list.firstAfter(77_779);
    list.countBefore(77_780);
    assert.ok(lookCount < 120, `${lookCount}`);
  });
});

import type { Level } from 'level';
import type { KeySpace } from './key-space.ts';
import type { Change } from './state-store.ts';

/** Which rows of a table, by key; all of them when nothing is given. */
export interface KeyRange {
  readonly prefix?: string;
  readonly gt?: string;
  readonly gte?: string;
  readonly lt?: string;
  readonly lte?: string;
  readonly reverse?: boolean;
  readonly limit?: number;
}

/** The typed rows of one table. Reads at once; changes are values for `StateStore.write`. */
export class RecordStore<V> {
  readonly #space: KeySpace<V>;
  readonly #level: Level<string, string>;

  constructor(space: KeySpace<V>, level: Level<string, string>) {
    this.#space = space;
    this.#level = level;
  }

  async get(key: string): Promise<V | undefined> {
    const text = (await this.#level.get(`${this.#space.name}:${key}`)) as string | undefined;
    return text === undefined ? undefined : (JSON.parse(text) as V);
  }

  /** The rows of these keys, in their order. */
  async getMany(keys: readonly string[]): Promise<(V | undefined)[]> {
    return Promise.all(keys.map((key) => this.get(key)));
  }

  /** Rows in ascending order of their keys. */
  async *list(range: KeyRange = {}): AsyncIterable<[string, V]> {
    const start = `${this.#space.name}:`;
    let count = 0;
    for await (const [fullKey, text] of this.#level.iterator({
      gte: start,
      lt: `${this.#space.name};`,
      reverse: range.reverse ?? false,
    })) {
      const key = fullKey.slice(start.length);
      if (count >= (range.limit ?? Number.POSITIVE_INFINITY)) return;
      if (!isInRange(key, range)) continue;
      count++;
      yield [key, JSON.parse(text) as V];
    }
  }

  put(key: string, value: V): Change {
    return { type: 'put', space: this.#space.name, key, value };
  }

  delete(key: string): Change {
    return { type: 'delete', space: this.#space.name, key };
  }
}

function isInRange(key: string, range: KeyRange): boolean {
  if (range.prefix !== undefined && !key.startsWith(range.prefix)) return false;
  if (range.gt !== undefined && !(key > range.gt)) return false;
  if (range.gte !== undefined && !(key >= range.gte)) return false;
  if (range.lt !== undefined && !(key < range.lt)) return false;
  return range.lte === undefined || key <= range.lte;
}

import { WaybillError } from '../domain/errors.ts';
import { type Bound, type Database, lastCharacter, type RowRange } from './database.ts';
import type { KeySpace } from './key-space.ts';
import type { Change } from './state-store.ts';

/** Which rows of a table, by key; all of them when nothing is given. Bounds may be combined. */
export interface KeyRange {
  readonly prefix?: string;
  readonly gt?: string;
  readonly gte?: string;
  readonly lt?: string;
  readonly lte?: string;
  /** From the last row to the first. @default false */
  readonly reverse?: boolean;
  /** Rows at most. @default all */
  readonly limit?: number;
}

/** Stands between the table and the key in LevelDB; `spaceEnd` is the character after it. */
const separator = ':';
const spaceEnd = ';';

/** The key in LevelDB of a row. */
export function toRowKey(row: { space: string; key: string }): string {
  return `${row.space}${separator}${row.key}`;
}

/** The typed rows of one table. Reads at once; changes are values for `StateStore.write`. */
export class RecordStore<V> {
  readonly #database: Database;
  readonly #path: string;
  readonly #space: KeySpace<V>;

  constructor(needs: { database: Database; path: string }, space: KeySpace<V>) {
    this.#database = needs.database;
    this.#path = needs.path;
    this.#space = space;
  }

  async get(key: string): Promise<V | undefined> {
    const [value] = await this.getMany([key]);
    return value;
  }

  /** The rows of these keys, in their order. */
  async getMany(keys: readonly string[]): Promise<(V | undefined)[]> {
    const rowKeys = keys.map((key) => toRowKey({ space: this.#space.name, key }));
    const texts = await this.#database.getMany(rowKeys);
    return texts.map((text, index) =>
      text === undefined ? undefined : this.#parse(keys[index] ?? '', text),
    );
  }

  /**
   * Rows in ascending order of their keys, read page by page: memory stays small, writes go on, and
   * a row that is there all the while comes exactly once. Whether a row that is written meanwhile
   * comes is open.
   */
  async *list(range: KeyRange = {}): AsyncIterable<[string, V]> {
    const start = toRowKey({ space: this.#space.name, key: '' });
    for await (const rows of this.#database.pages(this.#toRowRange(range), range.limit)) {
      for (const [rowKey, text] of rows) {
        const key = rowKey.slice(start.length);
        yield [key, this.#parse(key, text)];
      }
    }
  }

  /** The change that writes this row, new or not. */
  put(key: string, value: V): Change {
    return { type: 'put', space: this.#space.name, key, value };
  }

  /** The change that deletes this row, if it is there. */
  delete(key: string): Change {
    return { type: 'delete', space: this.#space.name, key };
  }

  #toRowRange(range: KeyRange): RowRange {
    const bound = (key: string, isIncluded: boolean): Bound => ({
      key: toRowKey({ space: this.#space.name, key }),
      isIncluded,
    });
    const { prefix = '', gt, gte, lt, lte, reverse = false } = range;
    // The tightest bound counts; of two at one key the later, which leaves the key out.
    const lowers = [bound(prefix, true)];
    if (gte !== undefined) lowers.push(bound(gte, true));
    if (gt !== undefined) lowers.push(bound(gt, false));
    const uppers = [{ key: `${this.#space.name}${spaceEnd}`, isIncluded: false }];
    if (prefix !== '') uppers.push(bound(prefix + lastCharacter, false));
    if (lte !== undefined) uppers.push(bound(lte, true));
    if (lt !== undefined) uppers.push(bound(lt, false));
    return {
      lower: lowers.reduce((a, b) => (compareBounds(a, b) > 0 ? a : b)),
      upper: uppers.reduce((a, b) => (compareBounds(a, b) < 0 ? a : b)),
      reverse,
    };
  }

  #parse(key: string, text: string): V {
    try {
      return JSON.parse(text) as V;
    } catch (error) {
      const reason = `row ${key} of ${this.#space.name} is not JSON`;
      throw new WaybillError(
        { code: 'STATE_STORE_DAMAGED', path: this.#path, reason },
        { cause: error },
      );
    }
  }
}

function compareBounds(a: Bound, b: Bound): number {
  return Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));
}

import type { Level } from 'level';
import { loadLevel } from './level.ts';
import { diskFullError } from './level-error.ts';

/** A row with its whole key and its text. */
export type Row = [key: string, text: string];

export type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'del'; readonly key: string };

/** Where a range ends, in the order of the keys' UTF-8 bytes. */
export interface Bound {
  readonly key: string;
  readonly isIncluded: boolean;
}

export interface RowRange {
  readonly lower: Bound;
  readonly upper: Bound;
  /** From the upper bound down. */
  readonly reverse: boolean;
}

/** Sorts behind every other character; so no key may hold it. */
export const lastCharacter = '\u{10ffff}';

/** Rows of a page, and bytes after which a page ends early. */
const pageRowsMax = 1_000;
const pageBytesMax = 1024 * 1024;

/**
 * LevelDB that goes on after a failed write. Once a write has failed, LevelDB cannot be trusted with
 * the next: what it appends behind a torn record is lost without a word at the next start, and after
 * a failed sync it refuses all writes. So the database is opened anew before the next write, which
 * also undoes what the failed one may have left.
 *
 * Writes come one at a time; reads at any time.
 */
export class Database {
  readonly #level: Level;
  readonly #reads = new Set<Promise<unknown>>();
  /** The rows as they were before the failed write; undefined while all is well. */
  #undo: Operation[] | undefined;
  #reopening: Promise<void> | undefined;
  #isClosed = false;

  private constructor(level: Level) {
    this.#level = level;
  }

  /** @throws what LevelDB throws; DISK_FULL when there is no room to open it */
  static async open(directory: string): Promise<Database> {
    const level = new (await loadLevel())(directory);
    try {
      await level.open();
    } catch (error) {
      throw (await diskFullError(directory, error)) ?? error;
    }
    return new Database(level);
  }

  async getMany(keys: readonly string[]): Promise<(string | undefined)[]> {
    const [key] = keys;
    // One row lies in memory, nearly always: the way to a thread and back takes a hundred times as
    // long. Not for a key beyond ASCII, which LevelDB's binding (3.0.0) may cut off when it is asked so.
    if (key !== undefined && keys.length === 1 && Buffer.byteLength(key) === key.length) {
      return this.#read(async () => [this.#getSync(key)]);
    }
    return this.#read(() => this.#level.getMany([...keys]));
  }

  /** The first rows of the range, at most a page. */
  async #page(range: RowRange, rowsMax: number): Promise<{ rows: Row[]; isLast: boolean }> {
    return this.#read(async () => {
      const iterator = this.#level.iterator(toLevelRange(range));
      try {
        const count = Math.min(rowsMax, pageRowsMax);
        const rows = await iterator.nextv(count);
        // A page that is not full ended early, for its bytes, or the range did: then this asks nobody.
        const more = rows.length < count ? await iterator.nextv(1) : [];
        return { rows: [...rows, ...more], isLast: rows.length < count && more.length === 0 };
      } finally {
        await iterator.close();
      }
    });
  }

  /** All rows of the range, page by page; each page as the rows are when it is read. */
  async *pages(range: RowRange, rowsMax = Number.POSITIVE_INFINITY): AsyncIterable<Row[]> {
    let rest = range;
    for (let left = rowsMax; left > 0; ) {
      const { rows, isLast } = await this.#page(rest, left);
      const last = rows.at(-1);
      if (!last) return;
      yield rows;
      if (isLast) return;
      left -= rows.length;
      rest = behind(rest, last[0]);
    }
  }

  /**
   * Carries out all operations or none. After a rejection none is visible; only when the process
   * dies before the next successful write may they still turn up.
   *
   * @throws DISK_FULL when there is no room
   */
  async write(operations: readonly Operation[], options: { sync: boolean }): Promise<void> {
    if (this.#undo) await this.#reopen();
    try {
      await this.#writeBatch(operations, options);
    } catch (error) {
      if (this.#level.status === 'open') {
        this.#undo = await this.#undoOf(operations).catch(() => []);
      }
      throw (await diskFullError(this.#level.location, error)) ?? error;
    }
  }

  /** Writes all tables anew, with sound checksums and filters; drops what is out of date. */
  async compact(): Promise<void> {
    // `level` types itself for browsers too, which cannot do this.
    const level = this.#level as unknown as { compactRange(a: string, b: string): Promise<void> };
    await level.compactRange('', lastCharacter);
  }

  /** Waits for what is under way; safe to call twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#reopening?.catch(() => {});
    await this.#level.close();
  }

  #getSync(key: string): string | undefined {
    // `level` types itself for browsers too, which cannot do this.
    const level = this.#level as unknown as { getSync(key: string): string | undefined };
    return level.getSync(key);
  }

  async #read<T>(work: () => Promise<T>): Promise<T> {
    while (this.#reopening !== undefined) await this.#reopening.catch(() => {});
    // Closed against our will: opening anew has failed, and may succeed now.
    if (this.#level.status !== 'open' && !this.#isClosed) await this.#reopen();
    const read = work();
    this.#reads.add(read);
    try {
      return await read;
    } finally {
      this.#reads.delete(read);
    }
  }

  async #writeBatch(operations: readonly Operation[], options: { sync: boolean }): Promise<void> {
    // A chained batch: eight times as fast as an array of operations, which `level` copies one by one.
    const batch = this.#level.batch();
    for (const operation of operations) {
      if (operation.type === 'put') batch.put(operation.key, operation.value);
      else batch.del(operation.key);
    }
    await batch.write(options);
  }

  async #undoOf(operations: readonly Operation[]): Promise<Operation[]> {
    const keys = operations.map((operation) => operation.key);
    const texts = await this.getMany(keys);
    return keys.map((key, index) => {
      const value = texts[index];
      return value === undefined ? { type: 'del', key } : { type: 'put', key, value };
    });
  }

  #reopen(): Promise<void> {
    this.#reopening ??= this.#openAnew().finally(() => {
      this.#reopening = undefined;
    });
    return this.#reopening;
  }

  async #openAnew(): Promise<void> {
    const full = await diskFullError(this.#level.location);
    // While it is open it can be read; without room it could not be opened again.
    if (full) throw full;
    await Promise.allSettled(this.#reads);
    await this.#level.close();
    if (this.#isClosed) return;
    // Where somebody deleted the directory, an empty database is not what we had.
    await this.#level.open({ createIfMissing: false });
    try {
      await this.#writeBatch(this.#undo ?? [], { sync: true });
      this.#undo = undefined;
    } catch (error) {
      // Nobody may read what is not undone.
      await this.#level.close();
      throw error;
    }
  }
}

/** What is left of a range behind a key. */
function behind(range: RowRange, key: string): RowRange {
  return { ...range, [range.reverse ? 'upper' : 'lower']: { key, isIncluded: false } };
}

function toLevelRange({ lower, upper, reverse }: RowRange) {
  return {
    ...(lower.isIncluded ? { gte: lower.key } : { gt: lower.key }),
    ...(upper.isIncluded ? { lte: upper.key } : { lt: upper.key }),
    reverse,
    highWaterMarkBytes: pageBytesMax,
  };
}

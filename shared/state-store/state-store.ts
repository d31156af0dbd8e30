import { Level } from 'level';
import type { Logger } from '../runtime/logger.ts';
import type { KeySpace } from './key-space.ts';
import { RecordStore } from './record-store.ts';

/** One row written or deleted; made by a record store, carried out by `StateStore.write`. */
export type Change =
  | {
      readonly type: 'put';
      readonly space: string;
      readonly key: string;
      readonly value: unknown;
    }
  | { readonly type: 'delete'; readonly space: string; readonly key: string };

/** What was found damaged at open, and what became of it. */
export interface StateStoreDamage {
  /** The directory the damaged store was moved to; nothing in it was deleted. */
  readonly setAsideAs: string;
  readonly reason: string;
  /** True: what could be read is in the store. False: the store begins empty. */
  readonly repaired: boolean;
}

export type WriteListener = (changes: readonly Change[]) => void;

/** All work, history and configuration of an agent, in tables of JSON rows over LevelDB. */
export class StateStore {
  readonly #level: Level<string, string>;
  readonly #listeners = new Set<WriteListener>();

  private constructor(level: Level<string, string>) {
    this.#level = level;
  }

  static async open(options: {
    directory: string;
    logger: Logger;
  }): Promise<{ store: StateStore; damage?: StateStoreDamage }> {
    const level = new Level<string, string>(options.directory);
    await level.open();
    return { store: new StateStore(level) };
  }

  /** The rows of one table. */
  records<V>(space: KeySpace<V>): RecordStore<V> {
    return new RecordStore<V>(space, this.#level);
  }

  /** Writes all changes or none. With `sync` they survive a power cut once this resolves. */
  async write(changes: readonly Change[], options: { sync: boolean }): Promise<void> {
    const operations = changes.map((change) => {
      const key = `${change.space}:${change.key}`;
      return change.type === 'put'
        ? ({ type: 'put', key, value: JSON.stringify(change.value) } as const)
        : ({ type: 'del', key } as const);
    });
    await this.#level.batch(operations, { sync: options.sync });
    for (const listener of this.#listeners) listener(changes);
  }

  /** Calls `listener` after each successful write, in the order of the writes. */
  onWritten(listener: WriteListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    await this.#level.close();
  }
}

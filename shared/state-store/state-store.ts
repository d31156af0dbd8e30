import assert from 'node:assert/strict';
import type { Logger } from '../runtime/logger.ts';
import { type Database, lastCharacter, type Operation } from './database.ts';
import { DirectoryLock } from './directory-lock.ts';
import { type KeySpace, keySpaces } from './key-space.ts';
import { migrateRows } from './migrations.ts';
import { damageKey, openDatabase } from './open-database.ts';
import { RecordStore, toRowKey } from './record-store.ts';
import type { StateStoreDamage } from './store-repair.ts';
import { WriteQueue } from './write-queue.ts';

export type { StateStoreDamage };

/** One row written or deleted; made by a record store, carried out by `StateStore.write`. */
export type Change =
  | {
      readonly type: 'put';
      readonly space: string;
      readonly key: string;
      readonly value: unknown;
    }
  | { readonly type: 'delete'; readonly space: string; readonly key: string };

/** @param options.isSynced the changes survive a power cut */
export type WriteListener = (
  changes: readonly Change[],
  options: { readonly isSynced: boolean },
) => void;

/** What follows from changes, without a read: more changes for the same batch. */
export type Derivation = (changes: readonly Change[]) => readonly Change[];

/**
 * All work, history and configuration of an agent: tables of JSON rows over LevelDB.
 *
 * The components of a program share one; each table has one writer. Writes its directory, and beside
 * it `<directory>.lock` and, after damage, `<directory>.damaged-<n>`. A crash leaves every batch done
 * or not done; a synced one is done.
 */
export class StateStore {
  readonly #directory: string;
  readonly #database: Database;
  readonly #lock: DirectoryLock;
  readonly #queue: WriteQueue;
  readonly #listeners = new Set<WriteListener>();
  readonly #derivations = new Set<Derivation>();
  #lastWrite: Promise<void> = Promise.resolve();

  private constructor(directory: string, needs: { database: Database; lock: DirectoryLock }) {
    this.#directory = directory;
    this.#database = needs.database;
    this.#lock = needs.lock;
    this.#queue = new WriteQueue((operations, options) =>
      this.#database.write(operations, options),
    );
  }

  /**
   * Opens the store; makes a new one when there is none. Every checksum is verified and every row
   * read. A damaged store is set aside and repaired, or begun anew.
   *
   * @returns `damage` at every open until a batch with `damageHandled()` has been written
   * @throws DATA_DIRECTORY_IN_USE, STATE_STORE_NEWER, DISK_FULL
   */
  static async open(options: {
    directory: string;
    logger: Logger;
  }): Promise<{ store: StateStore; damage?: StateStoreDamage }> {
    const { directory, logger } = options;
    const lock = await DirectoryLock.take(directory);
    let database: Database | undefined;
    try {
      database = await openDatabase(directory, logger);
      const store = new StateStore(directory, { database, lock });
      await migrateRows(store);
      const damage = await store.records(keySpaces.storeState).get(damageKey);
      return damage === undefined ? { store } : { store, damage: damage as StateStoreDamage };
    } catch (error) {
      await database?.close();
      await lock.release();
      throw error;
    }
  }

  /** The rows of one table. */
  records<V>(space: KeySpace<V>): RecordStore<V> {
    return new RecordStore({ database: this.#database, path: this.#directory }, space);
  }

  /**
   * Writes all changes or none, in the order of the calls. With `sync` they survive a power cut once
   * this resolves; without, a crash of the process only. After a rejection none is visible and the
   * store goes on; only a crash before its next successful write may still bring them up.
   *
   * @throws DISK_FULL when there is no room
   */
  write(changes: readonly Change[], options: { sync: boolean }): Promise<void> {
    if (changes.length === 0) return Promise.resolve();
    // In the turn of the call: what is derived has the order of the writes.
    const written = this.#write(this.#withDerived(changes), options);
    this.#lastWrite = Promise.allSettled([this.#lastWrite, written]).then(() => {});
    return written;
  }

  /** Resolves when the writes asked for so far are done, well or not, and their listeners called. */
  settled(): Promise<void> {
    return this.#lastWrite;
  }

  /**
   * Calls `listener` after each successful write, in the order of the writes.
   *
   * @returns ends it
   */
  onWritten(listener: WriteListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /**
   * Calls `derive` inside each `write`, in the order of the writes; what it gives is written in the
   * same batch, so it is there if and only if the changes are. Must not fail.
   *
   * @returns ends it
   */
  deriveWith(derive: Derivation): () => void {
    this.#derivations.add(derive);
    return () => {
      this.#derivations.delete(derive);
    };
  }

  /** Put this in the batch that holds what was done about the damage; it is told until then. */
  damageHandled(): Change {
    return this.records(keySpaces.storeState).delete(damageKey);
  }

  /**
   * Ends when what was to be written is written; safe to call twice. When it fails the store is still open here, and
   * so nobody else may have its directory: to be called again.
   */
  async close(): Promise<void> {
    await this.#queue.whenIdle();
    await this.#database.close();
    await this.#lock.release();
  }

  #withDerived(changes: readonly Change[]): readonly Change[] {
    if (this.#derivations.size === 0) return changes;
    const derived = [...this.#derivations].flatMap((derive) => derive(changes));
    return derived.length === 0 ? changes : [...changes, ...derived];
  }

  async #write(changes: readonly Change[], options: { sync: boolean }): Promise<void> {
    await this.#queue.write(changes.map(toOperation), options);
    const told = { isSynced: options.sync };
    for (const listener of this.#listeners) tell(() => listener(changes, told));
  }
}

function toOperation(change: Change): Operation {
  const key = toRowKey(change);
  assert(key.isWellFormed() && !key.includes(lastCharacter), 'A key cannot be stored');
  if (change.type === 'delete') return { type: 'del', key };
  const value: string | undefined = JSON.stringify(change.value);
  assert(value !== undefined, 'A row must be JSON');
  return { type: 'put', key, value };
}

/** A listener that throws is a bug, but not the writer's: its write is done. */
function tell(listen: () => void): void {
  try {
    listen();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

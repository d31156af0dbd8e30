import type { UnreferencedFile } from '../domain/library-index.ts';
import { joinKey, keySpaces } from '../state-store/key-space.ts';
import type { RecordStore } from '../state-store/record-store.ts';
import type { Change, StateStore } from '../state-store/state-store.ts';

/** Most changes written in one batch. */
const batchChangesMax = 4_000;

/** What the index says of some shards of the file library. */
export interface ShardReferences {
  /** Hashes of files some content uses. */
  readonly referenced: ReadonlySet<string>;
  /** fileHash → the mark of a file that no content is known to use. */
  readonly unreferenced: ReadonlyMap<string, UnreferencedFile>;
}

/**
 * Which contents use which files: an index over the manifests, kept in the state store, one row
 * for each file of each content. It can be thrown away; `isComplete` says whether it was.
 *
 * "Unreferenced" marks when a file was let go. The mark alone deletes nothing: only the sweep does,
 * once it has seen that no reference is left.
 */
export class LibraryReferences {
  readonly #store: StateStore;
  readonly #references: RecordStore<true>;
  readonly #unreferenced: RecordStore<UnreferencedFile>;
  readonly #state: RecordStore<{ readonly complete: boolean }>;
  /** Known to be so since the last look: on a DP that has only taken packages yet, for one. */
  #isNothingMarked = false;

  constructor(store: StateStore) {
    this.#store = store;
    this.#references = store.records(keySpaces.libraryReferences);
    this.#unreferenced = store.records(keySpaces.libraryUnreferenced);
    this.#state = store.records(keySpaces.libraryState);
  }

  /** Whether every reference there is, is in the index. False for a new store. */
  async isComplete(): Promise<boolean> {
    return (await this.#state.get('index'))?.complete === true;
  }

  /** Throws the index away; it is incomplete until `markComplete`. */
  async clear(): Promise<void> {
    await this.#store.write([this.#state.put('index', { complete: false })], { sync: true });
    for (const records of [this.#references, this.#unreferenced] as RecordStore<unknown>[]) {
      let changes: Change[] = [];
      for await (const [key] of records.list()) {
        changes.push(records.delete(key));
        if (changes.length < batchChangesMax) continue;
        await this.#store.write(changes, { sync: false });
        changes = [];
      }
      await this.#store.write(changes, { sync: false });
    }
  }

  /** Says that every reference is in the index now. */
  async markComplete(): Promise<void> {
    await this.#store.write([this.#state.put('index', { complete: true })], { sync: true });
  }

  /**
   * Notes that a content uses these files; durable when this resolves. A later sync would not do:
   * LevelDB syncs only the log it writes to, not the one it left when that was full.
   */
  async add(contentId: string, hashes: Iterable<string>): Promise<void> {
    const unique = [...new Set(hashes)];
    if (unique.length === 0) return;
    const references = unique.map((hash) => this.#references.put(joinKey(hash, contentId), true));
    const changes = [...references, ...this.#unmarkings(unique)];
    await this.#store.write(changes, { sync: true });
  }

  /**
   * Notes that a content uses these files no more, and marks those that none of the successors
   * uses.
   */
  async release(
    contentId: string,
    hashes: Iterable<string>,
    options: { successors: readonly string[]; sinceMs: number },
  ): Promise<void> {
    const unique = [...new Set(hashes)];
    const isUsed = await this.areUsedBy(unique, options.successors);
    const mark: UnreferencedFile = { sinceMs: options.sinceMs, released: true };
    const changes = unique.flatMap((hash, index) => [
      this.#references.delete(joinKey(hash, contentId)),
      ...(isUsed[index] ? [] : [this.#marking(hash, mark)]),
    ]);
    await this.#store.write(changes, { sync: false });
  }

  /** Marks files that nobody has used yet, as far as is known. */
  async mark(hashes: readonly string[], sinceMs: number): Promise<void> {
    const changes = hashes.map((hash) => this.#marking(hash, { sinceMs }));
    if (changes.length > 0) await this.#store.write(changes, { sync: false });
  }

  /** Takes the marks off files that are used, written again (their grace begins anew), or gone. */
  async unmark(hashes: readonly string[]): Promise<void> {
    const changes = this.#unmarkings(hashes);
    if (changes.length > 0) await this.#store.write(changes, { sync: false });
  }

  #unmarkings(hashes: readonly string[]): Change[] {
    return this.#isNothingMarked ? [] : hashes.map((hash) => this.#unreferenced.delete(hash));
  }

  #marking(hash: string, mark: UnreferencedFile): Change {
    this.#isNothingMarked = false;
    return this.#unreferenced.put(hash, mark);
  }

  /**
   * Drops the references of contents that are gone, and marks their files. Reads the whole index.
   *
   * @param isLive whether a content of this ID is still to keep its files
   */
  async dropGone(isLive: (contentId: string) => boolean, sinceMs: number): Promise<void> {
    const mark: UnreferencedFile = { sinceMs, released: true };
    let changes: Change[] = [];
    for await (const [key] of this.#references.list()) {
      const [hash = '', contentId = ''] = key.split('/');
      if (isLive(contentId)) continue;
      changes.push(this.#references.delete(key), this.#marking(hash, mark));
      if (changes.length < batchChangesMax) continue;
      await this.#store.write(changes, { sync: false });
      changes = [];
    }
    await this.#store.write(changes, { sync: false });
  }

  /** What the index says of the shards from one to another. */
  async ofShards(first: string, last: string): Promise<ShardReferences> {
    // "g" stands behind every hexadecimal digit.
    const range = { gte: first, lt: `${last}g` };
    const referenced = new Set<string>();
    for await (const [key] of this.#references.list(range)) {
      referenced.add(key.slice(0, key.indexOf('/')));
    }
    const unreferenced = new Map<string, UnreferencedFile>();
    for await (const [hash, mark] of this.#unreferenced.list(range)) unreferenced.set(hash, mark);
    return { referenced, unreferenced };
  }

  /** Those of these files that are marked. */
  async marked(hashes: readonly string[]): Promise<string[]> {
    const marks = await this.#unreferenced.getMany([...hashes]);
    return hashes.filter((_, index) => marks[index] !== undefined);
  }

  /** The hashes of all marked files, ascending. None may be marked meanwhile. */
  async *listMarked(): AsyncGenerator<string> {
    let isNothingMarked = true;
    for await (const [hash] of this.#unreferenced.list()) {
      isNothingMarked = false;
      yield hash;
    }
    this.#isNothingMarked = isNothingMarked;
  }

  /** The contents that use a file, as far as the index says. */
  async contentsUsing(hash: string): Promise<string[]> {
    const contentIds: string[] = [];
    for await (const [key] of this.#references.list({ prefix: `${hash}/` })) {
      contentIds.push(key.slice(hash.length + 1));
    }
    return contentIds;
  }

  /** Which of these files one of the contents uses, as far as the index says. */
  async areUsedBy(hashes: readonly string[], contentIds: readonly string[]): Promise<boolean[]> {
    const isUsed = hashes.map(() => false);
    for (const contentId of contentIds) {
      const keys = hashes.map((hash) => joinKey(hash, contentId));
      const rows = await this.#references.getMany(keys);
      for (const [index, row] of rows.entries()) isUsed[index] ||= row === true;
    }
    return isUsed;
  }
}

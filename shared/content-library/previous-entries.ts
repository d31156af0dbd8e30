import {
  type ContentDescriptor,
  type ContentEntry,
  compareNames,
  type FileEntry,
} from '../domain/content.ts';
import { WaybillError } from '../domain/errors.ts';
import type { IndexedEntry } from './manifest-reader.ts';
import { openManifest } from './manifest-reader.ts';

/**
 * Goes through the entries of the previous content beside a walk of the source: both come in the
 * same order, so neither has to be kept in memory. A previous content that cannot be read is as
 * good as none: it only saves work.
 */
export class PreviousEntries implements AsyncDisposable {
  readonly #batches: AsyncGenerator<readonly IndexedEntry[]> | undefined;
  #batch: readonly IndexedEntry[] = [];
  #position = 0;
  /** Depth of the walk. */
  #depth = 0;
  /** Down to this depth the walk is in directories that the previous content has too. */
  #commonDepth = 0;

  constructor(
    previous: { readonly manifestPath: string; readonly descriptor: ContentDescriptor } | undefined,
  ) {
    this.#batches = previous && openManifest(previous.manifestPath, previous.descriptor).entries();
  }

  /** The walk goes into a directory. */
  async enter(name: string): Promise<void> {
    const entry = await this.#find(name);
    this.#depth++;
    if (entry?.type !== 'directory') return;
    this.#commonDepth = this.#depth;
    this.#position++;
  }

  /** The walk goes up. */
  leave(): void {
    this.#depth--;
    this.#commonDepth = Math.min(this.#commonDepth, this.#depth);
  }

  /** The previous file of this name, in the directory where the walk is. */
  async fileOf(name: string): Promise<FileEntry | undefined> {
    const entry = await this.#find(name);
    return entry?.type === 'file' ? entry : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#batches?.return(undefined);
  }

  async #find(name: string): Promise<ContentEntry | undefined> {
    if (this.#commonDepth !== this.#depth) return undefined;
    for (;;) {
      const entry = await this.#current();
      if (!entry || entry.depth < this.#depth) return undefined;
      const order = entry.depth > this.#depth ? -1 : compareNames(entry.name, name);
      if (order > 0) return undefined;
      if (order === 0) return entry;
      this.#position++;
    }
  }

  async #current(): Promise<ContentEntry | undefined> {
    while (this.#position >= this.#batch.length) {
      const next = await this.#nextBatch();
      if (!next) return undefined;
      this.#batch = next;
      this.#position = 0;
    }
    return this.#batch[this.#position]?.entry;
  }

  async #nextBatch(): Promise<readonly IndexedEntry[] | undefined> {
    try {
      const next = await this.#batches?.next();
      return next?.done === false ? next.value : undefined;
    } catch (error) {
      if (error instanceof WaybillError) return undefined;
      throw error;
    }
  }
}

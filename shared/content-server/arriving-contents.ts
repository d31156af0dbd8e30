import type { ContentDescriptor } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';
import type { PieceSet } from '../domain/piece-set.ts';

/** A content that is being fetched here, as far as others can fetch it from here. */
export interface ArrivingContent {
  readonly descriptor: ContentDescriptor;
  /** Whole and verified files, as long as the content is registered. */
  readonly manifestPath: string;
  readonly signaturePath: string;
  /** Units (see content-units.ts) that are here and verified; grows; a set of as many as there are. */
  readonly units: PieceSet;
  /** Deltas its sources told of and this side has verified by use; whether no more will come. */
  readonly deltas: { readonly used: readonly Delta[]; readonly areKnown: boolean };
}

/**
 * The contents that are just arriving. Filled by package downloads, read by the content server, so that
 * a pull DP behind a pull DP fetches at the pace of the first one. Stores nothing.
 */
export class ArrivingContents {
  /** By content ID; of two of one ID the newer one. */
  readonly #contents = new Map<string, ArrivingContent>();
  readonly #listeners = new Map<string, Set<() => void>>();

  /** From now on it can be fetched here as far as it is here; call the result when it arrives no more. */
  add(content: ArrivingContent): () => void {
    const { contentId } = content.descriptor;
    this.#contents.set(contentId, content);
    this.changed(contentId);
    return () => {
      if (this.#contents.get(contentId) !== content) return;
      this.#contents.delete(contentId);
      this.changed(contentId);
    };
  }

  /** More of it is here, or its deltas are known. Cheap: called for every piece. */
  changed(contentId: string): void {
    for (const listener of this.#listeners.get(contentId) ?? []) listener();
  }

  /** The content that arrives under this ID now. */
  find(contentId: string): ArrivingContent | undefined {
    return this.#contents.get(contentId);
  }

  /**
   * Calls the listener after each change of that content, its begin and its end included. It must do
   * little. The result ends it.
   */
  watch(contentId: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(contentId) ?? new Set();
    this.#listeners.set(contentId, listeners);
    // A function of its own, so that one listener can be given twice.
    const entry = () => listener();
    listeners.add(entry);
    return () => {
      listeners.delete(entry);
      if (listeners.size === 0 && this.#listeners.get(contentId) === listeners) {
        this.#listeners.delete(contentId);
      }
    };
  }
}

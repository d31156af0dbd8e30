/**
 * What the event loop asks of the part worker. A part goes by its key (part-path.ts); hashes are
 * lower-case hexadecimal.
 */
export type PartRequest =
  /** Opens a part, hashes what is there, and says how much that is. */
  | {
      readonly kind: 'open';
      readonly key: string;
      readonly fileHash: string;
      readonly fileBytes: number;
    }
  /** Writes the bytes that follow those that are here. */
  | {
      readonly kind: 'write';
      readonly key: string;
      readonly offsetBytes: number;
      readonly bytes: Uint8Array;
    }
  /** Syncs a part that has all its bytes, and compares its hash; closes it. */
  | { readonly kind: 'finish'; readonly key: string }
  | { readonly kind: 'close'; readonly key: string };

export type PartResult =
  | { readonly outcome: 'held'; readonly heldBytes: number }
  /** The part has all its bytes and its hash, and they are on disk. */
  | { readonly outcome: 'whole' }
  /** It had all its bytes and another hash: nothing of it is left. */
  | { readonly outcome: 'hash-mismatch'; readonly actualHash: string }
  /** Nobody opened it, or it could not be kept: it has to be opened (again). */
  | { readonly outcome: 'not-open' };

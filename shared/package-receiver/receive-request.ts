import type { PackedFiles } from './packed-files.ts';

/** What the event loop asks of the receive worker. Hashes: lower-case hexadecimal. */
export type ReceiveRequest =
  /** Opens a file of several pieces and says which pieces are already there, verified. */
  | {
      readonly kind: 'open-partial';
      readonly hash: string;
      readonly sizeBytes: number;
      /** 32 bytes a piece. */
      readonly pieceHashes: Uint8Array;
    }
  | {
      readonly kind: 'write-piece';
      readonly hash: string;
      readonly pieceIndex: number;
      readonly bytes: Uint8Array;
      /** Somebody here reads the file while it arrives: what is read soon stays in the page cache. */
      readonly isReadSoon: boolean;
    }
  | { readonly kind: 'write-small'; readonly files: PackedFiles }
  | {
      readonly kind: 'verify-small';
      readonly files: readonly { readonly hash: string; readonly sizeBytes: number }[];
    }
  | { readonly kind: 'close-partial'; readonly hash: string };

export type ReceiveResult =
  /** `complete`: the whole file is here and has its hash; it is closed. */
  | { readonly outcome: 'opened'; readonly pieces: Uint8Array; readonly complete: boolean }
  | { readonly outcome: 'written'; readonly complete: boolean }
  | {
      readonly outcome: 'hash-mismatch';
      readonly expectedHash: string;
      readonly actualHash: string;
      /** All pieces were right and the whole file was not: nothing of it is left. */
      readonly discarded: boolean;
    }
  /** Nobody opened this file, or it could not be kept: it has to be opened (again). */
  | { readonly outcome: 'not-open' }
  | { readonly outcome: 'verified'; readonly whole: readonly boolean[] }
  | { readonly outcome: 'closed' };

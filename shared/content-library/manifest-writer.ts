import { closeSync, openSync } from 'node:fs';
import {
  type ContentDescriptor,
  type ContentEntry,
  type DirectoryEntry,
  type FileEntry,
  type SymlinkEntry,
  signatureBytesOf,
} from '../domain/content.ts';
import { WaybillError } from '../domain/errors.ts';
import { ContentHash } from './content-hash.ts';
import { EntryOrder } from './entry-order.ts';
import { toWriteFailure } from './library-failure.ts';
import { encodeEntry, encodeHeader, headerBytes } from './manifest-format.ts';
import { writeFully } from './write-fully.ts';

/** How much is gathered before it is written. */
const bufferBytesMax = 256 * 1024;

/**
 * Writes the manifest and the signature of a content, entry by entry, in bounded memory. Blocks:
 * for worker threads. Both files are whole once `finish` has returned; they are not synced.
 */
export class ManifestWriter implements Disposable {
  readonly #contentId: string;
  readonly #manifest: HashedFile;
  readonly #signature: HashedFile;
  readonly #order = new EntryOrder();
  #entryCount = 0;
  #fileCount = 0;
  #sizeBytes = 0;

  constructor(files: { contentId: string; manifestPath: string; signaturePath: string }) {
    this.#contentId = files.contentId;
    this.#manifest = new HashedFile(files.manifestPath, headerBytes);
    this.#signature = new HashedFile(files.signaturePath, 0);
  }

  /** Why this entry may not come next, or undefined when it may: to be asked before `add`. */
  refusalOfNext(entry: Pick<ContentEntry, 'depth' | 'name' | 'type'>): string | undefined {
    return this.#order.refusalOfNext(entry);
  }

  /** @param pieceHashes 32 bytes a piece for a file of several pieces, none for others */
  addFile(entry: FileEntry, pieceHashes: Uint8Array): void {
    if (pieceHashes.length !== signatureBytesOf(entry.sizeBytes)) {
      throw new RangeError('The piece hashes are not those of a file of this size');
    }
    this.#fileCount++;
    this.#sizeBytes += entry.sizeBytes;
    if (!Number.isSafeInteger(this.#sizeBytes)) this.#refuse('the total size is too large');
    this.#signature.append(pieceHashes);
    this.#append(entry);
  }

  add(entry: DirectoryEntry | SymlinkEntry): void {
    this.#append(entry);
  }

  finish(): ContentDescriptor {
    const counts = {
      contentId: this.#contentId,
      entryCount: this.#entryCount,
      fileCount: this.#fileCount,
      sizeBytes: this.#sizeBytes,
    };
    const contentHash = this.#manifest.finish(Buffer.from(encodeHeader(counts)));
    const signatureHash = this.#signature.finish(Buffer.alloc(0));
    const manifestBytes = this.#manifest.lengthBytes;
    const signatureBytes = this.#signature.lengthBytes;
    return { ...counts, contentHash, signatureHash, manifestBytes, signatureBytes };
  }

  /** Closes both files, whether finished or not. */
  [Symbol.dispose](): void {
    this.#manifest.close();
    this.#signature.close();
  }

  #append(entry: ContentEntry): void {
    this.#entryCount++;
    this.#manifest.append(Buffer.from(`${encodeEntry(entry)}\n`));
  }

  #refuse(reason: string): never {
    const line = this.#entryCount + 1;
    throw new WaybillError({ code: 'MANIFEST_INVALID', contentId: this.#contentId, line, reason });
  }
}

/** A file that is written from an offset on, with the hash of what was appended. */
class HashedFile {
  readonly #path: string;
  readonly #hash = new ContentHash();
  #descriptor: number | undefined;
  #chunks: Uint8Array[] = [];
  #chunkBytes = 0;
  lengthBytes: number;

  constructor(path: string, startBytes: number) {
    this.#path = path;
    this.#descriptor = openSync(path, 'w', 0o644);
    this.lengthBytes = startBytes;
  }

  append(bytes: Uint8Array): void {
    this.#chunks.push(bytes);
    this.#chunkBytes += bytes.length;
    if (this.#chunkBytes >= bufferBytesMax) this.#flush();
  }

  /** Writes what is left, and `start` at the very beginning; gives the hash of what was appended. */
  finish(start: Uint8Array): string {
    this.#flush();
    this.#write(start, 0);
    this.close();
    return this.#hash.digest();
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #flush(): void {
    const bytes = Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#chunkBytes = 0;
    this.#hash.update(bytes);
    this.#write(bytes, this.lengthBytes);
    this.lengthBytes += bytes.length;
  }

  #write(bytes: Uint8Array, offset: number): void {
    if (this.#descriptor === undefined) throw new Error('The manifest is finished');
    try {
      writeFully(this.#descriptor, bytes, offset);
    } catch (error) {
      throw toWriteFailure(error, this.#path, bytes.length);
    }
  }
}

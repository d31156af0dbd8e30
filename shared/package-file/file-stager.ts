import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ContentHash } from '../content-library/content-hash.ts';
import { isSystemError, toWriteFailure } from '../content-library/library-failure.ts';
import type { StagedFile } from '../content-library/library-tasks.ts';
import { writeFully } from '../content-library/write-fully.ts';
import { pieceBytes } from '../domain/content.ts';
import { PartsHash } from './parts-hash.ts';

/** Staged files are handed over when they are so many, or so many bytes. */
const handOverFiles = 4_096;
const handOverBytes = 256 * 1024 * 1024;

/** What came of bytes that were written. */
export interface WrittenHashes {
  readonly hash: string;
  /** Of each piece, one after another; for a file of several pieces, when it was asked for. */
  readonly pieceHashes: Buffer;
}

/** Where files are put that come out of a package file, until the library takes them over. Blocks. */
export class FileStager {
  readonly #directory: string;
  readonly #onStaged: (files: readonly StagedFile[]) => void;
  readonly #made = new Set<string>();
  #files: StagedFile[] = [];
  #bytes = 0;
  #serial = 0;

  /** @param directory is there; nobody else writes in it */
  constructor(directory: string, onStaged: (files: readonly StagedFile[]) => void) {
    this.#directory = directory;
    this.#onStaged = onStaged;
  }

  /**
   * Writes a file and stages it when it has this hash; else nothing is left of it.
   *
   * @param parts its bytes; each is used before the next is asked for
   * @returns undefined when the bytes have another hash, or another length
   * @throws DISK_FULL; what `parts` throws
   */
  stage(
    file: { readonly hash: string; readonly sizeBytes: number },
    parts: Iterable<Uint8Array>,
    { withPieceHashes = false }: { readonly withPieceHashes?: boolean } = {},
  ): WrittenHashes | undefined {
    let isStaged = false;
    const { path, descriptor } = this.#open(file);
    try {
      const written = this.#write(descriptor, file.sizeBytes, parts, withPieceHashes);
      isStaged = written?.hash === file.hash;
      return isStaged ? written : undefined;
    } finally {
      closeSync(descriptor);
      if (isStaged) this.#add({ ...file, path });
      else rmSync(path, { force: true });
    }
  }

  /** Hands over what is left. */
  handOver(): void {
    if (this.#files.length === 0) return;
    this.#onStaged(this.#files);
    this.#files = [];
    this.#bytes = 0;
  }

  #write(
    descriptor: number,
    sizeBytes: number,
    parts: Iterable<Uint8Array>,
    withPieceHashes: boolean,
  ): WrittenHashes | undefined {
    const hash = new PartsHash(sizeBytes);
    const pieces = withPieceHashes ? new PieceHashes() : undefined;
    let offset = 0;
    for (const bytes of parts) {
      if (offset + bytes.length > sizeBytes) return undefined;
      hash.update(bytes);
      pieces?.update(bytes);
      this.#guard(sizeBytes, () => writeFully(descriptor, bytes, offset));
      offset += bytes.length;
    }
    if (offset !== sizeBytes) return undefined;
    return { hash: hash.digest(), pieceHashes: pieces?.finish() ?? Buffer.alloc(0) };
  }

  /**
   * Read-only for everybody: what stands under its hash never changes. Each under a path of its own:
   * the library may be taking over an earlier one of the same hash just now.
   */
  #open({ hash, sizeBytes }: { readonly hash: string; readonly sizeBytes: number }) {
    return this.#guard(sizeBytes, () => {
      for (;;) {
        const path = this.#nextPath(hash);
        try {
          return { path, descriptor: openSync(path, 'wx', 0o444) };
        } catch (error) {
          if (!isSystemError(error, 'EEXIST')) throw error;
        }
      }
    });
  }

  /** In one of 256 directories: a file system makes files many times faster in several. */
  #nextPath(hash: string): string {
    const directory = join(this.#directory, hash.slice(0, 2));
    if (!this.#made.has(directory)) mkdirSync(directory, { recursive: true });
    this.#made.add(directory);
    this.#serial += 1;
    return `${directory}/${this.#serial.toString(36)}`;
  }

  #add(file: StagedFile): void {
    this.#files.push(file);
    this.#bytes += file.sizeBytes;
    if (this.#files.length >= handOverFiles || this.#bytes >= handOverBytes) this.handOver();
  }

  #guard<T>(sizeBytes: number, write: () => T): T {
    try {
      return write();
    } catch (error) {
      throw toWriteFailure(error, this.#directory, sizeBytes);
    }
  }
}

/** Hashes of pieces of bytes that come in whatever cuts. */
class PieceHashes {
  readonly #hashes: Buffer[] = [];
  #hash = new ContentHash();
  #filled = 0;

  update(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const part = bytes.subarray(done, done + pieceBytes - this.#filled);
      this.#hash.update(part);
      this.#filled += part.length;
      done += part.length;
      if (this.#filled === pieceBytes) this.#end();
    }
  }

  finish(): Buffer {
    if (this.#filled > 0) this.#end();
    return Buffer.concat(this.#hashes);
  }

  #end(): void {
    this.#hashes.push(this.#hash.digestBytes());
    this.#hash = new ContentHash();
    this.#filled = 0;
  }
}

/**
 * Runs in the part worker: one package file that is arriving, from its first byte to its last. Its
 * hash runs along; what is on disk when it is opened is hashed first, a stretch at a time.
 */
import {
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  ftruncateSync,
  openSync,
  rmSync,
} from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ContentHash } from '../../shared/content-library/content-hash.ts';
import { isSystemError } from '../../shared/content-library/library-failure.ts';
import { writeFully } from '../../shared/content-library/write-fully.ts';
import { readFully } from '../../shared/package-receiver/partial-file.ts';
import type { PartResult } from './part-request.ts';

/** Hashed in one go; other files get their turn between. */
const stretchBytes = 4 * 1024 * 1024;
/** Written bytes after which write-back to disk is started, so that the last sync is short. */
const writeBackBytes = 32 * 1024 * 1024;

const synced = promisify(fdatasync);

export class PartFile {
  readonly #path: string;
  readonly #fileHash: string;
  readonly #fd: number;
  readonly #hasher = new ContentHash();
  #heldBytes = 0;
  #dirtyBytes = 0;
  #writeBack: Promise<void> = Promise.resolve();
  #isClosed = false;
  /** A write failed: how much of it is on disk, is not known. */
  #isBroken = false;

  private constructor(path: string, fileHash: string) {
    this.#path = path;
    this.#fileHash = fileHash;
    this.#fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  }

  /** A part that is longer than its file cannot be of it, or that cannot be read, is begun anew. */
  static async open(
    path: string,
    facts: { readonly fileHash: string; readonly fileBytes: number },
  ): Promise<PartFile> {
    try {
      return await PartFile.#open(path, facts);
    } catch (error) {
      if (!isSystemError(error, 'EIO')) throw error;
      rmSync(path, { force: true });
      return PartFile.#open(path, facts);
    }
  }

  static async #open(
    path: string,
    facts: { readonly fileHash: string; readonly fileBytes: number },
  ): Promise<PartFile> {
    const part = new PartFile(path, facts.fileHash);
    try {
      const { size } = fstatSync(part.#fd);
      if (size > facts.fileBytes) ftruncateSync(part.#fd, 0);
      else await part.#hashWhatIsThere(size);
      return part;
    } catch (error) {
      part.#close();
      throw error;
    }
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** @throws what writing throws: then the part is to be closed, and what is on disk counts anew */
  write(offsetBytes: number, bytes: Uint8Array): PartResult {
    if (this.#isClosed || this.#isBroken) return { outcome: 'not-open' };
    if (offsetBytes === this.#heldBytes) this.#append(bytes);
    return { outcome: 'held', heldBytes: this.#heldBytes };
  }

  /** Closes it, whatever comes of it. */
  async finish(): Promise<PartResult> {
    try {
      await this.#writeBack;
      await synced(this.#fd);
      const actualHash = this.#hasher.digest();
      if (actualHash === this.#fileHash) return { outcome: 'whole' };
      rmSync(this.#path, { force: true });
      return { outcome: 'hash-mismatch', actualHash };
    } catch (error) {
      // The kernel tells a write-back error once: whoever reads the part again would believe it.
      rmSync(this.#path, { force: true });
      throw error;
    } finally {
      this.#close();
    }
  }

  /** What is written stays, unless it is not on disk after all. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    try {
      await this.#writeBack;
    } catch {
      rmSync(this.#path, { force: true });
    } finally {
      this.#close();
    }
  }

  #append(bytes: Uint8Array): void {
    try {
      writeFully(this.#fd, bytes, this.#heldBytes);
    } catch (error) {
      this.#isBroken = true;
      throw error;
    }
    this.#hasher.update(bytes);
    this.#heldBytes += bytes.length;
    this.#startWriteBack(bytes.length);
  }

  async #hashWhatIsThere(sizeBytes: number): Promise<void> {
    while (this.#heldBytes < sizeBytes) {
      const lengthBytes = Math.min(stretchBytes, sizeBytes - this.#heldBytes);
      const bytes = readFully(this.#fd, lengthBytes, this.#heldBytes);
      if (bytes.length === 0) break;
      this.#hasher.update(bytes);
      this.#heldBytes += bytes.length;
      await nextTurn();
    }
  }

  #startWriteBack(bytes: number): void {
    this.#dirtyBytes += bytes;
    if (this.#dirtyBytes < writeBackBytes) return;
    this.#dirtyBytes = 0;
    this.#writeBack = this.#writeBack.then(() => (this.#isClosed ? undefined : synced(this.#fd)));
    // Told at the end, which waits for it.
    this.#writeBack.catch(() => {});
  }

  #close(): void {
    if (!this.#isClosed) closeSync(this.#fd);
    this.#isClosed = true;
  }
}

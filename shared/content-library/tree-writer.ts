import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import {
  type ContentEntry,
  type DirectoryEntry,
  type FileEntry,
  pieceBytes,
} from '../domain/content.ts';
import { WaybillError } from '../domain/errors.ts';
import { ContentHash } from './content-hash.ts';
import { DirectoryCursor } from './directory-cursor.ts';
import { isSystemError, toWriteFailure } from './library-failure.ts';
import { filePathOf } from './library-layout.ts';
import { TreeTimes } from './tree-times.ts';

/**
 * Writes the tree of a content from its entries, in their order, with the bytes from the file
 * library. Blocks: for worker threads.
 */
export class TreeWriter implements Disposable {
  readonly #directory: string;
  readonly #fileLibrary: string;
  readonly #onBytes: (bytes: number) => void;
  readonly #cursor: DirectoryCursor;
  readonly #times: TreeTimes;
  /** The directories the cursor is in, outermost first. */
  readonly #open: DirectoryEntry[] = [];
  readonly #buffer = Buffer.allocUnsafe(pieceBytes);

  /** @param directory exists, and is empty */
  constructor(directory: string, fileLibrary: string, onBytes: (bytes: number) => void) {
    this.#directory = directory;
    this.#fileLibrary = fileLibrary;
    this.#onBytes = onBytes;
    this.#cursor = new DirectoryCursor(directory);
    this.#times = new TreeTimes(this.#cursor);
  }

  /** @throws FILE_NOT_HELD, FILE_HASH_MISMATCH, DISK_FULL */
  write(entry: ContentEntry): void {
    while (this.#open.length > entry.depth) this.#leave();
    try {
      this.#create(entry);
    } catch (error) {
      throw toWriteFailure(error, this.#directory, entry.type === 'file' ? entry.sizeBytes : 0);
    }
  }

  /** Gives directories their modes and times; the tree is whole then. */
  finish(): void {
    while (this.#open.length > 0) this.#leave();
    this.#times.flush();
  }

  [Symbol.dispose](): void {
    this.#times[Symbol.dispose]();
    this.#cursor[Symbol.dispose]();
  }

  #create(entry: ContentEntry): void {
    const path = this.#cursor.pathOf(entry.name);
    switch (entry.type) {
      case 'directory':
        // Its own mode comes when all is in it: it may forbid to write.
        mkdirSync(path, 0o700);
        this.#cursor.enter(entry.name);
        this.#times.entered(entry.name);
        this.#open.push(entry);
        return;
      case 'symlink':
        symlinkSync(entry.target, path);
        break;
      case 'file':
        this.#copy(entry, path);
        break;
    }
    this.#times.set(entry.name, entry.mtimeNs);
  }

  #leave(): void {
    const entry = this.#open.pop();
    if (!entry) return;
    // Nothing in a directory can be reached by name once its owner may not pass it.
    if ((entry.mode & 0o700) !== 0o700) this.#times.flush();
    this.#times.leaving();
    this.#cursor.leave((descriptor) => fchmodSync(descriptor, entry.mode));
    this.#times.set(entry.name, entry.mtimeNs);
  }

  #copy(entry: FileEntry, path: string): void {
    const from = openHeld(this.#fileLibrary, entry);
    try {
      const to = openSync(path, 'wx', 0o600);
      try {
        this.#copyBytes(entry, from, to);
        fchmodSync(to, entry.mode);
      } finally {
        closeSync(to);
      }
    } finally {
      closeSync(from);
    }
  }

  #copyBytes(entry: FileEntry, from: number, to: number): void {
    const hash = new ContentHash();
    for (let left = entry.sizeBytes; left > 0; ) {
      const count = readSync(from, this.#buffer, 0, Math.min(left, pieceBytes), null);
      if (count === 0) break;
      const bytes = this.#buffer.subarray(0, count);
      hash.update(bytes);
      writeAll(to, bytes);
      this.#onBytes(count);
      left -= count;
    }
    const actualHash = hash.digest();
    if (actualHash !== entry.hash) {
      const expectedHash = entry.hash;
      throw new WaybillError({ code: 'FILE_HASH_MISMATCH', expectedHash, actualHash });
    }
  }
}

function openHeld(fileLibrary: string, { hash, sizeBytes }: FileEntry): number {
  const notHeld = new WaybillError({ code: 'FILE_NOT_HELD', fileHash: hash });
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  let descriptor: number;
  try {
    descriptor = openSync(filePathOf(fileLibrary, hash), flags);
  } catch (error) {
    throw isSystemError(error, 'ENOENT', 'ELOOP', 'ENOTDIR') ? notHeld : error;
  }
  const stats = fstatSync(descriptor);
  if (stats.isFile() && stats.size === sizeBytes) return descriptor;
  closeSync(descriptor);
  throw notHeld;
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(descriptor, bytes, done, bytes.length - done);
  }
}

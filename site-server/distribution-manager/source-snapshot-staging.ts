import { closeSync, lstatSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isSystemError, toWriteFailure } from '../../shared/content-library/library-failure.ts';
import { filePathOf } from '../../shared/content-library/library-layout.ts';
import type { HeldFile, StagedFile } from '../../shared/content-library/library-tasks.ts';
import { writeFully } from '../../shared/content-library/write-fully.ts';

/** Staged files are handed over when they are so many, or so many bytes. */
const handOverFiles = 4_096;
const handOverBytes = 256 * 1024 * 1024;

/** A file that is being read, and may be kept. */
export interface BegunFile extends Disposable {
  append(bytes: Uint8Array): void;
}

/** What becomes of the files that are read from a source. */
export interface FileStaging<Begun extends BegunFile = BegunFile> {
  /** Whether the library has the file already. */
  isHeld(file: HeldFile): boolean;
  /** A small file, whole. */
  stageWhole(file: HeldFile, bytes: Uint8Array): void;
  /** A file whose hash is not known yet. */
  begin(sizeBytes: number): Begun;
  /** What was begun, now that its hash is known. */
  end(begun: Begun, file: HeldFile): void;
}

/** The source is only looked at: nothing is kept. */
export class NothingStaged implements FileStaging {
  readonly #fileLibrary: string;

  constructor(fileLibrary: string) {
    this.#fileLibrary = fileLibrary;
  }

  isHeld(file: HeldFile): boolean {
    return isInLibrary(this.#fileLibrary, file);
  }

  stageWhole(): void {}

  begin(): BegunFile {
    return { append: () => {}, [Symbol.dispose]: () => {} };
  }

  end(): void {}
}

/** Where files the library does not hold are put, until they are handed over to it. Blocks. */
export class SnapshotStaging implements FileStaging<StagedBytes> {
  readonly #directory: string;
  readonly #fileLibrary: string;
  readonly #onStaged: (files: readonly StagedFile[]) => void;
  readonly #made = new Set<string>();
  #files: StagedFile[] = [];
  #bytes = 0;

  constructor(parts: {
    directory: string;
    fileLibrary: string;
    onStaged: (files: readonly StagedFile[]) => void;
  }) {
    this.#directory = parts.directory;
    this.#fileLibrary = parts.fileLibrary;
    this.#onStaged = parts.onStaged;
  }

  /** Whether the library has the file already. */
  isHeld(file: HeldFile): boolean {
    return isInLibrary(this.#fileLibrary, file);
  }

  /** Stages a small file, unless it is staged already. @throws DISK_FULL */
  stageWhole(file: HeldFile, bytes: Uint8Array): void {
    const path = this.#pathOf(file.hash);
    if (lstatSync(path, { throwIfNoEntry: false })) return;
    using staged = new StagedBytes(path, file.sizeBytes);
    staged.append(bytes);
    staged.keep();
    this.#add({ ...file, path });
  }

  /** Begins a file whose hash is not known yet. @throws DISK_FULL */
  begin(sizeBytes: number): StagedBytes {
    return new StagedBytes(join(this.#directory, 'incoming'), sizeBytes);
  }

  /** Stages what was begun, now that its hash is known; held or staged already, it is dropped. */
  end(begun: StagedBytes, file: HeldFile): void {
    const path = this.#pathOf(file.hash);
    if (this.isHeld(file) || lstatSync(path, { throwIfNoEntry: false })) return;
    begun.keepAs(path);
    this.#add({ ...file, path });
  }

  /** Hands over what is left. */
  handOver(): void {
    if (this.#files.length === 0) return;
    this.#onStaged(this.#files);
    this.#files = [];
    this.#bytes = 0;
  }

  /**
   * In one of 256 directories: ext4 makes files many times faster in several directories than in
   * one whose block group has no inode left.
   */
  #pathOf(hash: string): string {
    const directory = join(this.#directory, hash.slice(0, 2));
    if (!this.#made.has(directory)) mkdirSync(directory, { recursive: true });
    this.#made.add(directory);
    return join(directory, hash);
  }

  #add(file: StagedFile): void {
    this.#files.push(file);
    this.#bytes += file.sizeBytes;
    if (this.#files.length >= handOverFiles || this.#bytes >= handOverBytes) this.handOver();
  }
}

/** A file that is being written; gone again unless it is kept. */
export class StagedBytes implements Disposable {
  readonly #path: string;
  readonly #sizeBytes: number;
  #descriptor: number | undefined;
  #offset = 0;
  #isKept = false;

  /** @param sizeBytes what it is going to have, for the failure of a full disk */
  constructor(path: string, sizeBytes: number) {
    this.#path = path;
    this.#sizeBytes = sizeBytes;
    // Read-only for everybody: what stands under its hash never changes.
    this.#descriptor = this.#guard(() => openNew(path));
  }

  append(bytes: Uint8Array): void {
    const descriptor = this.#descriptor;
    if (descriptor === undefined) throw new Error('The file is closed');
    this.#guard(() => writeFully(descriptor, bytes, this.#offset));
    this.#offset += bytes.length;
  }

  /** Leaves the file where it is. */
  keep(): void {
    this.#close();
    this.#isKept = true;
  }

  keepAs(path: string): void {
    this.#close();
    renameSync(this.#path, path);
    this.#isKept = true;
  }

  [Symbol.dispose](): void {
    this.#close();
    if (!this.#isKept) rmSync(this.#path, { force: true });
  }

  #close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #guard<T>(write: () => T): T {
    try {
      return write();
    } catch (error) {
      throw toWriteFailure(error, this.#path, this.#sizeBytes);
    }
  }
}

function isInLibrary(fileLibrary: string, { hash, sizeBytes }: HeldFile): boolean {
  const stats = lstatSync(filePathOf(fileLibrary, hash), { throwIfNoEntry: false });
  return stats?.isFile() === true && stats.size === sizeBytes;
}

function openNew(path: string): number {
  try {
    return openSync(path, 'wx', 0o444);
  } catch (error) {
    if (!isSystemError(error, 'EEXIST')) throw error;
    rmSync(path);
    return openSync(path, 'wx', 0o444);
  }
}

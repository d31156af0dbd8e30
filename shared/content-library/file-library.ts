import { constants } from 'node:fs';
import { type FileHandle, lstat, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { WaybillError } from '../domain/errors.ts';
import { allEnded } from '../runtime/all-ended.ts';
import { SerialQueue } from '../runtime/serial-queue.ts';
import { syncDirectories, syncFileSystem, syncFiles } from './file-system-sync.ts';
import { isSystemError, toWriteFailure } from './library-failure.ts';
import { filePathOf } from './library-layout.ts';
import {
  type DamagedFile,
  type HeldFile,
  isFileOfSize,
  type LibraryTasks,
  type StagedFile,
  toFileQuery,
} from './library-tasks.ts';
import type { Quarantine } from './quarantine.ts';
import { VerifiedFiles } from './verified-files.ts';
import type { WorkerPool } from './worker-pool.ts';

/** Many files are for both threads of the pool; few are not worth a second one, or any. */
const partsMax = 2;
const partFilesMin = 100;
const leastFilesForThread = 8;

/**
 * The bytes of files, each once, under their hash. A file that is here is whole, verified and
 * durable when it comes: by rename, after its bytes were synced. Whether a disk kept the bytes of
 * one that came before this process began, nobody knows until it is hashed.
 */
export class FileLibrary {
  /** Files that were hashed since this process began. */
  readonly verified = new VerifiedFiles();
  readonly #directory: string;
  readonly #pool: WorkerPool<LibraryTasks>;
  readonly #quarantine: Quarantine;
  /** Directories with renames that a power cut could still undo. */
  #unsynced = new Set<string>();
  #inherited: Promise<void> | undefined;
  readonly #syncs = new SerialQueue();
  /** Renames in and deletions: neither decides about a file while the other is at it. */
  readonly #entries = new SerialQueue();

  constructor(directory: string, pool: WorkerPool<LibraryTasks>, quarantine: Quarantine) {
    this.#directory = directory;
    this.#pool = pool;
    this.#quarantine = quarantine;
  }

  /** Which of these files are here, with their size. */
  async areHeld(files: readonly HeldFile[]): Promise<boolean[]> {
    if (files.length < leastFilesForThread) return this.#areFewHeld(files);
    const parts = inParts(files).map((part) => {
      return this.#pool.run('areHeld', { fileLibrary: this.#directory, ...toFileQuery(part) });
    });
    return (await Promise.all(parts)).flat();
  }

  #areFewHeld(files: readonly HeldFile[]): Promise<boolean[]> {
    return Promise.all(
      files.map(async ({ hash, sizeBytes }) => {
        const stats = await lstat(filePathOf(this.#directory, hash)).catch(ignoreAbsence);
        return isFileOfSize(stats, sizeBytes);
      }),
    );
  }

  /**
   * Opens the bytes of a file for reading.
   *
   * @throws FILE_NOT_HELD when there is no regular file of that hash and size
   */
  async open(file: HeldFile): Promise<FileHandle> {
    const notHeld = new WaybillError({ code: 'FILE_NOT_HELD', fileHash: file.hash });
    const handle = await open(
      filePathOf(this.#directory, file.hash),
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    ).catch((error: unknown) => {
      throw isSystemError(error, 'ENOENT', 'ELOOP', 'ENOTDIR') ? notHeld : error;
    });
    const stats = await handle.stat();
    if (stats.isFile() && stats.size === file.sizeBytes) return handle;
    await handle.close();
    throw notHeld;
  }

  /**
   * Takes staged files in: first their bytes are made durable, then they are renamed.
   *
   * @param beforeRename called in between; no file is deleted from then to the end of the renames
   * @throws DISK_FULL and what else a write meets; what could not be made durable is not staged any
   *   more: the kernel tells a write-back error once, and a second sync would find nothing wrong
   */
  async adopt(staged: readonly StagedFile[], beforeRename: () => Promise<void>): Promise<void> {
    if (staged.length === 0) return;
    const files = staged.map(({ path, hash, sizeBytes }) => ({ path, hash, sizeBytes }));
    const neededBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
    const paths = files.map((file) => file.path);
    await syncFiles(this.#directory, paths).catch(async (error: unknown) => {
      for (const path of paths) await rm(path, { force: true });
      throw toWriteFailure(error, this.#directory, neededBytes);
    });
    const left = await this.#entries.run(async () => {
      await beforeRename();
      return this.#renameIn(files);
    });
    const leftHashes = new Set(left);
    for (const { hash } of files) if (!leftHashes.has(hash)) this.verified.add(hash);
  }

  /**
   * Makes durable what the process before left: its last renames may not be, and a file that is
   * here counts as durable. Done once; it may take a while, as all writers of the disk share it.
   */
  syncInherited(signal: AbortSignal): Promise<void> {
    this.#inherited ??= syncFileSystem(this.#directory, signal).then(
      () => {},
      (error: unknown) => {
        this.#inherited = undefined;
        throw error;
      },
    );
    return this.#inherited;
  }

  /** @returns the hashes of files that were taken in before */
  async #renameIn(files: readonly StagedFile[]): Promise<readonly string[]> {
    const fileLibrary = this.#directory;
    const parts = inParts(files).map((part) =>
      this.#pool.run('adopt', { fileLibrary, files: part }),
    );
    try {
      // All of them have ended, whatever becomes of one.
      const adoptions = await allEnded(parts);
      for (const { directories } of adoptions) {
        for (const directory of directories) this.#unsynced.add(directory);
      }
      return adoptions.flatMap(({ left }) => left);
    } catch (error) {
      // Some may have been renamed, and who tries again finds them in place.
      for (const { hash } of files) this.#unsynced.add(dirname(filePathOf(this.#directory, hash)));
      this.#unsynced.add(this.#directory);
      throw error;
    }
  }

  /**
   * Makes all renames so far durable; to be done before anybody is told that files are here. One at
   * a time: who comes second must not find nothing to sync while the first has not ended.
   */
  async syncRenames(): Promise<void> {
    await this.#entries.whenIdle();
    await this.#syncs.run(() => this.#syncUnsynced());
  }

  async #syncUnsynced(): Promise<void> {
    const directories = this.#unsynced;
    this.#unsynced = new Set();
    try {
      await syncDirectories(this.#directory, [...directories]);
    } catch (error) {
      for (const directory of directories) this.#unsynced.add(directory);
      throw toWriteFailure(error, this.#directory, 0);
    }
  }

  /** The names in these shards. */
  listInShards(shards: readonly string[]): Promise<string[]> {
    return this.#pool.run('listInShards', { fileLibrary: this.#directory, shards });
  }

  /**
   * Deletes files; those that are not here are fine.
   *
   * @param choose says which; no file is taken in from then to the end of the deletion
   * @returns those that were deleted
   */
  remove(choose: () => Promise<readonly string[]>): Promise<readonly string[]> {
    return this.#entries.run(async () => {
      const hashes = await choose();
      if (hashes.length > 0)
        await this.#pool.run('remove', { fileLibrary: this.#directory, hashes });
      return hashes;
    });
  }

  /**
   * Sets files aside that were found damaged, unless another one has taken the place meanwhile. No
   * file is taken in while it decides. Durable when this resolves.
   *
   * @returns the hashes of those that are not here any more
   */
  async removeDamaged(damaged: readonly DamagedFile[]): Promise<readonly string[]> {
    if (damaged.length === 0) return [];
    return this.#entries.run(async () => {
      const placeOf = await this.#quarantine.prepare();
      const files = damaged.map(({ hash, sizeBytes, identity }) => {
        return { hash, sizeBytes, identity, to: placeOf(hash) };
      });
      const removed = await this.#pool.run('setAside', { fileLibrary: this.#directory, files });
      await this.#quarantine.noteTaken(removed.map(placeOf));
      const shards = removed.map((hash) => dirname(filePathOf(this.#directory, hash)));
      await syncDirectories(this.#directory, [...new Set(shards), this.#quarantine.directory]);
      return removed;
    });
  }

  /** Deletes those of these shards that are empty. */
  async removeEmptyShards(shards: readonly string[]): Promise<void> {
    await this.#pool.run('removeEmptyShards', { fileLibrary: this.#directory, shards });
  }
}

function ignoreAbsence(error: unknown): undefined {
  if (!isSystemError(error, 'ENOENT', 'ENOTDIR')) throw error;
}

function inParts<T>(files: readonly T[]): (readonly T[])[] {
  const partFiles = Math.max(partFilesMin, Math.ceil(files.length / partsMax));
  const parts: (readonly T[])[] = [];
  for (let start = 0; start < files.length; start += partFiles) {
    parts.push(files.slice(start, start + partFiles));
  }
  return parts;
}

import {
  type BigIntStats,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';
import { WaybillError } from '../domain/errors.ts';
import { hashAt, joinHashes } from './hash-list.ts';
import { isSystemError, toWriteFailure } from './library-failure.ts';
import { filePathOf, heldSuffix, shardOf } from './library-layout.ts';

/** Name of what is being deleted from staging; no package ID looks like it. */
const removedPrefix = '.removed-';

/** A file as the library knows it. */
export interface HeldFile {
  /** Lower-case hexadecimal BLAKE3-256. */
  readonly hash: string;
  readonly sizeBytes: number;
}

/** Files somebody asks about: packed, since an object for each costs more than to look. */
export interface FileQuery {
  /** See `joinHashes`. */
  readonly hashes: string;
  readonly sizes: Float64Array;
}

/** @throws RangeError when one of them has no hash */
export function toFileQuery(files: readonly HeldFile[]): FileQuery {
  return {
    hashes: joinHashes(files.map(({ hash }) => hash)),
    sizes: Float64Array.from(files, ({ sizeBytes }) => sizeBytes),
  };
}

/** A file that was found damaged, as it stood there then. */
export interface DamagedFile extends HeldFile {
  readonly identity: string;
}

/** And where it goes. */
export interface DamagedFileMove extends DamagedFile {
  readonly to: string;
}

/** What a file in the library is told by: another one in its place, or a changed one, differs. */
export function identityOf({ dev, ino, ctimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${ctimeNs}`;
}

/** What became of files that were to be taken in. */
export interface Adoption {
  /** The directories whose entries changed. */
  readonly directories: readonly string[];
  /** Hashes of files that were here already and not staged any more: nobody looked at their bytes. */
  readonly left: readonly string[];
}

/** A whole, verified file that waits to be taken into the library. */
export interface StagedFile extends HeldFile {
  readonly path: string;
}

/**
 * What the worker threads of the library do: work on many files, with calls that block. Inputs and
 * results cross threads as copies.
 */
export const libraryTasks = {
  /** Which of these files stand in `file-lib` as regular files of their size. */
  areHeld({ fileLibrary, hashes, sizes }: { fileLibrary: string } & FileQuery): boolean[] {
    return Array.from(sizes, (sizeBytes, index) => {
      return isFileOfSize(lstat(filePathOf(fileLibrary, hashAt(hashes, index))), sizeBytes);
    });
  },

  /**
   * Renames staged files into `file-lib`. One that was taken in before and is not staged any more
   * is left as it is.
   *
   * @throws FILE_NOT_HELD when a file is neither staged nor held
   */
  adopt(input: { fileLibrary: string; files: readonly StagedFile[] }): Adoption {
    const changed = new Set<string>();
    const left = input.files.filter((file) => !adoptFile(input.fileLibrary, file, changed));
    return { directories: [...changed], left: left.map(({ hash }) => hash) };
  },

  /** The shards of `file-lib`, ascending. */
  listShards(input: { fileLibrary: string }): string[] {
    return readdirSync(input.fileLibrary).sort();
  },

  /** The names in these shards; a shard that is gone has none. */
  listInShards(input: { fileLibrary: string; shards: readonly string[] }): string[] {
    return input.shards.flatMap((shard) => {
      try {
        return readdirSync(join(input.fileLibrary, shard));
      } catch (error) {
        if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return [];
        throw error;
      }
    });
  },

  /** Deletes files; those that are not there are fine. */
  remove(input: { fileLibrary: string; hashes: readonly string[] }): void {
    for (const hash of input.hashes) {
      rmSync(filePathOf(input.fileLibrary, hash), { force: true, recursive: true });
    }
  },

  /** Moves damaged files that are still the ones that were looked at to other places; says which. */
  setAside(input: { fileLibrary: string; files: readonly DamagedFileMove[] }): string[] {
    const moveAsFound = ({ hash, identity, to }: DamagedFileMove) => {
      const path = filePathOf(input.fileLibrary, hash);
      if (!isAsFound(path, identity)) return false;
      try {
        renameSync(path, to);
      } catch {
        // Whatever kept it from being moved: it must not be served again.
        rmSync(path, { recursive: true, force: true });
      }
      return true;
    };
    return input.files.filter(moveAsFound).map(({ hash }) => hash);
  },

  /** The bytes of those of these files that are there. */
  sizesOf(input: { fileLibrary: string; hashes: readonly string[] }): Float64Array {
    const stats = input.hashes.flatMap((hash) => lstat(filePathOf(input.fileLibrary, hash)) ?? []);
    return Float64Array.from(stats, ({ size }) => size);
  },

  /** How many packages have something staged, and of how many it has not changed since a moment. */
  listStaged(input: { staging: string; untouchedSinceMs: number }) {
    const names = readdirSync(input.staging);
    const isStale = (name: string) =>
      newestChangeMs(join(input.staging, name)) <= input.untouchedSinceMs;
    return { count: names.length, staleCount: names.filter(isStale).length };
  },

  /** Deletes shards in which nothing is. */
  removeEmptyShards(input: { fileLibrary: string; shards: readonly string[] }): void {
    for (const shard of input.shards) {
      try {
        rmdirSync(join(input.fileLibrary, shard));
      } catch (error) {
        if (!isSystemError(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR')) throw error;
      }
    }
  },

  /**
   * Deletes what is staged for packages nobody has worked on since a moment, and nobody holds.
   *
   * @param input.untouchedSinceMs a package stays when anything staged for it changed after this
   * @returns the names of the directories that were deleted
   */
  removeStale(input: { staging: string; untouchedSinceMs: number }): string[] {
    return readdirSync(input.staging).filter((name) => {
      if (name.endsWith(heldSuffix)) return false;
      try {
        return removeUntouched(input, name);
      } catch (error) {
        // Committed or swept meanwhile.
        if (isSystemError(error, 'ENOENT')) return false;
        throw error;
      }
    });
  },

  /** When the oldest work on a package began that has something staged; Infinity without any. */
  oldestWorkMs(input: { staging: string }): number {
    return readdirSync(input.staging).reduce((oldest, name) => {
      const stats = lstat(join(input.staging, name));
      return stats ? Math.min(oldest, stats.birthtimeMs, stats.mtimeMs) : oldest;
    }, Number.POSITIVE_INFINITY);
  },
};

export type LibraryTasks = typeof libraryTasks;

function removeUntouched(
  { staging, untouchedSinceMs }: { staging: string; untouchedSinceMs: number },
  name: string,
): boolean {
  const directory = join(staging, name);
  if (newestChangeMs(directory) > untouchedSinceMs) return false;
  const removed = join(staging, `${removedPrefix}${name.replace(removedPrefix, '')}`);
  if (removed !== directory) rmSync(removed, { recursive: true, force: true });
  // Out of the way first: whoever begins with this package now finds an empty place.
  renameSync(directory, removed);
  rmSync(removed, { recursive: true, force: true });
  return true;
}

/** A sweep may take an empty shard away at any moment, but not again and again. */
const renameTriesMax = 3;

/** False when the file was here already, and is not staged. */
function adoptFile(fileLibrary: string, file: StagedFile, changed: Set<string>): boolean {
  const path = filePathOf(fileLibrary, file.hash);
  for (let triesLeft = renameTriesMax; ; triesLeft--) {
    const staged = lstat(file.path);
    if (!isFileOfSize(staged, file.sizeBytes)) {
      if (staged === undefined && isFileOfSize(lstat(path), file.sizeBytes)) return false;
      throw new WaybillError({ code: 'FILE_NOT_HELD', fileHash: file.hash });
    }
    try {
      renameInto(fileLibrary, file, changed);
      return true;
    } catch (error) {
      const isAgain = isSystemError(error, 'ENOENT') && triesLeft > 1;
      if (!isAgain) throw toWriteFailure(error, fileLibrary, file.sizeBytes);
    }
  }
}

function renameInto(fileLibrary: string, file: StagedFile, changed: Set<string>): void {
  const shard = `${fileLibrary}/${shardOf(file.hash)}`;
  // Asked for first: a rename that fails costs more than all the rest.
  if (!existsSync(shard)) {
    mkdirSync(shard, { recursive: true });
    changed.add(fileLibrary);
  }
  renameSync(file.path, filePathOf(fileLibrary, file.hash));
  changed.add(shard);
}

function lstat(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

/** One that could not even be looked at has no identity: what stands there now is as good as that. */
function isAsFound(path: string, identity: string): boolean {
  try {
    const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    return stats !== undefined && (identity === '' || identityOf(stats) === identity);
  } catch (error) {
    if (isSystemError(error, 'ENOTDIR')) return false;
    return identity === '';
  }
}

/** Whether something is here, as a regular file of this size. */
export function isFileOfSize(stats: Stats | undefined, sizeBytes: number): boolean {
  return stats?.isFile() === true && stats.size === sizeBytes;
}

function newestChangeMs(path: string): number {
  const stats = lstat(path);
  if (!stats) return 0;
  const own = Math.max(stats.mtimeMs, stats.ctimeMs);
  if (!stats.isDirectory()) return own;
  return readdirSync(path).reduce(
    (newest, name) => Math.max(newest, newestChangeMs(join(path, name))),
    own,
  );
}

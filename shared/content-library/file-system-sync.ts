import { type FileHandle, open } from 'node:fs/promises';
import { AbortError, throwIfAborted } from '../runtime/abort-error.ts';
import { isSystemError } from './library-failure.ts';
import { SharedSyncs } from './shared-syncs.ts';
import { SyncShell } from './sync-shell.ts';

/** Up to so many files or directories, one sync each is quicker than a sync of the file system. */
const singleSyncsMax = 16;

/** Syncs in flight at once where the file system cannot be synced as a whole. */
const syncsInFlightMax = 16;

/**
 * Resolves when the bytes of these files are on stable storage: one by one when they are few, else
 * by one sync of the file system. A file that is not there any more counts as synced: only its
 * owner can have renamed it, after a sync.
 *
 * @param directory on the file system of all files
 * @throws whatever failed: then nothing may be taken as written
 */
export async function syncFiles(directory: string, paths: readonly string[]): Promise<void> {
  await syncAll(directory, paths, (file) => file.datasync());
}

/** Resolves when creations, renames and deletions in these directories are on stable storage. */
export async function syncDirectories(directory: string, paths: readonly string[]): Promise<void> {
  await syncAll(directory, paths, (file) => file.sync());
}

/**
 * Resolves when all that was written to the file system of this directory is on stable storage.
 *
 * @param signal ends the waiting, with an AbortError
 * @returns false where the platform has no way to do this
 */
export async function syncFileSystem(directory: string, signal?: AbortSignal): Promise<boolean> {
  throwIfAborted(signal);
  const { exitCode, errorText } = await unlessAborted(syncs.sync(directory), signal);
  if (exitCode === 0) return true;
  // No such program, or one without the option: another system than Linux with GNU coreutils.
  if (exitCode === undefined || exitCode === 127 || /option|usage/i.test(errorText)) return false;
  const error = new Error(`The file system of ${directory} could not be synced: ${errorText}`);
  throw /space left|quota/i.test(errorText) ? Object.assign(error, { code: 'ENOSPC' }) : error;
}

const shell = new SyncShell();
const syncs = new SharedSyncs((directory) => shell.sync(directory));

async function syncAll(
  directory: string,
  paths: readonly string[],
  sync: (file: FileHandle) => Promise<void>,
): Promise<void> {
  if (paths.length > singleSyncsMax && (await syncFileSystem(directory))) return;
  const rest = paths.values();
  const lanes = Array.from({ length: syncsInFlightMax }, async () => {
    for (const path of rest) await syncOne(path, sync);
  });
  await Promise.all(lanes);
}

async function syncOne(path: string, sync: (file: FileHandle) => Promise<void>): Promise<void> {
  try {
    await using file = await open(path, 'r');
    await sync(file);
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error;
  }
}

function noop(): void {}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  let onAbort = noop;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(new AbortError(undefined, { cause: signal.reason }));
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

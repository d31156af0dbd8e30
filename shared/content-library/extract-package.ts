import { mkdir, readdir } from 'node:fs/promises';
import type { ContentDescriptor } from '../domain/content.ts';
import { WaybillError } from '../domain/errors.ts';
import type { FileProgress } from './task-progress.ts';
import type { TaskThreads } from './task-threads.ts';

/** A content and where its tree is to be. */
export interface ContentToExtract {
  readonly descriptor: ContentDescriptor;
  readonly manifestPath: string;
  /** Exists, and is empty. */
  readonly directory: string;
}

/** What the thread is given. */
export interface ExtractInput {
  readonly fileLibrary: string;
  readonly contents: readonly ContentToExtract[];
}

/** What an extraction may be told. */
export interface ExtractOptions {
  readonly onProgress?: (progress: FileProgress) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes the trees of contents: bytes, modes, times and links; every file's hash is checked while
 * it is copied. Works in a thread of its own.
 *
 * @throws FILE_NOT_HELD or FILE_HASH_MISMATCH when a file of the library is missing or damaged
 * @throws MANIFEST_INVALID, CONTENT_HASH_MISMATCH when a manifest is
 * @throws DISK_FULL
 */
export async function extractContents(
  threads: TaskThreads,
  input: ExtractInput,
  options: ExtractOptions,
): Promise<void> {
  const program = new URL('./extract-worker.js', import.meta.url);
  await threads.run<void, FileProgress>(program, input, {
    onMessage: (progress) => options.onProgress?.(progress),
    signal: options.signal,
  });
}

/** Makes a directory. @throws REQUEST_INVALID when it exists and something is in it */
export async function makeEmptyDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const names = await readdir(directory);
  if (names.length === 0) return;
  throw new WaybillError({
    code: 'REQUEST_INVALID',
    field: 'output directory',
    expected: 'a directory that is empty or does not exist',
    actual: `${directory}, with ${names.length} entries`,
  });
}

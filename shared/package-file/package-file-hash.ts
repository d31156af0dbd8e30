import type { ContentLibrary } from '../content-library/content-library.ts';

/**
 * Hashes a whole package file, in a thread.
 *
 * @returns BLAKE3-256, lower-case hexadecimal; empty when the disk cannot read all of it
 * @throws ENOENT when it is not there; AbortError
 */
export function hashPackageFile(
  threads: ContentLibrary['threads'],
  path: string,
  signal?: AbortSignal,
): Promise<string> {
  const program = new URL('./hash-worker.js', import.meta.url);
  return threads.run<string, never>(program, { path }, { onMessage: () => {}, signal });
}

import type { ContentLibrary } from '../content-library/content-library.ts';

/** How a package file is hashed. */
export interface HashOptions {
  /** Where it begins in the file of that path. @default 0 */
  readonly startBytes?: number;
  /** Told now and then how many bytes are hashed. */
  readonly onBytes?: (hashedBytes: number) => void;
}

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
  { startBytes = 0, onBytes = () => {} }: HashOptions = {},
): Promise<string> {
  const program = new URL('./hash-worker.js', import.meta.url);
  const options = { onMessage: onBytes, signal };
  return threads.run<string, number>(program, { path, startBytes }, options);
}

import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import { isSystemError } from '../content-library/library-failure.ts';

/** The bytes of a regular file of this size; undefined when there is none. Blocks. */
export function readSmallFile(path: string, sizeBytes: number): Buffer | undefined {
  return readIf(path, ({ size }) => size === sizeBytes);
}

/** The same, of a file of at most so many bytes. */
export function readFileUpTo(path: string, bytesMax: number): Buffer | undefined {
  return readIf(path, ({ size }) => size <= bytesMax);
}

function readIf(path: string, isWanted: (stats: Stats) => boolean): Buffer | undefined {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  try {
    const descriptor = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const stats = fstatSync(descriptor);
      return stats.isFile() && isWanted(stats) ? readFileSync(descriptor) : undefined;
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ELOOP', 'ENOTDIR', 'EIO')) return undefined;
    throw error;
  }
}

import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { WaybillError } from '../domain/errors.ts';

/** Whether this is a failure of the operating system with one of these codes, such as ENOENT. */
export function isSystemError(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  return error instanceof Error && codes.includes((error as NodeJS.ErrnoException).code ?? '');
}

/**
 * The failure to throw for a failed write: DISK_FULL with what is free when there was no room,
 * else the failure itself.
 *
 * @param path a place on the file system written to; need not exist
 * @param neededBytes what was to be written, as far as known
 */
export function toWriteFailure(error: unknown, path: string, neededBytes: number): unknown {
  if (!isSystemError(error, 'ENOSPC', 'EDQUOT')) return error;
  const freeBytes = freeBytesOf(path);
  return new WaybillError({ code: 'DISK_FULL', path, freeBytes, neededBytes }, { cause: error });
}

/** Bytes a process without privileges may still write where `path` is or would be. */
export function freeBytesOf(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch (error) {
    if (isSystemError(error, 'ENOENT') && dirname(path) !== path) return freeBytesOf(dirname(path));
    return 0;
  }
}

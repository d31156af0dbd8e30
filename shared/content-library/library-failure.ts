import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { WaybillError } from '../domain/errors.ts';

/** Whether this is a failure of the operating system with one of these codes, such as ENOENT. */
export function isSystemError(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  return error instanceof Error && codes.includes((error as NodeJS.ErrnoException).code ?? '');
}

/**
 * Whether this says that what stands on the disk is bad, and not that there were too few handles, too
 * little memory or no right: whoever meets those must not take a right file for a damaged one.
 */
export function isDiskDamage(error: unknown): error is NodeJS.ErrnoException {
  return isSystemError(error, 'EIO', 'EUCLEAN', 'EBADMSG', 'ELOOP', 'EISDIR', 'ENXIO');
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

import { statfs } from 'node:fs/promises';
import { WaybillError } from '../domain/errors.ts';

/** LevelDB's own code such as `LEVEL_LOCKED`, of an error or of the error that caused it. */
export function levelErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const cause = levelErrorCode(error.cause);
  return cause ?? ('code' in error && typeof error.code === 'string' ? error.code : undefined);
}

/**
 * Room LevelDB needs to open again after a failed write: the log it was writing, as a table, and a
 * new MANIFEST.
 */
export const spareBytesMin = 8 * 1024 * 1024;

/** DISK_FULL, when the file system of this directory has no room to speak of. */
export async function diskFullError(
  directory: string,
  cause?: unknown,
): Promise<WaybillError | undefined> {
  const room = await statfs(directory).catch(() => undefined);
  if (!room) return undefined;
  const freeBytes = room.bavail * room.bsize;
  if (freeBytes >= spareBytesMin) return undefined;
  return new WaybillError(
    { code: 'DISK_FULL', path: directory, freeBytes, neededBytes: spareBytesMin },
    { cause },
  );
}

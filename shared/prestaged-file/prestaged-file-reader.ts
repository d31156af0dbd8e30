import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { isSystemError } from '../content-library/library-failure.ts';
import { WaybillError } from '../domain/errors.ts';
import {
  beginningBytes,
  decodeBeginning,
  isPrestagedFile,
  type PrestagedBeginning,
} from './prestaged-file-format.ts';

/**
 * Reads what stands before the package file, and believes nothing of it; its length is what the head
 * says. Reads no more than that, whatever the file is.
 *
 * @throws PRESTAGED_FILE_INVALID, with what was expected
 */
export async function readPrestagedBeginning(path: string): Promise<PrestagedBeginning> {
  await using file = await openPrestaged(path);
  const { size } = await file.stat();
  const bytes = Buffer.alloc(beginningBytes);
  const { bytesRead } = await file.read(bytes, 0, beginningBytes, 0).catch((error: unknown) => {
    throw invalidPrestagedFile(path, `it cannot be read: ${reasonOf(error)}`, error);
  });
  if (!isPrestagedFile(bytes)) {
    throw invalidPrestagedFile(path, 'expected a file made by "waybill package export"');
  }
  if (bytesRead < beginningBytes) {
    const expected = `at least ${beginningBytes}`;
    throw invalidPrestagedFile(path, `it is cut off: ${size} bytes, expected ${expected}`);
  }
  const beginning = decodeBeginning(bytes);
  if (!beginning) throw invalidPrestagedFile(path, 'what it says of itself is damaged');
  const expectedBytes = beginningBytes + beginning.head.fileBytes;
  if (size === expectedBytes) return beginning;
  const what = size < expectedBytes ? 'is cut off' : 'goes on after its end';
  throw invalidPrestagedFile(path, `it ${what}: ${size} bytes, expected ${expectedBytes}`);
}

/**
 * Opens it for reading; a pipe or a device in its place is not waited for.
 *
 * @throws PRESTAGED_FILE_INVALID
 */
export async function openPrestaged(path: string): Promise<FileHandle> {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((error: unknown) => {
    throw invalidPrestagedFile(path, `it cannot be opened: ${reasonOf(error)}`, error);
  });
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw invalidPrestagedFile(path, 'expected a regular file');
}

/** The failure to throw of a file that cannot be imported. @param reason the end of a sentence */
export function invalidPrestagedFile(path: string, reason: string, cause?: unknown): WaybillError {
  return new WaybillError({ code: 'PRESTAGED_FILE_INVALID', path, reason }, { cause });
}

function reasonOf(error: unknown): string {
  if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return 'it is not there';
  if (isSystemError(error, 'EACCES', 'EPERM')) return 'it may not be read';
  return (error as NodeJS.ErrnoException).code ?? 'unknown';
}

import { lstat, realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { isSystemError } from '../../shared/content-library/library-failure.ts';
import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';
import { isPrestagedFile } from '../../shared/prestaged-file/prestaged-file-format.ts';
import { openPrestaged } from '../../shared/prestaged-file/prestaged-file-reader.ts';

/**
 * A path of the site server as an administrator gives it, without `.`, `..` and doubled slashes.
 *
 * @throws REQUEST_INVALID
 */
export function requireSitePath(path: string): string {
  if (!isAbsolute(path) || !path.isWellFormed() || path.includes('\0') || path.endsWith('/')) {
    const expected = 'the absolute path of a file of the site server';
    throw requestInvalid('path', { expected, actual: quoted(path) });
  }
  const bytes = Buffer.byteLength(path);
  if (bytes > requestLimits.sourcePathBytesMax) {
    const expected = `at most ${requestLimits.sourcePathBytesMax} bytes`;
    throw requestInvalid('path', { expected, actual: `${bytes} bytes` });
  }
  return resolve(path);
}

/**
 * Where a file may be written: in a directory that is there, outside the site's own files; its place
 * is free, or an exported file stands there that may be replaced.
 *
 * @param ownDirectories where the site keeps its own files
 * @returns the path, links to its directory followed
 * @throws REQUEST_INVALID
 */
export async function requireFilePlace(
  path: string,
  options: { readonly ownDirectories: readonly string[]; readonly mayReplace: boolean },
): Promise<string> {
  const checked = requireSitePath(path);
  const place = join(await placeOf(dirname(checked)), basename(checked));
  const own = await Promise.all(
    options.ownDirectories.map((directory) => realpath(directory).catch(() => directory)),
  );
  if (own.some((directory) => isInside(directory, place))) {
    const expected = "a path outside the site server's own files";
    throw requestInvalid('path', { expected, actual: quoted(path) });
  }
  const stats = await lstat(place).catch(unlessGone);
  if (!stats) return place;
  if (!stats.isFile()) {
    const actual = `${quoted(path)}, where something else than a file is`;
    throw requestInvalid('path', { expected: 'a path where nothing is yet', actual });
  }
  const isExported = await isPrestagedFileAt(place);
  if (options.mayReplace && isExported) return place;
  const remedy = isExported ? '--force replaces an exported file' : 'It is never replaced';
  const there = isExported ? 'an exported file is' : 'another file is';
  const actual = `${quoted(path)}, where ${there}`;
  throw requestInvalid('path', { expected: 'a path where nothing is yet', actual, remedy });
}

/** Nothing else is ever replaced, whoever asks for it. */
async function isPrestagedFileAt(path: string): Promise<boolean> {
  await using file = await openPrestaged(path);
  const bytes = Buffer.alloc(16);
  await file.read(bytes, 0, bytes.length, 0);
  return isPrestagedFile(bytes);
}

async function placeOf(directory: string): Promise<string> {
  try {
    const place = await realpath(directory);
    if ((await stat(place)).isDirectory()) return place;
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP')) throw error;
  }
  const expected = 'a file in a directory that is there on the site server';
  throw requestInvalid('path', { expected, actual: quoted(directory) });
}

function unlessGone(error: unknown): undefined {
  if (!isSystemError(error, 'ENOENT')) throw error;
}

function isInside(outer: string, inner: string): boolean {
  const path = relative(outer, inner);
  return path !== '..' && !path.startsWith('../');
}

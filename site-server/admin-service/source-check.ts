import { constants } from 'node:fs';
import { access, realpath, stat } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { WaybillError } from '../../shared/domain/errors.ts';
import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';
import { isInside, realPlaces } from '../distribution-manager/own-places.ts';

/**
 * Checks the source directories of a package while the administrator waits: absolute, there,
 * readable directories; none inside another, inside the site's own files, or around them.
 *
 * @param ownPlaces where the site keeps its own files
 * @returns the directories, without `.`, `..` and doubled slashes
 * @throws REQUEST_INVALID, SOURCE_MISSING, SOURCE_UNREADABLE
 */
export async function checkedSources(
  directories: readonly string[],
  ownPlaces: readonly string[],
): Promise<string[]> {
  const { sourceCountMax } = requestLimits;
  if (directories.length < 1 || directories.length > sourceCountMax) {
    const expected = `1 to ${sourceCountMax} directories`;
    throw requestInvalid('source_directories', { expected, actual: `${directories.length}` });
  }
  const sources: string[] = [];
  const places: { field: string; path: string }[] = [];
  for (const [index, directory] of directories.entries()) {
    const field = `source_directories[${index}]`;
    const source = normalizedPath(field, directory);
    places.push({ field, path: await placeOf(source) });
    sources.push(source);
  }
  refuseOverlaps(places, await realPlaces(ownPlaces));
  return sources;
}

/**
 * Checks the source directories of a package of another site, as far as can be seen from here: that
 * they may be read, its own site finds out.
 *
 * @throws REQUEST_INVALID
 */
export function checkedSourcesElsewhere(directories: readonly string[]): string[] {
  const { sourceCountMax } = requestLimits;
  if (directories.length > sourceCountMax) {
    const expected = `1 to ${sourceCountMax} directories`;
    throw requestInvalid('source_directories', { expected, actual: `${directories.length}` });
  }
  const places = directories.map((directory, index) => {
    const field = `source_directories[${index}]`;
    return { field, path: normalizedPath(field, directory) };
  });
  refuseOverlaps(places, []);
  return places.map(({ path }) => path);
}

function normalizedPath(field: string, directory: string): string {
  const isWellFormed = directory.isWellFormed() && !directory.includes('\0');
  if (!isAbsolute(directory) || !isWellFormed) {
    const expected = 'an absolute path of the site server';
    throw requestInvalid(field, { expected, actual: quoted(directory) });
  }
  if (Buffer.byteLength(directory) > requestLimits.sourcePathBytesMax) {
    const expected = `at most ${requestLimits.sourcePathBytesMax} bytes`;
    throw requestInvalid(field, { expected, actual: `${Buffer.byteLength(directory)} bytes` });
  }
  return resolve(directory);
}

/** The directory a path leads to, all links followed. */
async function placeOf(path: string): Promise<string> {
  try {
    const place = await realpath(path);
    if (!(await stat(place)).isDirectory()) {
      throw new WaybillError({ code: 'SOURCE_MISSING', path });
    }
    await access(place, constants.R_OK | constants.X_OK);
    return place;
  } catch (error) {
    if (error instanceof WaybillError) throw error;
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new WaybillError({ code: 'SOURCE_MISSING', path }, { cause: error });
    }
    throw new WaybillError({ code: 'SOURCE_UNREADABLE', path, reason: code }, { cause: error });
  }
}

function refuseOverlaps(
  places: readonly { field: string; path: string }[],
  own: readonly string[],
): void {
  for (const [index, { field, path }] of places.entries()) {
    const other = places.slice(0, index).find((earlier) => overlaps(earlier.path, path));
    if (other) {
      const expected = `a directory neither equal to, inside nor around ${other.field}`;
      throw requestInvalid(field, { expected, actual: quoted(path) });
    }
    if (own.some((directory) => overlaps(directory, path))) {
      const expected = "a directory neither inside nor around the site server's own files";
      throw requestInvalid(field, { expected, actual: quoted(path) });
    }
  }
}

function overlaps(a: string, b: string): boolean {
  return isInside(a, b) || isInside(b, a);
}

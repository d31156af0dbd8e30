import type { BigIntStats } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { relative } from 'node:path';
import { WaybillError } from '../../shared/domain/errors.ts';

/** Where the places lead now, all links followed; one that is not there, as it is named. */
export function realPlaces(paths: readonly string[]): Promise<string[]> {
  return Promise.all(paths.map((path) => realpath(path).catch(() => path)));
}

/**
 * Refuses a source that is in one of the site server's own places, or has one of them in it.
 *
 * @param source its real path; `path` is how it is named
 * @throws SOURCE_UNREADABLE
 */
export function refuseOwnPlaces(path: string, source: string, ownPlaces: readonly string[]): void {
  for (const own of ownPlaces) {
    if (isInside(own, source)) throw refusal(path, "it is among the site server's own files");
    if (isInside(source, own)) throw refusal(path, "the site server's own files are in it");
  }
}

/** What files and directories are, links followed, as a text each that a thread can be given. */
export async function inodesAt(paths: readonly string[]): Promise<string[]> {
  // What is not there, or cannot be reached by this user, no source leads to either.
  const found = paths.map((path) => stat(path, { bigint: true }).then(inodeOf, () => []));
  return (await Promise.all(found)).flat();
}

/** Whether a path is another one, or below it; both without detours. */
export function isInside(outer: string, inner: string): boolean {
  const path = relative(outer, inner);
  return path !== '..' && !path.startsWith('../');
}

/**
 * Knows the site server's own files and directories by what they are, whatever way led to them: what is
 * open was perhaps something else when its path was looked at.
 */
export class OwnInodes {
  readonly #known: ReadonlySet<string>;

  /** @param inodes as `inodesAt` gives them */
  constructor(inodes: readonly string[]) {
    this.#known = new Set(inodes);
  }

  /** @throws SOURCE_UNREADABLE with the path that is shown, when this is one of them */
  refuse(stats: BigIntStats, shownPath: string): void {
    if (!this.#known.has(inodeOf(stats))) return;
    throw refusal(shownPath, "it is one of the site server's own files");
  }
}

function inodeOf({ dev, ino }: BigIntStats): string {
  return `${dev}:${ino}`;
}

function refusal(path: string, reason: string): WaybillError {
  return new WaybillError({ code: 'SOURCE_UNREADABLE', path, reason });
}

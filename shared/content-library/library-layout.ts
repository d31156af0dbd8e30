import { join } from 'node:path';
import { parseContentId, parseHash } from '../domain/content.ts';

/** Where things stand in a content library; plain data, so that worker threads can have it. */
export interface LibraryLayout {
  readonly directory: string;
  /** `<PackageID>.json`: package → its contents and version. */
  readonly packageLibrary: string;
  /**
   * `<ContentID>.manifest`, `.signature` and `.deltas`: content → entries of its tree, piece hashes,
   * and how its files can be made from older ones.
   */
  readonly dataLibrary: string;
  /** `<4 hex>/<hash>`: the bytes of each file, immutable, once. */
  readonly fileLibrary: string;
  /** `<PackageID>/…`: what is arriving; the same file system. See `heldSuffix`. */
  readonly staging: string;
  /** `<name>.<Unix milliseconds>`: what was found damaged, for a while. */
  readonly quarantine: string;
}

/** The layout of the library in this directory. */
export function toLibraryLayout(directory: string): LibraryLayout {
  return {
    directory,
    packageLibrary: join(directory, 'pkg-lib'),
    dataLibrary: join(directory, 'data-lib'),
    fileLibrary: join(directory, 'file-lib'),
    staging: join(directory, 'staging'),
    quarantine: join(directory, 'quarantine'),
  };
}

/**
 * How a directory in staging is called that somebody outside the library keeps there: while it is, the
 * files that were taken in since it was made, and that no content has used yet, are not swept, however
 * long that is. Who made it deletes it.
 */
export const heldSuffix = '.held';

/** The shard of `file-lib` a file stands in: the first four digits of its hash. */
export function shardOf(hash: string): string {
  return hash.slice(0, 4);
}

/** Where the bytes of a file stand. @throws RangeError when this is no hash */
export function filePathOf(fileLibrary: string, hash: string): string {
  if (parseHash(hash) === undefined) throw new RangeError('This is no hash');
  // Not by join, which would look through all of it again, for each of thousands of files.
  return `${fileLibrary}/${shardOf(hash)}/${hash}`;
}

/** Where the manifest of a content stands. @throws RangeError when this is no content ID */
export function manifestPathOf(dataLibrary: string, contentId: string): string {
  return join(dataLibrary, `${checked(contentId)}.manifest`);
}

/** Where the signature of a content stands. @throws RangeError when this is no content ID */
export function signaturePathOf(dataLibrary: string, contentId: string): string {
  return join(dataLibrary, `${checked(contentId)}.signature`);
}

/** Where the list of a content's deltas stands. @throws RangeError when this is no content ID */
export function deltasPathOf(dataLibrary: string, contentId: string): string {
  return join(dataLibrary, `${checked(contentId)}.deltas`);
}

/** A name that came from elsewhere never becomes a path unlooked at. */
function checked(contentId: string): string {
  if (parseContentId(contentId) === undefined) throw new RangeError('This is no content ID');
  return contentId;
}

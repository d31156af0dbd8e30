/** What stands in the directory of a version: `<history>/<PackageID>/<version>/…`. */

/** The hashes of its files, as `SortedHashes` reads them. */
export const hashesName = 'hashes';

/** The descriptors of its contents, as JSON. Written last. */
export const contentsName = 'contents.json';

/** The patches that lead from the version before to this one, as `readPatchList` reads them. */
export const patchesName = 'patches';

/** A copy of the manifest of a content. */
export function manifestName(contentId: string): string {
  return `${contentId}.manifest`;
}

/** What a directory is called that is being written, or deleted; nobody reads it. */
export const unfinishedSuffix = '.part';

/** What stands in the directory of a version: `<history>/<PackageID>/<version>/…`. */
import { z } from 'zod';
import { contentSchema } from '../content-library/package-record.ts';
import type { ContentDescriptor } from '../domain/content.ts';

/** The hashes of its files, as `SortedHashes` reads them. */
export const hashesName = 'hashes';

/** The descriptors of its contents, as JSON. Written last. */
export const contentsName = 'contents.json';

const contentsSchema = z.array(contentSchema);

/** The text of that file. */
export function versionContentsText(contents: readonly ContentDescriptor[]): string {
  return JSON.stringify(contents);
}

/** The descriptors in such a text; undefined when the disk has damaged it. Their IDs are names of files. */
export function parseVersionContents(text: string): ContentDescriptor[] | undefined {
  try {
    return contentsSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** The patches that lead from the version before to this one, as `readPatchList` reads them. */
export const patchesName = 'patches';

/** A copy of the manifest of a content. */
export function manifestName(contentId: string): string {
  return `${contentId}.manifest`;
}

/** What a directory is called that is being written, or deleted; nobody reads it. */
export const unfinishedSuffix = '.part';

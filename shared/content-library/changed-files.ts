import type { ContentDescriptor, FileEntry } from '../domain/content.ts';
import { openManifest } from './manifest-reader.ts';
import { PreviousEntries } from './previous-entries.ts';
import { TreePath } from './tree-path.ts';

/** A content by its manifest; somebody keeps it. */
export interface ManifestPlace {
  readonly descriptor: ContentDescriptor;
  readonly manifestPath: string;
}

/** A file that stands where another one stood. */
export interface ChangedFile {
  readonly base: FileEntry;
  readonly file: FileEntry;
  /** Of both, from the root of the content. */
  readonly path: string;
}

/**
 * The files of a content that took the place of another one of the same path, in its order. Both
 * manifests are gone through in step: neither has to be kept in memory.
 *
 * @throws MANIFEST_INVALID, CONTENT_HASH_MISMATCH when that of the newer content is damaged
 */
export async function* changedFiles(
  before: ManifestPlace,
  after: ManifestPlace,
): AsyncGenerator<ChangedFile, void> {
  await using previous = new PreviousEntries(before);
  const tree = new TreePath();
  let depth = 0;
  for await (const batch of openManifest(after.manifestPath, after.descriptor).entries()) {
    for (const { entry } of batch) {
      tree.next(entry);
      for (; depth > entry.depth; depth--) previous.leave();
      if (entry.type === 'directory') {
        await previous.enter(entry.name);
        depth++;
      }
      if (entry.type !== 'file') continue;
      const base = await previous.fileOf(entry.name);
      if (base && base.hash !== entry.hash) yield { base, file: entry, path: tree.path };
    }
  }
}

import type { HeldFile } from '../../shared/content-library/library-tasks.ts';
import { openManifest } from '../../shared/content-library/manifest-reader.ts';
import { VerifiedFiles } from '../../shared/content-library/verified-files.ts';
import type { FileEntry } from '../../shared/domain/content.ts';
import type { PreviewedVersion } from './previewed-version.ts';

/** What somebody holds, as far as is known. */
export interface Holdings {
  /** Which of these files are there, in their order: a batch of a manifest, and what deltas build on. */
  areHeld(files: readonly HeldFile[]): Promise<readonly boolean[]>;
  /** Whether the manifest of a content is there. */
  hasContent(contentId: string): boolean;
}

/** What is absent. */
export interface LackingBytes {
  /** Of files and deltas, as the job counts them. */
  readonly bytes: number;
  readonly fileCount: number;
  /** Of manifests and signatures. */
  readonly manifestBytes: number;
}

/**
 * What would have to be brought of a version: each file once that is not there, or the delta that makes it
 * from one that is. The manifests are gone through batch by batch: a version may have any number of files.
 */
export async function lackingBytesOf(
  { contents, deltas }: Pick<PreviewedVersion, 'contents' | 'deltas'>,
  holdings: Holdings,
  signal: AbortSignal,
): Promise<LackingBytes> {
  const seen = new VerifiedFiles();
  let [bytes, fileCount, manifestBytes] = [0, 0, 0];
  for (const { descriptor, manifestPath } of contents) {
    if (!holdings.hasContent(descriptor.contentId)) {
      manifestBytes += descriptor.manifestBytes + descriptor.signatureBytes;
    }
    for await (const batch of openManifest(manifestPath, descriptor).entries()) {
      signal.throwIfAborted();
      const files: FileEntry[] = [];
      for (const { entry } of batch) {
        if (entry.type !== 'file' || seen.has(entry.hash)) continue;
        seen.add(entry.hash);
        files.push(entry);
      }
      for (const fileBytes of await lackingOf(files, deltas, holdings)) {
        bytes += fileBytes;
        fileCount += 1;
      }
    }
  }
  return { bytes, fileCount, manifestBytes };
}

/** Bytes of each file that is not there. */
async function lackingOf(
  files: readonly FileEntry[],
  deltas: PreviewedVersion['deltas'],
  holdings: Holdings,
): Promise<number[]> {
  const bases = files.flatMap(({ hash }) => {
    const delta = deltas.get(hash);
    return delta ? [{ hash: delta.baseHash, sizeBytes: delta.baseBytes }] : [];
  });
  const held = await holdings.areHeld([...files, ...bases]);
  const heldBases = new Set(bases.filter((_, index) => held[files.length + index]).map(toHash));
  return files.flatMap(({ hash, sizeBytes }, index) => {
    if (held[index]) return [];
    const delta = deltas.get(hash);
    return [delta && heldBases.has(delta.baseHash) ? delta.deltaBytes : sizeBytes];
  });
}

function toHash({ hash }: HeldFile): string {
  return hash;
}

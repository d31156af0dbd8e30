import type { ContentDescriptor, FileEntry } from '../domain/content.ts';
import { readAhead } from '../runtime/read-ahead.ts';
import { type IndexedEntry, openManifest } from './manifest-reader.ts';
import type { ManifestSource } from './manifest-source.ts';

/** A file of a content. */
export interface ContentFile {
  /** Lower-case hexadecimal BLAKE3-256. */
  readonly hash: string;
  readonly sizeBytes: number;
  /** Position of its entry in the manifest. */
  readonly entryIndex: number;
  /** Where its piece hashes begin in the signature blob, in bytes. */
  readonly signatureOffset: number;
}

type Batch = readonly ContentFile[];

/** Files that are remembered at most, of all contents together, at about 200 bytes each. */
const rememberedFilesMax = 65_536;

/**
 * The files of contents, by their manifests. A content that arrives is read three times: when its
 * manifest comes, to find what is absent, and for its commit. The files of small ones are remembered
 * from the first time, by what is hashed: the next time only the manifest's own hash is checked.
 */
export class ContentFiles {
  readonly #remembered = new Map<string, readonly Batch[]>();
  readonly #rememberedMax: number;
  #rememberedCount = 0;

  constructor(filesMax = rememberedFilesMax) {
    this.#rememberedMax = filesMax;
  }

  /**
   * The files of a content in the manifest's order, in batches. What comes before the end is not
   * known to be the content the descriptor names until the reading has ended without a failure.
   *
   * @throws CONTENT_NOT_HELD, MANIFEST_INVALID, CONTENT_HASH_MISMATCH as ManifestReader does
   */
  async *read(descriptor: ContentDescriptor, source: ManifestSource): AsyncGenerator<Batch> {
    const manifest = openManifest(source, descriptor);
    const remembered = this.#remembered.get(keyOf(descriptor));
    if (remembered) {
      await manifest.verifyHash();
      yield* remembered;
      return;
    }
    const isSmall = descriptor.fileCount <= this.#rememberedMax;
    const batches: Batch[] = [];
    for await (const entries of readAhead(manifest.entries())) {
      const files = filesAmong(entries);
      if (isSmall) batches.push(files);
      yield files;
    }
    if (isSmall) this.#remember(descriptor, batches);
  }

  /** The files of a content, when they are remembered. */
  recall(descriptor: ContentDescriptor): readonly Batch[] | undefined {
    return this.#remembered.get(keyOf(descriptor));
  }

  /** The work on a content has ended: its files need not be remembered. */
  forget(descriptor: ContentDescriptor): void {
    const key = keyOf(descriptor);
    if (this.#remembered.delete(key)) this.#rememberedCount -= weightOf(descriptor.fileCount);
  }

  #remember(descriptor: ContentDescriptor, batches: readonly Batch[]): void {
    const key = keyOf(descriptor);
    if (this.#remembered.has(key)) return;
    this.#remembered.set(key, batches);
    this.#rememberedCount += weightOf(descriptor.fileCount);
    // Oldest first: work on it may have been given up.
    for (const [oldest, files] of this.#remembered) {
      if (this.#rememberedCount <= this.#rememberedMax) return;
      this.#remembered.delete(oldest);
      this.#rememberedCount -= weightOf(files.reduce((sum, batch) => sum + batch.length, 0));
    }
  }
}

/** A content without files takes room too. */
function weightOf(fileCount: number): number {
  return fileCount + 1;
}

/** All that the files and their places follow from, and the sums that a reading checks. */
function keyOf(descriptor: ContentDescriptor): string {
  const { contentHash, entryCount, fileCount, sizeBytes, signatureBytes } = descriptor;
  return [contentHash, entryCount, fileCount, sizeBytes, signatureBytes].join(' ');
}

function filesAmong(entries: readonly IndexedEntry[]): ContentFile[] {
  const files: ContentFile[] = [];
  for (const { entry, index, signatureOffset } of entries) {
    if (entry.type === 'file') files.push(toContentFile(entry, index, signatureOffset));
  }
  return files;
}

function toContentFile(
  { hash, sizeBytes }: FileEntry,
  entryIndex: number,
  signatureOffset: number,
): ContentFile {
  return { hash, sizeBytes, entryIndex, signatureOffset };
}

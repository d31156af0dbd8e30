import type { ContentFile } from '../content-library/content-files.ts';
import type { ContentLibrary } from '../content-library/content-library.ts';
import { verifySignature } from '../content-library/data-library.ts';
import {
  type ManifestSource,
  type OpenSource,
  openSource,
} from '../content-library/manifest-source.ts';
import { type ContentDescriptor, signatureBytesOf } from '../domain/content.ts';
import type { WantedFile } from './arriving-file.ts';
import type { IncomingFiles } from './incoming-files.ts';

/** A file of a content this DP wants. */
export interface WantedEntry {
  /** Position in the manifest. */
  readonly entryIndex: number;
  /** Bits of the pieces that are here already; see PieceSet. */
  readonly piecesHeld: Uint8Array<ArrayBuffer>;
  /** Bytes of the file that are not here yet. */
  readonly missingBytes: number;
}

/** Where a content's manifest and signature are. */
export interface ManifestSources {
  readonly manifest: ManifestSource;
  readonly signature: ManifestSource;
}

interface IndexedFile extends WantedFile {
  readonly entryIndex: number;
}

/** Compares a content's manifest with what is held here, in parts of bounded size. */
export class ContentInspection {
  readonly #library: Pick<ContentLibrary, 'areHeld' | 'readFiles'>;
  readonly #incoming: IncomingFiles;

  constructor(library: Pick<ContentLibrary, 'areHeld' | 'readFiles'>, incoming: IncomingFiles) {
    this.#library = library;
    this.#incoming = incoming;
  }

  /**
   * The files of a content that are wanted, in manifest order.
   *
   * @param isRewritten given for a redistribution: every file is wanted unless this says it has
   *   been written anew already, and it is still in the library
   * @throws CONTENT_NOT_HELD, MANIFEST_INVALID, CONTENT_HASH_MISMATCH when manifest or signature
   *   are not what the content's descriptor names
   */
  async *wantedFiles(
    packageId: string,
    content: ContentDescriptor,
    sources: ManifestSources,
    isRewritten?: (hash: string) => boolean,
  ): AsyncGenerator<WantedEntry[]> {
    await verifySignature(sources.signature, content);
    await using signature = await openSource(sources.signature);
    for await (const batch of this.#library.readFiles(content, sources.manifest)) {
      const candidates = await withPieceHashes(this.#notStaged(batch), signature);
      const held = await this.#library.areHeld(candidates);
      const isThere = ({ hash }: IndexedFile, index: number) =>
        held[index] === true && (!isRewritten || isRewritten(hash));
      const absent = candidates.filter((file, index) => !isThere(file, index));
      const wanted = await this.#notIncoming(packageId, absent);
      if (wanted.length > 0) yield wanted;
    }
  }

  /**
   * Makes ready to receive those files of a content that are named, if they are absent here.
   *
   * @param hashes of the files somebody has deltas for
   * @throws as `wantedFiles` does
   */
  async *namedFiles(
    packageId: string,
    content: ContentDescriptor,
    sources: ManifestSources,
    hashes: ReadonlySet<string>,
  ): AsyncGenerator<WantedFile> {
    await verifySignature(sources.signature, content);
    await using signature = await openSource(sources.signature);
    for await (const batch of this.#library.readFiles(content, sources.manifest)) {
      const named = this.#notStaged(batch).filter(({ hash }) => hashes.has(hash));
      if (named.length === 0) continue;
      const files = await withPieceHashes(named, signature);
      const held = await this.#library.areHeld(files);
      const absent = files.filter((_, index) => held[index] !== true);
      const prepared = await this.#incoming.prepare(packageId, absent);
      yield* absent.filter((_, index) => prepared[index] !== 'staged');
    }
  }

  /** Looked at before the library, into which they go: a file on its way is never missed. */
  #notStaged(files: readonly ContentFile[]): ContentFile[] {
    return files.filter(({ hash }) => !this.#incoming.staged.has(hash));
  }

  async #notIncoming(packageId: string, files: readonly IndexedFile[]): Promise<WantedEntry[]> {
    const prepared = await this.#incoming.prepare(packageId, files);
    const wanted: WantedEntry[] = [];
    for (const [index, { entryIndex, sizeBytes }] of files.entries()) {
      const pieces = prepared[index];
      if (pieces === undefined || pieces === 'staged') continue;
      const missingBytes = pieces.missingBytesOf(sizeBytes);
      wanted.push({ entryIndex, piecesHeld: pieces.toBytes(), missingBytes });
    }
    return wanted;
  }
}

const noBytes = new Uint8Array();

async function withPieceHashes(
  files: readonly ContentFile[],
  signature: OpenSource,
): Promise<IndexedFile[]> {
  const indexed: IndexedFile[] = [];
  for (const { entryIndex, hash, sizeBytes, signatureOffset } of files) {
    const length = signatureBytesOf(sizeBytes);
    // Copied: it is kept for long, and may be a view of a whole message.
    const pieceHashes =
      length > 0 ? new Uint8Array(await signature.read(signatureOffset, length)) : noBytes;
    indexed.push({ entryIndex, hash, sizeBytes, pieceHashes });
  }
  return indexed;
}

import type { ContentFile } from '../content-library/content-files.ts';
import type { ContentLibrary } from '../content-library/content-library.ts';
import { verifySignature } from '../content-library/data-library.ts';
import {
  type ManifestSource,
  type OpenSource,
  openSource,
} from '../content-library/manifest-source.ts';
import { type ContentDescriptor, signatureBytesOf } from '../domain/content.ts';
import { unitCountOf } from '../domain/content-units.ts';
import type { PieceSet } from '../domain/piece-set.ts';
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

/** A file of a content that is wanted here, by its units; see content-units.ts. */
export interface WantedUnitFile {
  readonly hash: string;
  readonly sizeBytes: number;
  readonly firstUnit: number;
  /** The pieces that are here, now; of no pieces for a file that travels whole. */
  readonly pieces: PieceSet;
}

/** A run of a content's units: those of the files named are wanted, all others are here. */
export interface WantedUnits {
  readonly firstUnit: number;
  /** First unit behind the run. */
  readonly endUnit: number;
  /** In manifest order. */
  readonly files: readonly WantedUnitFile[];
}

/** Where a content's manifest and signature are. */
export interface ManifestSources {
  readonly manifest: ManifestSource;
  readonly signature: ManifestSource;
}

interface IndexedFile extends WantedFile {
  readonly entryIndex: number;
  readonly firstUnit: number;
}

interface NumberedFile extends ContentFile {
  readonly firstUnit: number;
}

/** A part of a content, compared with what is here. */
interface InspectedPart {
  readonly firstUnit: number;
  readonly endUnit: number;
  readonly absent: readonly { readonly file: IndexedFile; readonly pieces: PieceSet }[];
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
    for await (const { absent } of this.#parts(packageId, content, sources, isRewritten)) {
      if (absent.length === 0) continue;
      yield absent.map(({ file: { entryIndex, sizeBytes }, pieces }) => {
        const missingBytes = pieces.missingBytesOf(sizeBytes);
        return { entryIndex, piecesHeld: pieces.toBytes(), missingBytes };
      });
    }
  }

  /** All units of a content, in runs that say which of them are wanted. @throws as `wantedFiles` */
  async *wantedUnits(
    packageId: string,
    content: ContentDescriptor,
    sources: ManifestSources,
    isRewritten?: (hash: string) => boolean,
  ): AsyncGenerator<WantedUnits> {
    for await (const part of this.#parts(packageId, content, sources, isRewritten)) {
      const { firstUnit, endUnit, absent } = part;
      const files = absent.map(({ file, pieces }) => {
        const { hash, sizeBytes, firstUnit } = file;
        return { hash, sizeBytes, firstUnit, pieces: pieces.copy() };
      });
      yield { firstUnit, endUnit, files };
    }
  }

  async *#parts(
    packageId: string,
    content: ContentDescriptor,
    sources: ManifestSources,
    isRewritten?: (hash: string) => boolean,
  ): AsyncGenerator<InspectedPart> {
    await verifySignature(sources.signature, content);
    await using signature = await openSource(sources.signature);
    let firstUnit = 0;
    for await (const batch of this.#library.readFiles(content, sources.manifest)) {
      const { files, endUnit } = numbered(batch, firstUnit);
      const candidates = await withPieceHashes(this.#notStaged(files), signature);
      const held = await this.#library.areHeld(candidates);
      const isThere = ({ hash }: IndexedFile, index: number) =>
        held[index] === true && (!isRewritten || isRewritten(hash));
      const missing = candidates.filter((file, index) => !isThere(file, index));
      yield { firstUnit, endUnit, absent: await this.#notIncoming(packageId, missing) };
      firstUnit = endUnit;
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
      // By their hashes alone: which units they are nobody asks.
      const { files: all } = numbered(batch, 0);
      const named = this.#notStaged(all).filter(({ hash }) => hashes.has(hash));
      if (named.length === 0) continue;
      const files = await withPieceHashes(named, signature);
      const held = await this.#library.areHeld(files);
      const absent = files.filter((_, index) => held[index] !== true);
      const prepared = await this.#incoming.prepare(packageId, absent);
      yield* absent.filter((_, index) => prepared[index] !== 'staged');
    }
  }

  /** Looked at before the library, into which they go: a file on its way is never missed. */
  #notStaged(files: readonly NumberedFile[]): NumberedFile[] {
    return files.filter(({ hash }) => !this.#incoming.staged.has(hash));
  }

  async #notIncoming(
    packageId: string,
    files: readonly IndexedFile[],
  ): Promise<InspectedPart['absent']> {
    const prepared = await this.#incoming.prepare(packageId, files);
    return files.flatMap((file, index) => {
      const pieces = prepared[index];
      return pieces === undefined || pieces === 'staged' ? [] : [{ file, pieces }];
    });
  }
}

function numbered(
  batch: readonly ContentFile[],
  firstUnit: number,
): { files: NumberedFile[]; endUnit: number } {
  let endUnit = firstUnit;
  const files = batch.map((file) => {
    const own = { ...file, firstUnit: endUnit };
    endUnit += unitCountOf(file.sizeBytes);
    return own;
  });
  return { files, endUnit };
}

const noBytes = new Uint8Array();

async function withPieceHashes(
  files: readonly NumberedFile[],
  signature: OpenSource,
): Promise<IndexedFile[]> {
  const indexed: IndexedFile[] = [];
  for (const { entryIndex, hash, sizeBytes, signatureOffset, firstUnit } of files) {
    const length = signatureBytesOf(sizeBytes);
    // Copied: it is kept for long, and may be a view of a whole message.
    const pieceHashes =
      length > 0 ? new Uint8Array(await signature.read(signatureOffset, length)) : noBytes;
    indexed.push({ entryIndex, hash, sizeBytes, pieceHashes, firstUnit });
  }
  return indexed;
}

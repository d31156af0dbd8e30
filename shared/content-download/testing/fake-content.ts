import { type ContentDescriptor, hasPieces, pieceLengthOf } from '../../domain/content.ts';
import { unitCountOf } from '../../domain/content-units.ts';
import type { PackageVersion } from '../../domain/package.ts';
import { PieceSet } from '../../domain/piece-set.ts';
import { testProperties } from '../../testing/test-library.ts';

export const packageId = 'PS100001';
export const contentId = 'PS100001.1';

/** A file of a content that only a test knows. */
export interface FakeFile {
  readonly hash: string;
  readonly sizeBytes: number;
  readonly firstUnit: number;
}

/** A content whose bytes are all zero; wrong ones begin with another byte. */
export class FakeContent {
  readonly files: readonly FakeFile[];
  readonly unitCount: number;
  readonly sizeBytes: number;
  readonly descriptor: ContentDescriptor;
  readonly #byHash: Map<string, FakeFile>;

  constructor(sizes: readonly number[]) {
    let [unitCount, sizeBytes] = [0, 0];
    this.files = sizes.map((size, index) => {
      const file = { hash: hashFor(index), sizeBytes: size, firstUnit: unitCount };
      unitCount += unitCountOf(size);
      sizeBytes += size;
      return file;
    });
    this.unitCount = unitCount;
    this.sizeBytes = sizeBytes;
    this.#byHash = new Map(this.files.map((file) => [file.hash, file]));
    const hashes = { contentHash: hashFor(1_000_000), signatureHash: hashFor(1_000_001) };
    const counts = { entryCount: sizes.length, fileCount: sizes.length, sizeBytes };
    this.descriptor = { contentId, ...hashes, manifestBytes: 1_000, signatureBytes: 0, ...counts };
  }

  get version(): PackageVersion {
    const packageHash = hashFor(1_000_002);
    const contents = [this.descriptor];
    return { packageId, sourceVersion: 1, packageHash, contents, properties: testProperties };
  }

  fileOf(hash: string): FakeFile | undefined {
    return this.#byHash.get(hash);
  }

  all(): PieceSet {
    return new PieceSet(this.unitCount, new Uint8Array(Math.ceil(this.unitCount / 8)).fill(0xff));
  }
}

export function unitLengthOf({ sizeBytes }: FakeFile, pieceIndex: number): number {
  return hasPieces(sizeBytes) ? pieceLengthOf(sizeBytes, pieceIndex) : sizeBytes;
}

function hashFor(index: number): string {
  return index.toString(16).padStart(64, '0');
}

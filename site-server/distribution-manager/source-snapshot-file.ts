import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
} from 'node:fs';
import { ContentHash, hashOf } from '../../shared/content-library/content-hash.ts';
import { hasPieces, pieceBytes, pieceCountOf, pieceLengthOf } from '../../shared/domain/content.ts';
import type { OwnInodes } from './own-places.ts';
import { SourceChangedError, toSourceFailure, triesMax } from './source-snapshot-path.ts';
import type { BegunFile, FileStaging } from './source-snapshot-staging.ts';

/** What is known of a file of the source once it is read. */
export interface SourceFile {
  readonly hash: string;
  /** 32 bytes a piece for a file of several pieces, else none. */
  readonly pieceHashes: Uint8Array;
  /** As they were before and after reading. */
  readonly stats: BigIntStats;
}

/** What a reader of source files works with. */
export interface SourceFileReaderParts {
  readonly staging: FileStaging;
  readonly own: OwnInodes;
  readonly onBytes: (bytes: number) => void;
}

/** Reads files of the source, each once, hashes and stages them. Blocks. */
export class SourceFileReader {
  readonly #staging: FileStaging;
  readonly #own: OwnInodes;
  readonly #onBytes: (bytes: number) => void;
  /** One byte more than a piece: a file that grew is seen to have. */
  readonly #buffer = Buffer.allocUnsafe(pieceBytes + 1);

  constructor(parts: SourceFileReaderParts) {
    this.#staging = parts.staging;
    this.#own = parts.own;
    this.#onBytes = parts.onBytes;
  }

  /**
   * Reads a file; again when it changed meanwhile, three times in all.
   *
   * @param file.previousHash of a previous file of the same place and size: probably the same
   * @throws SourceChangedError (final), SOURCE_UNREADABLE (also for one of the site's own), DISK_FULL
   */
  read(file: {
    path: string;
    shownPath: string;
    previousHash: (sizeBytes: number) => string | undefined;
  }): SourceFile {
    for (let tryCount = 1; tryCount <= triesMax; tryCount++) {
      const read = this.#readOnce(file);
      if (read) return read;
    }
    throw new SourceChangedError(file.shownPath, { isFinal: true });
  }

  /** Undefined when the file changed meanwhile. */
  #readOnce(file: {
    path: string;
    shownPath: string;
    previousHash: (sizeBytes: number) => string | undefined;
  }): SourceFile | undefined {
    const descriptor = guardSource(file.shownPath, () => openSource(file.path));
    if (descriptor === undefined) return undefined;
    try {
      const stats = fstatSync(descriptor, { bigint: true });
      this.#own.refuse(stats, file.shownPath);
      const sizeBytes = Number(stats.size);
      const open = { descriptor, sizeBytes, shownPath: file.shownPath };
      const hashes = hasPieces(sizeBytes)
        ? this.#readPieces(open, file.previousHash(sizeBytes))
        : this.#readWhole(open);
      const after = lstatSync(file.path, { bigint: true, throwIfNoEntry: false });
      return hashes && after && isSame(stats, after) ? { ...hashes, stats } : undefined;
    } finally {
      closeSync(descriptor);
    }
  }

  #readWhole(file: OpenFile): FileHashes | undefined {
    const count = this.#fill(file, file.sizeBytes + 1, 0);
    if (count !== file.sizeBytes) return undefined;
    const bytes = this.#buffer.subarray(0, count);
    const hash = hashOf(bytes);
    const held = { hash, sizeBytes: count };
    if (!this.#staging.isHeld(held)) this.#staging.stageWhole(held, bytes);
    return { hash, pieceHashes: Buffer.alloc(0) };
  }

  #readPieces(file: OpenFile, previousHash: string | undefined): FileHashes | undefined {
    const { sizeBytes } = file;
    if (previousHash !== undefined && this.#staging.isHeld({ hash: previousHash, sizeBytes })) {
      const hashes = this.#hashPieces(file, undefined);
      // Changed after all, or seen to change: the bytes have to be read again to be staged.
      if (hashes?.hash === previousHash) return hashes;
    }
    using begun = this.#staging.begin(sizeBytes);
    const hashes = this.#hashPieces(file, begun);
    if (hashes) this.#staging.end(begun, { hash: hashes.hash, sizeBytes });
    return hashes;
  }

  #hashPieces(file: OpenFile, begun: BegunFile | undefined): FileHashes | undefined {
    const { sizeBytes } = file;
    const pieceCount = pieceCountOf(sizeBytes);
    const pieceHashes: Buffer[] = [];
    const hash = new ContentHash();
    for (let index = 0; index < pieceCount; index++) {
      const length = pieceLengthOf(sizeBytes, index);
      const wanted = index === pieceCount - 1 ? length + 1 : length;
      if (this.#fill(file, wanted, index * pieceBytes) !== length) return undefined;
      const bytes = this.#buffer.subarray(0, length);
      hash.update(bytes);
      pieceHashes.push(new ContentHash().update(bytes).digestBytes());
      begun?.append(bytes);
      this.#onBytes(length);
    }
    return { hash: hash.digest(), pieceHashes: Buffer.concat(pieceHashes) };
  }

  #fill(file: OpenFile, length: number, offset: number): number {
    const { descriptor, shownPath } = file;
    return guardSource(shownPath, () => {
      let filled = 0;
      while (filled < length) {
        const left = length - filled;
        const count = readSync(descriptor, this.#buffer, filled, left, offset + filled);
        if (count === 0) break;
        filled += count;
      }
      return filled;
    });
  }
}

interface OpenFile {
  readonly descriptor: number;
  readonly sizeBytes: number;
  readonly shownPath: string;
}

interface FileHashes {
  readonly hash: string;
  readonly pieceHashes: Uint8Array;
}

/** Opens a regular file, and nothing else: opening a pipe would wait, a device might act. */
function openSource(path: string): number | undefined {
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (!stats?.isFile()) return undefined;
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const descriptor = openSync(path, flags);
  if (fstatSync(descriptor, { bigint: true }).ino === stats.ino) return descriptor;
  closeSync(descriptor);
  return undefined;
}

function isSame(before: BigIntStats, after: BigIntStats): boolean {
  return (
    before.ino === after.ino &&
    before.dev === after.dev &&
    before.size === after.size &&
    before.mtimeNs === after.mtimeNs &&
    before.ctimeNs === after.ctimeNs
  );
}

function guardSource<T>(shownPath: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw toSourceFailure(error, shownPath);
  }
}

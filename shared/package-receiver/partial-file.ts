/**
 * Runs in the receive worker: one file of several pieces that is arriving. What is on disk is
 * verified when it is opened; every piece before it is written; the whole file before it counts.
 */
import {
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { ContentHash, hashOf } from '../content-library/content-hash.ts';
import { writeFully } from '../content-library/write-fully.ts';
import { pieceBytes, pieceCountOf, pieceLengthOf } from '../domain/content.ts';
import { PieceSet } from '../domain/piece-set.ts';
import { releaseMemory } from '../runtime/release-memory.ts';
import { DirectFile } from './direct-file.ts';
import type { EarlyPieces } from './early-pieces.ts';
import { ownMemoryOf } from './message-memory.ts';
import type { ReceiveResult } from './receive-request.ts';

/** Written bytes after which write-back to disk is started, so that the last sync is short. */
const writeBackBytes = 32 * pieceBytes;

const synced = promisify(fdatasync);

/** What a file of several pieces must become. */
export interface PartialFileFacts {
  readonly hash: string;
  readonly sizeBytes: number;
  /** 32 bytes a piece. */
  readonly pieceHashes: Uint8Array;
}

/** A piece as it came. */
export interface ArrivedPiece {
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly isReadSoon: boolean;
}

/** What a file of several pieces needs. */
export interface PartialFileOptions {
  /** Shared by all files of the worker. */
  readonly earlyPieces: EarlyPieces;
  /** Called once, when the file is closed. */
  readonly onEnded: () => void;
  /** Writes past the page cache. @default to the same path */
  readonly direct?: DirectFile;
}

export class PartialFile {
  readonly pieces: PieceSet;
  readonly #path: string;
  readonly #facts: PartialFileFacts;
  readonly #pieceHashes: Buffer;
  readonly #earlyPieces: EarlyPieces;
  readonly #onEnded: () => void;
  readonly #direct: DirectFile;
  readonly #fd: number;
  readonly #hasher = new ContentHash();
  #hashedPieces = 0;
  #dirtyBytes = 0;
  #writeBack: Promise<void> = Promise.resolve();
  /** Set once the file is being finished or closed: nothing is written after. */
  #ending: Promise<ReceiveResult> | undefined;

  constructor(path: string, facts: PartialFileFacts, options: PartialFileOptions) {
    this.#path = path;
    this.#facts = facts;
    this.#pieceHashes = Buffer.from(facts.pieceHashes);
    this.#earlyPieces = options.earlyPieces;
    this.#onEnded = options.onEnded;
    this.#direct = options.direct ?? new DirectFile(path);
    this.pieces = new PieceSet(pieceCountOf(facts.sizeBytes));
    this.#fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    try {
      this.#verifyWhatIsThere();
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  /** Whether the same file is meant, and it still takes pieces. */
  takes({ sizeBytes, pieceHashes }: PartialFileFacts): boolean {
    const isSame = sizeBytes === this.#facts.sizeBytes && this.#pieceHashes.equals(pieceHashes);
    return isSame && this.#ending === undefined;
  }

  /**
   * Verifies and writes one piece; the last one finishes the file.
   *
   * @param piece.bytes belong to this object alone from now on: their memory may be released
   * @param piece.isReadSoon whether the page cache is to have it
   */
  write(piece: ArrivedPiece): ReceiveResult | Promise<ReceiveResult> {
    const { index, bytes } = piece;
    // A piece that comes twice learns of the whole file what the first one does, not before it.
    if (this.#ending !== undefined) return this.#ending;
    if (this.pieces.has(index)) return { outcome: 'written', complete: false };
    const actualHash = hashOf(bytes);
    const expectedHash = this.#pieceHash(index);
    if (actualHash !== expectedHash) {
      return { outcome: 'hash-mismatch', expectedHash, actualHash, discarded: false };
    }
    this.#write(piece);
    this.#hold(index, bytes);
    return this.pieces.isComplete ? this.finish() : { outcome: 'written', complete: false };
  }

  /** All pieces are here: the whole file against its own hash, which came by another field. */
  finish(): Promise<ReceiveResult> {
    this.#ending ??= this.#end(() => this.#conclude());
    return this.#ending;
  }

  /** Closes the file as it is; what is written stays, unless it is not on disk after all. */
  async close(): Promise<void> {
    this.#ending ??= this.#end(() => ({ outcome: 'not-open' }));
    await this.#ending.catch(() => {});
  }

  async #end(conclude: () => ReceiveResult): Promise<ReceiveResult> {
    try {
      await this.#writeBack;
      return conclude();
    } catch (error) {
      // The kernel tells a write-back error once: whoever reads the file again would believe it.
      rmSync(this.#path, { force: true });
      throw error;
    } finally {
      this.#earlyPieces.forget(this);
      this.#direct.close();
      closeSync(this.#fd);
      this.#onEnded();
    }
  }

  #conclude(): ReceiveResult {
    const { hash: expectedHash } = this.#facts;
    const actualHash = this.#hasher.digest();
    if (actualHash === expectedHash) return { outcome: 'written', complete: true };
    rmSync(this.#path, { force: true });
    return { outcome: 'hash-mismatch', expectedHash, actualHash, discarded: true };
  }

  /** Nothing on disk is believed: a power cut may have kept the size and lost the bytes. */
  #verifyWhatIsThere(): void {
    const { sizeBytes } = this.#facts;
    const { size } = fstatSync(this.#fd);
    if (size > sizeBytes) ftruncateSync(this.#fd, sizeBytes);
    for (let index = 0; index < pieceCountOf(Math.min(size, sizeBytes)); index++) {
      const bytes = this.#read(index);
      if (hashOf(bytes) === this.#pieceHash(index)) this.#hold(index, bytes);
    }
  }

  /** The whole-file hash runs along in order; what came early waits, or is read back. */
  #hold(index: number, bytes: Uint8Array): void {
    this.pieces.add(index);
    if (index !== this.#hashedPieces) {
      this.#earlyPieces.keep(this, index, bytes);
      return;
    }
    this.#hashNext(bytes);
    while (this.pieces.has(this.#hashedPieces)) {
      const next = this.#hashedPieces;
      this.#hashNext(this.#earlyPieces.take(this, next) ?? this.#read(next));
    }
  }

  /** The last that is done with the bytes of a piece. */
  #hashNext(bytes: Uint8Array): void {
    this.#hasher.update(bytes);
    this.#hashedPieces += 1;
    const memory = ownMemoryOf([bytes]);
    if (memory) releaseMemory(memory);
  }

  #write({ index, bytes, isReadSoon }: ArrivedPiece): void {
    const position = index * pieceBytes;
    if (!isReadSoon && this.#direct.write(bytes, position)) return;
    writeFully(this.#fd, bytes, position);
    this.#startWriteBack(bytes.length);
  }

  #startWriteBack(bytes: number): void {
    this.#dirtyBytes += bytes;
    if (this.#dirtyBytes < writeBackBytes) return;
    this.#dirtyBytes = 0;
    this.#writeBack = this.#writeBack.then(() => synced(this.#fd));
    // A file that could not be written back must not live on.
    this.#writeBack.catch(() => this.close());
  }

  #pieceHash(index: number): string {
    return this.#pieceHashes.toString('hex', index * 32, index * 32 + 32);
  }

  #read(index: number): Uint8Array {
    return readFully(this.#fd, pieceLengthOf(this.#facts.sizeBytes, index), index * pieceBytes);
  }
}

/** Reads so many bytes from a position; fewer where the file ends. */
export function readFully(fd: number, lengthBytes: number, position: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(lengthBytes);
  let filled = 0;
  while (filled < lengthBytes) {
    const count = readSync(fd, bytes, filled, lengthBytes - filled, position + filled);
    if (count === 0) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}

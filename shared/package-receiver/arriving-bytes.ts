import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { isSystemError } from '../content-library/library-failure.ts';
import { hasPieces, pieceBytes, pieceCountOf, pieceLengthOf } from '../domain/content.ts';
import type { PieceSet } from '../domain/piece-set.ts';

/** A file that becomes whole while a piece of it is read is read once more; and that is staged anew. */
const triesMax = 3;

/** A file by what it must be. */
interface FileName {
  /** Lower-case hexadecimal BLAKE3-256. */
  readonly hash: string;
  readonly sizeBytes: number;
}

/** What is here, verified, of content that is not in the library yet. */
export interface ArrivingBytes {
  /** A verified piece of a file that is arriving or staged; undefined when it is not here. */
  readPiece(file: FileName, pieceIndex: number): Promise<Uint8Array | undefined>;
  /** A whole small file that is staged; undefined when it is not here. */
  readSmall(file: FileName): Promise<Uint8Array | undefined>;
}

/** What is here of a file that is not whole. */
interface ArrivingPieces {
  readonly sizeBytes: number;
  readonly pieces: PieceSet;
  /** Set when a piece is read. */
  isRead: boolean;
}

/** Where the incoming folder stands, as the event loop knows it. */
export interface IncomingPlaces {
  pathOf(hash: string): string;
  /** The size of a whole file that waits for the library, in an object of its own. */
  staged(hash: string): { readonly sizeBytes: number } | undefined;
  /** The pieces that were verified of a file that is not whole, in a set of its own. */
  arriving(hash: string): ArrivingPieces | undefined;
}

/**
 * Reads what was verified in the incoming folder, past the receive worker, which is busy writing.
 * Called by the content server; writes nothing.
 *
 * A file may be begun anew under its name while it is read. So what is told of it is asked before and
 * after: only bytes that were right all the time in between are given away. Others are not here, and
 * whoever asks looks in the library, where a staged file has gone.
 */
export class IncomingBytes implements ArrivingBytes {
  readonly #places: IncomingPlaces;

  constructor(places: IncomingPlaces) {
    this.#places = places;
  }

  async readPiece(file: FileName, pieceIndex: number): Promise<Uint8Array | undefined> {
    const { hash, sizeBytes } = file;
    if (!hasPieces(sizeBytes) || pieceIndex >= pieceCountOf(sizeBytes)) return undefined;
    const lengthBytes = pieceLengthOf(sizeBytes, pieceIndex);
    return this.#whileThere(
      () => this.#staged(file) ?? this.#piecesWith(file, pieceIndex),
      () => readPart(this.#places.pathOf(hash), lengthBytes, pieceIndex * pieceBytes),
    );
  }

  async readSmall(file: FileName): Promise<Uint8Array | undefined> {
    if (hasPieces(file.sizeBytes)) return undefined;
    return this.#whileThere(
      () => this.#staged(file),
      () => readPart(this.#places.pathOf(file.hash), file.sizeBytes, 0),
    );
  }

  /** Reads when there is evidence that the bytes are right, and believes them if it is the same after. */
  async #whileThere(
    evidence: () => object | undefined,
    read: () => Promise<Uint8Array | undefined>,
  ): Promise<Uint8Array | undefined> {
    for (let tries = 0; tries < triesMax; tries++) {
      const before = evidence();
      if (!before) return undefined;
      const bytes = await read();
      if (evidence() === before) return bytes;
    }
    return undefined;
  }

  #staged({ hash, sizeBytes }: FileName): object | undefined {
    const staged = this.#places.staged(hash);
    return staged?.sizeBytes === sizeBytes ? staged : undefined;
  }

  /** The set itself: a file that is begun anew, or opened again, gets another one. */
  #piecesWith({ hash, sizeBytes }: FileName, pieceIndex: number): PieceSet | undefined {
    const arriving = this.#places.arriving(hash);
    if (arriving?.sizeBytes !== sizeBytes || !arriving.pieces.has(pieceIndex)) return undefined;
    arriving.isRead = true;
    return arriving.pieces;
  }
}

/** So many bytes from a position on; undefined when there is no such file, or it is too short. */
async function readPart(
  path: string,
  lengthBytes: number,
  position: number,
): Promise<Uint8Array | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await open(path, flags).catch((error: unknown) => {
    if (!isSystemError(error, 'ENOENT', 'ELOOP', 'ENOTDIR')) throw error;
  });
  if (!handle) return undefined;
  try {
    return (await handle.stat()).isFile() ? await fill(handle, lengthBytes, position) : undefined;
  } finally {
    await handle.close();
  }
}

async function fill(
  handle: FileHandle,
  lengthBytes: number,
  position: number,
): Promise<Uint8Array | undefined> {
  const bytes = Buffer.allocUnsafe(lengthBytes);
  for (let filled = 0; filled < lengthBytes; ) {
    const left = lengthBytes - filled;
    const { bytesRead } = await handle.read(bytes, filled, left, position + filled);
    if (bytesRead === 0) return undefined;
    filled += bytesRead;
  }
  return bytes;
}

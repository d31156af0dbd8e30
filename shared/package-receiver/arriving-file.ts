import { pieceCountOf, pieceLengthOf } from '../domain/content.ts';
import { WaybillError } from '../domain/errors.ts';
import { PieceSet } from '../domain/piece-set.ts';

/** A file a package wants: identity, length, and for several pieces their hashes. */
export interface WantedFile {
  readonly hash: string;
  readonly sizeBytes: number;
  /** 32 bytes a piece; empty for a file of one piece. */
  readonly pieceHashes: Uint8Array;
}

/** A file of several pieces that is wanted here and not whole yet. */
export class ArrivingFile implements WantedFile {
  readonly hash: string;
  readonly sizeBytes: number;
  readonly pieceHashes: Uint8Array;
  /** The pieces that are here as far as the event loop knows; the worker knows for certain. */
  pieces: PieceSet;
  /** The packages that want it. */
  packageIds: readonly string[] = [];
  askedAtMs = 0;
  /** Whether somebody has read of it, and will want what is still to come. */
  isRead = false;
  /** While the worker opens it. */
  opening: Promise<void> | undefined;

  constructor({ hash, sizeBytes, pieceHashes }: WantedFile) {
    this.hash = hash;
    this.sizeBytes = sizeBytes;
    this.pieceHashes = pieceHashes;
    this.pieces = new PieceSet(pieceCountOf(sizeBytes));
  }

  isAskedFor(packageId: string, nowMs: number): void {
    if (!this.packageIds.includes(packageId)) this.packageIds = [...this.packageIds, packageId];
    this.askedAtMs = nowMs;
  }

  /** @returns whether nobody wants it any more */
  isGivenUpBy(packageId: string): boolean {
    this.packageIds = this.packageIds.filter((id) => id !== packageId);
    return this.packageIds.length === 0;
  }

  /** Whether another manifest tells the same of it. */
  isSame({ sizeBytes, pieceHashes }: WantedFile): boolean {
    return sizeBytes === this.sizeBytes && Buffer.compare(this.pieceHashes, pieceHashes) === 0;
  }

  /** @throws MESSAGE_INVALID unless the file has such a piece of this length */
  checkPiece(pieceIndex: number, lengthBytes: number): void {
    const { pieceCount } = this.pieces;
    if (pieceIndex >= pieceCount) {
      throw invalid('piece.piece_index', `less than ${pieceCount}`, String(pieceIndex));
    }
    const expected = pieceLengthOf(this.sizeBytes, pieceIndex);
    if (lengthBytes === expected) return;
    throw invalid('piece.data', `${expected} bytes`, `${lengthBytes} bytes`);
  }
}

function invalid(field: string, expected: string, actual: string): WaybillError {
  return new WaybillError({ code: 'MESSAGE_INVALID', field, expected, actual });
}

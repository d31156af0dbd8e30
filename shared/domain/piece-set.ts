import { pieceLengthOf } from './content.ts';

/** Which pieces of a file are here: one bit a piece, the lowest bit of the first byte first. */
export class PieceSet {
  readonly pieceCount: number;
  readonly #bits: Uint8Array<ArrayBuffer>;
  #heldCount = 0;

  /** @param bits pieces that are held; those it is too short for are not */
  constructor(pieceCount: number, bits: Uint8Array = new Uint8Array(0)) {
    this.pieceCount = pieceCount;
    this.#bits = new Uint8Array(Math.ceil(pieceCount / 8));
    for (let index = 0; index < pieceCount; index++) {
      if (((bits[index >> 3] ?? 0) >> (index & 7)) & 1) this.add(index);
    }
  }

  has(index: number): boolean {
    return (((this.#bits[index >> 3] ?? 0) >> (index & 7)) & 1) === 1;
  }

  add(index: number): void {
    if (index < 0 || index >= this.pieceCount || this.has(index)) return;
    this.#bits[index >> 3] = (this.#bits[index >> 3] ?? 0) | (1 << (index & 7));
    this.#heldCount += 1;
  }

  /** What is held now, as a set of its own. */
  copy(): PieceSet {
    return new PieceSet(this.pieceCount, this.#bits);
  }

  get heldCount(): number {
    return this.#heldCount;
  }

  get isComplete(): boolean {
    return this.#heldCount === this.pieceCount;
  }

  /** Bytes of the pieces that are not here, of a file of this size; a file of no pieces is absent. */
  missingBytesOf(sizeBytes: number): number {
    if (this.pieceCount === 0) return sizeBytes;
    let missingBytes = 0;
    for (let index = 0; index < this.pieceCount; index++) {
      if (!this.has(index)) missingBytes += pieceLengthOf(sizeBytes, index);
    }
    return missingBytes;
  }

  /** The bits as they travel, now; empty when no piece is held. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#heldCount === 0 ? new Uint8Array(0) : this.#bits.slice();
  }
}

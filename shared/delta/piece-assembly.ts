import { pieceLengthOf } from '../domain/content.ts';
import type { ByteSource } from './delta-reader.ts';

/** Read from the base at once. */
const readBytes = 256 * 1024;

/** A whole piece; its memory is the receiver's. */
export type OnPiece = (pieceIndex: number, bytes: Uint8Array<ArrayBuffer>) => void;

/** Puts the bytes of a file together, piece by piece, in order. */
export class PieceAssembly {
  readonly #fileBytes: number;
  readonly #onPiece: OnPiece;
  #piece: Uint8Array<ArrayBuffer> | undefined;
  #pieceIndex = 0;
  #filled = 0;

  constructor(fileBytes: number, onPiece: OnPiece) {
    this.#fileBytes = fileBytes;
    this.#onPiece = onPiece;
  }

  /** @throws RangeError when there are more bytes than the file has */
  add(bytes: Uint8Array): void {
    for (let taken = 0; taken < bytes.length; ) {
      const piece = this.#current();
      const part = bytes.subarray(taken, taken + piece.length - this.#filled);
      piece.set(part, this.#filled);
      this.#filled += part.length;
      taken += part.length;
      if (this.#filled === piece.length) this.#end(piece);
    }
  }

  /** The same, of bytes of a source; where it has become shorter, zeros: no piece is right then. */
  addFrom(source: ByteSource, offset: number, lengthBytes: number): void {
    for (let done = 0; done < lengthBytes; ) {
      const wanted = Math.min(readBytes, lengthBytes - done);
      const bytes = source.read(offset + done, wanted);
      this.add(bytes.length > 0 ? bytes : new Uint8Array(wanted));
      done += bytes.length > 0 ? bytes.length : wanted;
    }
  }

  #current(): Uint8Array<ArrayBuffer> {
    this.#piece ??= new Uint8Array(pieceLengthOf(this.#fileBytes, this.#pieceIndex));
    return this.#piece;
  }

  #end(piece: Uint8Array<ArrayBuffer>): void {
    const index = this.#pieceIndex;
    this.#piece = undefined;
    this.#pieceIndex += 1;
    this.#filled = 0;
    this.#onPiece(index, piece);
  }
}

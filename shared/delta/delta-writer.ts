import { writeSync } from 'node:fs';
import { ContentHash } from '../content-library/content-hash.ts';
import { hasPieces, pieceBytes } from '../domain/content.ts';
import { type DeltaSubject, encodeHeader, FrameBuilder } from './delta-format.ts';
import type { OperationSink } from './delta-scan.ts';

/** What a delta that was written is told by. */
export interface WrittenDelta {
  readonly deltaHash: string;
  readonly deltaBytes: number;
  readonly deltaPieceHashes: string;
}

/** Writes a delta, frame by frame, and hashes it on the way. */
export class DeltaWriter implements OperationSink {
  readonly #fd: number;
  readonly #frame = new FrameBuilder();
  readonly #hash = new ContentHash();
  #piece = new ContentHash();
  #pieceHashes: string[] = [];
  #writtenBytes = 0;

  constructor(fd: number, subject: DeltaSubject) {
    this.#fd = fd;
    this.#write(encodeHeader(subject));
  }

  /** Bytes of the delta so far, without the frame that is being filled. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  insert(bytes: Uint8Array): void {
    for (let taken = 0; taken < bytes.length; ) {
      taken += this.#frame.insert(bytes.subarray(taken));
      if (this.#frame.isFull) this.#flush();
    }
  }

  copy(offset: number, lengthBytes: number): void {
    this.#frame.copy(offset, lengthBytes);
    if (this.#frame.isFull) this.#flush();
  }

  finish(): WrittenDelta {
    this.#flush();
    if (this.#writtenBytes % pieceBytes !== 0) this.#pieceHashes.push(this.#piece.digest());
    return {
      deltaHash: this.#hash.digest(),
      deltaBytes: this.#writtenBytes,
      deltaPieceHashes: hasPieces(this.#writtenBytes) ? this.#pieceHashes.join('') : '',
    };
  }

  #flush(): void {
    const frame = this.#frame.take();
    if (frame) this.#write(frame);
  }

  #write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    this.#hash.update(bytes);
    for (let at = 0; at < bytes.length; ) {
      const room = pieceBytes - (this.#writtenBytes % pieceBytes);
      const part = bytes.subarray(at, at + room);
      this.#piece.update(part);
      this.#writtenBytes += part.length;
      at += part.length;
      if (part.length === room) this.#endPiece();
    }
  }

  #endPiece(): void {
    this.#pieceHashes.push(this.#piece.digest());
    this.#piece = new ContentHash();
  }
}

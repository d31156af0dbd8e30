/**
 * Content messages in their encoded form, written straight into the buffer the bytes are read into: a
 * piece is never copied by an encoder, and one encoding serves everybody. The same bytes are a request
 * of DistributionPoint.PutContent, which pushes, and an answer of Content.Fetch: `piece` and `files`
 * have the same numbers in both. A test holds all three equal.
 */

/**
 * Memory of a frame: a batch or a piece of 1 MiB with all that stands around it. Frames are one size
 * so that they can be used again; memory made anew for each would cost more than the encoding.
 */
export const frameMemoryBytes = 1024 * 1024 + 128 * 1024;

/** A message with room for the bytes of its files, still to be filled. */
export interface MessageFrame {
  readonly bytes: Uint8Array;
  /** Where the content of each file goes. */
  readonly rooms: readonly { readonly offset: number; readonly sizeBytes: number }[];
}

const lengthDelimited = 2;
const tag = (field: number, wireType: number): number => (field << 3) | wireType;

const pieceField = 2;
const filesField = 3;

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) length += 1;
  return length;
}

/** Writes fields one after another; the length is known before. */
class FrameWriter {
  readonly bytes: Uint8Array;
  offset = 0;

  constructor(memory: ArrayBuffer, length: number) {
    this.bytes = new Uint8Array(memory, 0, length);
  }

  varint(value: number): this {
    let rest = value;
    for (; rest > 0x7f; rest = Math.floor(rest / 128))
      this.bytes[this.offset++] = (rest % 128) | 0x80;
    this.bytes[this.offset++] = rest;
    return this;
  }

  field(number: number, length: number): this {
    return this.varint(tag(number, lengthDelimited)).varint(length);
  }

  hash(number: number, hash: string): this {
    this.field(number, 32);
    this.bytes.set(Buffer.from(hash, 'hex'), this.offset);
    this.offset += 32;
    return this;
  }

  /** Leaves room for bytes and says where. */
  room(sizeBytes: number): { offset: number; sizeBytes: number } {
    const room = { offset: this.offset, sizeBytes };
    this.offset += sizeBytes;
    return room;
  }
}

const hashFieldLength = 1 + 1 + 32;

/**
 * Frame of `PutContentRequest.piece` and `FetchResponse.piece`; `sizeBytes` is the length of the piece, not of the file.
 *
 * @param memory of `frameMemoryBytes`; nobody else may use it
 */
export function pieceFrame(
  memory: ArrayBuffer,
  piece: { readonly hash: string; readonly pieceIndex: number; readonly sizeBytes: number },
): MessageFrame {
  const { hash, pieceIndex, sizeBytes } = piece;
  const indexLength = 1 + varintLength(pieceIndex);
  const length = hashFieldLength + indexLength + 1 + varintLength(sizeBytes) + sizeBytes;
  const writer = new FrameWriter(memory, 1 + varintLength(length) + length);
  writer.field(pieceField, length).hash(1, hash).varint(tag(2, 0)).varint(pieceIndex);
  const rooms = [writer.field(3, sizeBytes).room(sizeBytes)];
  return { bytes: writer.bytes, rooms };
}

/** Bytes one small file takes in a batch, its framing included. */
export function smallFileLength(sizeBytes: number): number {
  const inner = hashFieldLength + 1 + varintLength(sizeBytes) + sizeBytes;
  return 1 + varintLength(inner) + inner;
}

/**
 * Frame of `PutContentRequest.files` and `FetchResponse.files`; a room for each file, in their order.
 *
 * @param memory of `frameMemoryBytes`; nobody else may use it
 */
export function filesFrame(
  memory: ArrayBuffer,
  files: readonly { readonly hash: string; readonly sizeBytes: number }[],
): MessageFrame {
  const length = files.reduce((sum, { sizeBytes }) => sum + smallFileLength(sizeBytes), 0);
  const writer = new FrameWriter(memory, 1 + varintLength(length) + length);
  writer.field(filesField, length);
  const rooms = files.map(({ hash, sizeBytes }) => {
    const inner = hashFieldLength + 1 + varintLength(sizeBytes) + sizeBytes;
    return writer.field(1, inner).hash(1, hash).field(2, sizeBytes).room(sizeBytes);
  });
  return { bytes: writer.bytes, rooms };
}

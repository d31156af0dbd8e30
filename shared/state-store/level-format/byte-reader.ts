/** Reads numbers and slices one after another; a read past the end throws RangeError. */
export class ByteReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  /** The next byte. */
  byte(): number {
    return this.slice(1).readUInt8();
  }

  /** A number in groups of seven bits, low groups first; larger than a safe integer throws. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 64; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (!Number.isSafeInteger(value)) break;
      if (byte < 0x80) return value;
    }
    throw new RangeError('A number is too large');
  }

  /** So many bytes, not copied. */
  slice(length: number): Buffer {
    const end = this.#offset + length;
    if (end > this.#bytes.length) throw new RangeError('Bytes are missing at the end');
    const slice = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return slice;
  }

  /** Bytes whose number stands before them. */
  lengthPrefixed(): Buffer {
    return this.slice(this.varint());
  }
}

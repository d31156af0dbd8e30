/** Longest varint, in bytes: 7 bits each of a safe integer. */
export const varintBytesMax = 8;

/** Writes a whole number from 0 up, least 7 bits first. @returns the position behind it */
export function writeVarint(into: Uint8Array, position: number, value: number): number {
  let rest = value;
  let at = position;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) into[at++] = (rest % 128) | 0x80;
  into[at++] = rest;
  return at;
}

/** Reads numbers from bytes one after another; undefined where there is none. */
export class VarintReader {
  readonly #bytes: Uint8Array;
  position: number;

  constructor(bytes: Uint8Array, position = 0) {
    this.#bytes = bytes;
    this.position = position;
  }

  get isAtEnd(): boolean {
    return this.position >= this.#bytes.length;
  }

  /** The next number; undefined when it is cut off, too large, or longer than it has to be. */
  next(): number | undefined {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < varintBytesMax; count++) {
      const byte = this.#bytes[this.position++];
      if (byte === undefined) return undefined;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        const isShortest = byte !== 0 || count === 0;
        return isShortest && Number.isSafeInteger(value) ? value : undefined;
      }
      scale *= 128;
    }
    return undefined;
  }
}

/** A number that may be negative as one that is not; small ones stay small. */
export function toZigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

export function fromZigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

/** Tags of DER, as far as certificate requests have them. */
export const derTags = {
  integer: 0x02,
  bitString: 0x03,
  sequence: 0x30,
  attributes: 0xa0,
} as const;

export type DerTag = keyof typeof derTags;

/** What was read is not DER of the form that was expected; the message says where. */
export class DerError extends Error {}

/** One element: tag, length and content. */
export interface DerElement {
  readonly content: Buffer;
  /** With its tag and length. */
  readonly whole: Buffer;
}

/**
 * Reads elements of DER one after another; each only as the tag it must have, its length in the one
 * form DER allows, and never past the end. It goes no deeper by itself, so that no input is
 * too deep. X.690, 8.1 and 10.1.
 */
export class DerReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** @param what it is, for the sentence. @throws DerError */
  read(tag: DerTag, what: string): DerElement {
    const start = this.#at;
    if (this.#bytes[start] !== derTags[tag]) throw new DerError(`it has no ${what}`);
    const { contentAt, length } = this.#lengthAt(start + 1, what);
    const end = contentAt + length;
    if (end > this.#bytes.length) throw new DerError(`its ${what} is cut off`);
    this.#at = end;
    return {
      content: this.#bytes.subarray(contentAt, end),
      whole: this.#bytes.subarray(start, end),
    };
  }

  /** @throws DerError when something follows */
  end(what: string): void {
    if (this.#at < this.#bytes.length) throw new DerError(`something follows its ${what}`);
  }

  #lengthAt(at: number, what: string): { contentAt: number; length: number } {
    const first = this.#byteAt(at, what);
    if (first < 0x80) return { contentAt: at + 1, length: first };
    const second = this.#byteAt(at + 1, what);
    if (first === 0x81 && second >= 0x80) return { contentAt: at + 2, length: second };
    if (first === 0x82 && second > 0) {
      return { contentAt: at + 3, length: second * 256 + this.#byteAt(at + 2, what) };
    }
    throw new DerError(`the length of its ${what} is not DER, or over 65,535`);
  }

  #byteAt(at: number, what: string): number {
    const byte = this.#bytes[at];
    if (byte === undefined) throw new DerError(`its ${what} is cut off`);
    return byte;
  }
}

/** An element of up to 65,535 bytes. */
export function derElement(tag: DerTag, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([derTags[tag], ...lengthBytes(content.length)]), content]);
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}

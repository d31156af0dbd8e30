/** Blocks an index holds at most: about 17 MiB of memory. */
export const indexBlocksMax = 1_048_576;
/** Shortest and longest block, in bytes. */
export const blockBytesMin = 512;
export const blockBytesMax = 1_048_576;

/** Length of the blocks a base is looked at in; undefined when it is too large for a delta. */
export function blockBytesFor(baseBytes: number): number | undefined {
  let blockBytes = blockBytesMin;
  while (baseBytes / blockBytes > indexBlocksMax) blockBytes *= 2;
  return blockBytes <= blockBytesMax ? blockBytes : undefined;
}

/** Multiplier of the rolling hash, a polynomial modulo 2^32; odd. */
const multiplier = 0x2c9277b5;

/** The multiplier to this power. */
function powerOf(exponent: number): number {
  let power = 1;
  for (let count = 0; count < exponent; count++) power = Math.imul(power, multiplier);
  return power;
}

const [power2, power3, power4] = [powerOf(2), powerOf(3), powerOf(4)];

/** The weak hash of bytes from a position; the length must be a multiple of 4. */
export function weakHashOf(bytes: Uint8Array, start: number, lengthBytes: number): number {
  let hash = 0;
  // Four at a time: one waits less for the other. Views are within bounds by the caller.
  for (let at = start; at < start + lengthBytes; at += 4) {
    const high =
      Math.imul(bytes[at] as number, power3) + Math.imul(bytes[at + 1] as number, power2);
    const low = Math.imul(bytes[at + 2] as number, multiplier) + (bytes[at + 3] as number);
    hash = (Math.imul(hash, power4) + high + low) | 0;
  }
  return hash;
}

/** Where a scan stopped. */
export interface Found {
  /** Position in the bytes. */
  readonly at: number;
  /** The block of the base that may be there; -1 when the bytes came to their end. */
  readonly block: number;
}

/**
 * Where the blocks of a base are, by a weak hash: an open table of fixed size. Of blocks with one
 * hash the first counts.
 */
export class BlockIndex {
  readonly blockBytes: number;
  readonly #hashes: Int32Array;
  /** Block plus one; 0: nothing here. */
  readonly #blocks: Uint32Array;
  /** One bit for some hashes each: most of what is not here is seen here already. */
  readonly #filter: Uint8Array;
  readonly #shift: number;
  readonly #filterShift: number;
  readonly #leaving: number;

  constructor(blockCount: number, blockBytes: number) {
    this.blockBytes = blockBytes;
    const bits = Math.max(4, Math.ceil(Math.log2(blockCount + 1)) + 1);
    this.#hashes = new Int32Array(2 ** bits);
    this.#blocks = new Uint32Array(2 ** bits);
    this.#shift = 32 - bits;
    const filterBits = Math.min(bits + 3, 24);
    this.#filter = new Uint8Array(2 ** (filterBits - 3));
    this.#filterShift = 32 - filterBits;
    this.#leaving = powerOf(blockBytes);
  }

  add(hash: number, block: number): void {
    const mixed = Math.imul(hash, 0x9e3779b1) >>> 0;
    const filterBit = mixed >>> this.#filterShift;
    this.#filter[filterBit >>> 3] = (this.#filter[filterBit >>> 3] ?? 0) | (1 << (filterBit & 7));
    const mask = this.#blocks.length - 1;
    let slot = mixed >>> this.#shift;
    while (this.#blocks[slot] !== 0) {
      if (this.#hashes[slot] === hash) return;
      slot = (slot + 1) & mask;
    }
    this.#hashes[slot] = hash;
    this.#blocks[slot] = block + 1;
  }

  /** Rolls over the bytes from a position until a block may begin where it is, or no block fits. */
  scan(bytes: Uint8Array, from: number, end: number): Found {
    const { blockBytes } = this;
    const [filter, filterShift, leaving] = [this.#filter, this.#filterShift, this.#leaving];
    let hash = weakHashOf(bytes, from, blockBytes);
    for (let at = from; ; at++) {
      const mixed = Math.imul(hash, 0x9e3779b1) >>> 0;
      const filterBit = mixed >>> filterShift;
      if ((((filter[filterBit >>> 3] as number) >>> (filterBit & 7)) & 1) !== 0) {
        const block = this.#find(hash, mixed >>> this.#shift);
        if (block !== -1) return { at, block };
      }
      if (at + blockBytes >= end) return { at, block: -1 };
      const incoming = bytes[at + blockBytes] as number;
      const outgoing = Math.imul(bytes[at] as number, leaving);
      hash = (Math.imul(hash, multiplier) + incoming - outgoing) | 0;
    }
  }

  #find(hash: number, firstSlot: number): number {
    const mask = this.#blocks.length - 1;
    for (let slot = firstSlot; this.#blocks[slot] !== 0; slot = (slot + 1) & mask) {
      if (this.#hashes[slot] === hash) return (this.#blocks[slot] as number) - 1;
    }
    return -1;
  }
}

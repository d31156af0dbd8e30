import { packBlock } from './block-packing.ts';
import { blockBytes, blockHeadBytes } from './package-file-format.ts';

/** Bytes that go into blocks, wherever they are. */
export interface RawPart {
  readonly sizeBytes: number;
  /** Fills the memory with the bytes from a position on. */
  read(into: Uint8Array, offset: number): void;
}

/**
 * Cuts what goes into a package file in blocks as its writer does, and compresses some of them, evenly
 * spread: what the others become is reckoned from those. Blocks.
 */
export class SampledBlocks {
  readonly isSampled: boolean;
  readonly #rawBytes: number;
  readonly #blockCount: number;
  readonly #sampleCount: number;
  readonly #level: number;
  readonly #block = Buffer.alloc(blockBytes);
  #positionBytes = 0;
  #sampledRawBytes = 0;
  #sampledPackedBytes = 0;

  /** @param of.rawBytes what all parts will have together */
  constructor(of: { rawBytes: number; sampleBytesMax: number; level: number }) {
    this.#rawBytes = of.rawBytes;
    this.#level = of.level;
    this.#blockCount = Math.ceil(of.rawBytes / blockBytes);
    const countMax = Math.max(1, Math.floor(of.sampleBytesMax / blockBytes));
    this.#sampleCount = Math.min(this.#blockCount, countMax);
    this.isSampled = this.#sampleCount < this.#blockCount;
  }

  /** The next bytes. */
  add(part: RawPart): void {
    for (let offset = 0; offset < part.sizeBytes; ) {
      const inBlock = this.#positionBytes % blockBytes;
      const length = Math.min(part.sizeBytes - offset, blockBytes - inBlock);
      if (this.#isLookedAt(Math.floor(this.#positionBytes / blockBytes))) {
        part.read(this.#block.subarray(inBlock, inBlock + length), offset);
      }
      offset += length;
      this.#positionBytes += length;
      if (this.#positionBytes % blockBytes === 0) this.#endBlock(blockBytes);
    }
  }

  /** What all blocks become with their heads, once all parts were added. */
  get packedBytes(): number {
    const rest = this.#positionBytes % blockBytes;
    if (rest > 0 && this.#positionBytes >= this.#rawBytes) {
      this.#endBlock(rest);
      this.#positionBytes += blockBytes - rest;
    }
    const share = this.#sampledRawBytes > 0 ? this.#sampledPackedBytes / this.#sampledRawBytes : 1;
    return Math.round(this.#rawBytes * share) + this.#blockCount * blockHeadBytes;
  }

  /** So that looked-at blocks are evenly spread, whatever their number. */
  #isLookedAt(index: number): boolean {
    const placeOf = (block: number) => Math.floor((block * this.#sampleCount) / this.#blockCount);
    return placeOf(index + 1) > placeOf(index);
  }

  #endBlock(lengthBytes: number): void {
    const index = Math.ceil(this.#positionBytes / blockBytes) - 1;
    if (!this.#isLookedAt(index)) return;
    const raw = this.#block.subarray(0, lengthBytes);
    this.#sampledRawBytes += lengthBytes;
    this.#sampledPackedBytes += packBlock(raw, this.#level)?.length ?? lengthBytes;
  }
}

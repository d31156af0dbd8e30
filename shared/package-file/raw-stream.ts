import { readSync } from 'node:fs';
import { unpackBlock } from './block-packing.ts';
import { blockBytes, blockHeadBytes } from './package-file-format.ts';

/** Where the blocks of a package file are, and what they become; nothing of it is believed. */
export interface RawStreamSource {
  readonly descriptor: number;
  /** Where the first block begins, and where the file ends. */
  readonly startBytes: number;
  readonly endBytes: number;
  /** What all blocks become. */
  readonly rawBytes: number;
  /** Throws what is said of a package file that is not one. */
  readonly refuse: (reason: string) => never;
}

/**
 * The raw bytes of a package file, one block in memory. A block becomes what it says, and all of them
 * what the head says, or the reading ends with a refusal, before memory is taken for more. Blocks.
 */
export class RawStream {
  readonly #source: RawStreamSource;
  readonly #packed = Buffer.allocUnsafeSlow(blockBytes);
  #raw: Uint8Array = new Uint8Array(0);
  #position: number;
  /** Raw bytes that were not taken yet. */
  #leftBytes: number;
  /** Raw bytes of blocks that were not read yet. */
  #unreadBytes: number;

  constructor(source: RawStreamSource) {
    this.#source = source;
    this.#position = source.startBytes;
    this.#leftBytes = source.rawBytes;
    this.#unreadBytes = source.rawBytes;
  }

  get leftBytes(): number {
    return this.#leftBytes;
  }

  /** The next bytes, at least one and at most so many; valid until the next call. */
  next(bytesMax: number): Uint8Array {
    if (this.#leftBytes === 0) this.#source.refuse('it ends early');
    if (this.#raw.length === 0) this.#raw = this.#readBlock();
    const bytes = this.#raw.subarray(0, bytesMax);
    this.#raw = this.#raw.subarray(bytes.length);
    this.#leftBytes -= bytes.length;
    return bytes;
  }

  /** Exactly so many bytes, few; in memory of their own. */
  exactly(count: number): Buffer {
    const bytes = Buffer.alloc(count);
    for (let filled = 0; filled < count; ) {
      const part = this.next(count - filled);
      bytes.set(part, filled);
      filled += part.length;
    }
    return bytes;
  }

  /** All was taken, and nothing is left in the file. */
  end(): void {
    if (this.#leftBytes > 0) this.#source.refuse('raw bytes are left');
    if (this.#position !== this.#source.endBytes) this.#source.refuse('it goes on after its end');
  }

  #readBlock(): Uint8Array {
    const { refuse } = this.#source;
    const head = this.#read(blockHeadBytes);
    const [rawBytes, packedBytes] = [head.readUInt32LE(0), head.readUInt32LE(4)];
    const expectedBytes = Math.min(blockBytes, this.#unreadBytes);
    if (rawBytes !== expectedBytes) refuse(`a block has ${rawBytes} bytes, not ${expectedBytes}`);
    if (packedBytes > rawBytes) refuse('a block is longer than what it becomes');
    const raw = unpackBlock(this.#read(packedBytes), rawBytes);
    if (!raw) return refuse(`a block does not become ${rawBytes} bytes`);
    this.#unreadBytes -= rawBytes;
    return raw;
  }

  #read(count: number): Buffer {
    const { descriptor, endBytes, refuse } = this.#source;
    if (this.#position + count > endBytes) refuse('it is cut off');
    for (let filled = 0; filled < count; ) {
      const read = readSync(
        descriptor,
        this.#packed,
        filled,
        count - filled,
        this.#position + filled,
      );
      if (read === 0) refuse('it is cut off');
      filled += read;
    }
    this.#position += count;
    return this.#packed.subarray(0, count);
  }
}

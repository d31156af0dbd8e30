import type { ByteSource } from './delta-reader.ts';

/** A part of some bytes in memory that slides forward over them. */
export class SlidingBytes {
  readonly bytes: Buffer;
  readonly #source: ByteSource;
  #start = 0;
  #end = 0;

  constructor(source: ByteSource, capacityBytes: number) {
    this.#source = source;
    this.bytes = Buffer.allocUnsafe(capacityBytes);
  }

  /** Position of the first byte in memory, and behind the last one. */
  get start(): number {
    return this.#start;
  }

  get end(): number {
    return this.#end;
  }

  /** Has the bytes from here on in memory, to there at least, as far as there are so many. */
  hold(from: number, to: number): void {
    if (to <= this.#end && from >= this.#start) return;
    if (from >= this.#end) {
      this.#start = from;
      this.#end = from;
    } else {
      this.bytes.copyWithin(0, from - this.#start, this.#end - this.#start);
      this.#start = from;
    }
    const goal = Math.min(this.#source.sizeBytes, this.#start + this.bytes.length);
    while (this.#end < goal) {
      const part = this.#source.read(this.#end, Math.min(readBytes, goal - this.#end));
      if (part.length === 0) throw new Error('A file of the library became shorter');
      this.bytes.set(part, this.#end - this.#start);
      this.#end += part.length;
    }
  }

  /** Bytes in memory, between two positions. */
  view(from: number, to: number): Buffer {
    return this.bytes.subarray(from - this.#start, to - this.#start);
  }
}

const readBytes = 256 * 1024;

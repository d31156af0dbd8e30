import { readSync } from 'node:fs';
import type { ByteSource } from './delta-reader.ts';

/** Bytes read at once after a jump; twice as many each time that reading goes on, up to a limit. */
const jumpBytes = 16 * 1024;
const readAheadBytes = 256 * 1024;

/** The bytes of an open file, read through a buffer that is filled anew as reading moves on. */
export class FileBytes implements ByteSource {
  readonly sizeBytes: number;
  readonly #fd: number;
  #buffer = Buffer.allocUnsafe(readAheadBytes);
  #start = 0;
  #end = 0;
  #aheadBytes = jumpBytes;

  constructor(fd: number, sizeBytes: number) {
    this.#fd = fd;
    this.sizeBytes = sizeBytes;
  }

  read(position: number, lengthBytes: number): Uint8Array {
    const end = Math.min(position + lengthBytes, this.sizeBytes);
    if (position < this.#start || end > this.#end) this.#load(position, end - position);
    return this.#buffer.subarray(position - this.#start, Math.min(end, this.#end) - this.#start);
  }

  #load(position: number, lengthBytes: number): void {
    const isNear = position >= this.#start && position <= this.#end + jumpBytes;
    this.#aheadBytes = isNear ? Math.min(2 * this.#aheadBytes, readAheadBytes) : jumpBytes;
    const wanted = Math.max(lengthBytes, this.#aheadBytes);
    if (wanted > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(wanted);
    this.#start = position;
    this.#end = position + readInto(this.#fd, this.#buffer.subarray(0, wanted), position);
  }
}

/** Fills the buffer from a position of a file. @returns how much there was */
export function readInto(fd: number, into: Uint8Array, position: number): number {
  let filled = 0;
  while (filled < into.length) {
    const count = readSync(fd, into, filled, into.length - filled, position + filled);
    if (count === 0) break;
    filled += count;
  }
  return filled;
}

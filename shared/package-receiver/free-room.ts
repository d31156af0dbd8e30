import { statfs } from 'node:fs/promises';
import { WaybillError } from '../domain/errors.ts';

/** Bytes that may be written on the strength of one look at the file system. */
const trustedBytes = 16 * 1024 * 1024;

/** Room for content in a file system, its reserve taken off. */
export class FreeRoom {
  readonly #path: string;
  readonly #reserveBytes: number;
  #knownBytes = 0;
  #spentBytes = Number.POSITIVE_INFINITY;

  constructor(path: string, reserveBytes: number) {
    this.#path = path;
    this.#reserveBytes = reserveBytes;
  }

  /** Asks the file system now. */
  async measure(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#path);
    this.#knownBytes = Math.max(0, bavail * bsize - this.#reserveBytes);
    this.#spentBytes = 0;
    return this.#knownBytes;
  }

  /** @throws DISK_FULL when so many bytes would eat into the reserve */
  async require(neededBytes: number): Promise<void> {
    this.#spentBytes += neededBytes;
    if (this.#spentBytes <= Math.min(trustedBytes, this.#knownBytes)) return;
    const freeBytes = await this.measure();
    this.#spentBytes += neededBytes;
    if (freeBytes >= neededBytes) return;
    throw new WaybillError({ code: 'DISK_FULL', path: this.#path, freeBytes, neededBytes });
  }
}

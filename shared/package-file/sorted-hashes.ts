import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const hashBytes = 32;

/** Hashes read at once: one read of the page cache answers a question. */
const pageHashes = 128;
const pageBytes = pageHashes * hashBytes;

/** Bytes of a hash that a number holds exactly. */
const keyBytes = 6;

/**
 * A set of hashes in a file: 32 bytes each, ascending. In memory is the first one of every 128, so
 * that five million cost some 300 KiB. Reads block. A file that is cut off or out of order has fewer
 * hashes than it should have, and none that it does not have.
 */
export class SortedHashes implements Disposable {
  readonly #descriptor: number;
  readonly #pageCount: number;
  readonly #firstKeys: Float64Array;
  readonly #page = Buffer.alloc(pageBytes);

  constructor(path: string) {
    this.#descriptor = openSync(path, 'r');
    this.#pageCount = Math.ceil(fstatSync(this.#descriptor).size / pageBytes);
    this.#firstKeys = new Float64Array(this.#pageCount);
    for (let page = 0; page < this.#pageCount; page++) {
      this.#firstKeys[page] =
        this.#read(page) >= hashBytes ? this.#page.readUIntBE(0, keyBytes) : 0;
    }
  }

  /** @param hash lower-case hexadecimal */
  has(hash: string): boolean {
    const wanted = Buffer.from(hash, 'hex');
    const key = wanted.readUIntBE(0, keyBytes);
    let page = this.#lastPageBelow(key);
    for (; page < this.#pageCount && (this.#firstKeys[page] ?? 0) <= key; page++) {
      if (this.#isOnPage(page, wanted)) return true;
    }
    return false;
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }

  /** The last page that begins below the key, or the first page. */
  #lastPageBelow(key: number): number {
    let [low, high] = [0, this.#pageCount];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#firstKeys[middle] ?? 0) < key) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  #isOnPage(page: number, wanted: Buffer): boolean {
    const length = this.#read(page);
    for (let start = 0; start + hashBytes <= length; start += hashBytes) {
      if (this.#page.compare(wanted, 0, hashBytes, start, start + hashBytes) === 0) return true;
    }
    return false;
  }

  #read(page: number): number {
    return readSync(this.#descriptor, this.#page, 0, pageBytes, page * pageBytes);
  }
}

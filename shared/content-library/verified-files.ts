/** Words of a hash that are kept: no two files agree in 128 bits unless they are the same. */
const wordsKept = 4;

/** Hashes a generation holds before the next one begins. */
const generationMax = 786_432;

const firstSlots = 1024;

/**
 * The files whose bytes were hashed, and were right, since this process began. In memory only, at
 * most 32 MiB: the newest 786,432 files are always known, up to twice as many at best. One that is
 * forgotten costs a hashing. A file that is deleted need not be taken out: it comes back only with
 * bytes that are hashed on their way.
 */
export class VerifiedFiles {
  readonly #generationMax: number;
  #newer = new HashTable();
  #older = new HashTable();

  constructor(generationFilesMax = generationMax) {
    this.#generationMax = generationFilesMax;
  }

  has(hash: string): boolean {
    const words = toWords(hash);
    return this.#newer.has(words) || this.#older.has(words);
  }

  add(hash: string): void {
    if (this.#newer.count >= this.#generationMax) {
      this.#older = this.#newer;
      this.#newer = new HashTable();
    }
    this.#newer.add(toWords(hash));
  }
}

/** A set of hashes in one block of memory: a text each would take six times as much. */
class HashTable {
  count = 0;
  #words = new Uint32Array(firstSlots * wordsKept);

  has(words: Uint32Array): boolean {
    const place = this.#placeOf(words);
    // What looks like an empty place is never known.
    return !isEmptyAt(this.#words, place) && this.#isAt(place, words);
  }

  add(words: Uint32Array): void {
    // It would look like an empty place, so it cannot be kept, and is hashed again.
    if (isEmptyAt(words, 0) || this.has(words)) return;
    if (this.count * wordsKept >= this.#words.length * 0.75) this.#grow();
    this.#words.set(words, this.#placeOf(words));
    this.count++;
  }

  /** Where the hash is, or would be: a hash is random already, so its own bits spread it. */
  #placeOf(words: Uint32Array): number {
    const slots = this.#words.length / wordsKept;
    let slot = (words[0] ?? 0) % slots;
    while (!this.#isAt(slot * wordsKept, words) && !isEmptyAt(this.#words, slot * wordsKept)) {
      slot = (slot + 1) % slots;
    }
    return slot * wordsKept;
  }

  #isAt(place: number, words: Uint32Array): boolean {
    for (let index = 0; index < wordsKept; index++) {
      if (this.#words[place + index] !== words[index]) return false;
    }
    return true;
  }

  #grow(): void {
    const before = this.#words;
    this.#words = new Uint32Array(before.length * 2);
    for (let place = 0; place < before.length; place += wordsKept) {
      if (isEmptyAt(before, place)) continue;
      const words = before.subarray(place, place + wordsKept);
      this.#words.set(words, this.#placeOf(words));
    }
  }
}

function isEmptyAt(words: Uint32Array, place: number): boolean {
  for (let index = 0; index < wordsKept; index++) {
    if (words[place + index] !== 0) return false;
  }
  return true;
}

function toWords(hash: string): Uint32Array {
  const words = new Uint32Array(wordsKept);
  for (let index = 0; index < wordsKept; index++) {
    words[index] = Number.parseInt(hash.slice(index * 8, index * 8 + 8), 16);
  }
  return words;
}

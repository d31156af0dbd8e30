/** Values one part has at most; a part with more is cut in two. */
const partCountMax = 512;
/** A part with fewer joins its neighbour. */
const partCountMin = 64;

/**
 * Values that are kept in an order, change by change: never sorted all at once. No two of them are equal
 * in it. They lie in parts of a few hundred, so that a change moves no more than these. In memory only.
 * `Place` is what of a value settles where it stands.
 */
export class SortedList<T extends Place, Place = T> {
  readonly #compare: (a: Place, b: Place) => number;
  readonly #parts: T[][] = [];
  #size = 0;

  constructor(compare: (a: Place, b: Place) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#size;
  }

  get first(): T | undefined {
    return this.#parts[0]?.[0];
  }

  /** Puts a value where it belongs, in the place of the one that is equal to it. */
  put(value: T): void {
    const partIndex = Math.min(this.#partOf(value), this.#parts.length - 1);
    const part = this.#parts[partIndex];
    if (!part) this.#parts.push([value]);
    else if (!this.#putInto(part, value)) return;
    this.#size += 1;
    if (part && part.length > partCountMax) this.#cut(partIndex, part);
  }

  /** Takes away the value that is equal to this one; nothing is done when there is none. */
  delete(value: Place): void {
    const partIndex = this.#partOf(value);
    const part = this.#parts[partIndex];
    const index = part ? this.#indexIn(part, value) : 0;
    const found = part?.[index];
    if (!part || found === undefined || this.#compare(found, value) !== 0) return;
    part.splice(index, 1);
    this.#size -= 1;
    if (part.length < partCountMin) this.#join(partIndex, part);
  }

  /** The first one behind a value, whether that is in the list or not; the very first without one. */
  firstAfter(value: Place | undefined): T | undefined {
    return this.after(value, 1)[0];
  }

  /** Up to so many behind a value, whether that is in the list or not; the very first without one. */
  after(value: Place | undefined, countMax: number): T[] {
    const found: T[] = [];
    let partIndex = value === undefined ? 0 : this.#partOf(value);
    let index = value === undefined ? 0 : this.#indexBehind(this.#parts[partIndex] ?? [], value);
    for (; found.length < countMax; partIndex += 1, index = 0) {
      const part = this.#parts[partIndex];
      if (!part) break;
      found.push(...part.slice(index, index + countMax - found.length));
    }
    return found;
  }

  /** How many are before a value, whether that is in the list or not. */
  countBefore(value: Place): number {
    const partIndex = this.#partOf(value);
    let count = this.#indexIn(this.#parts[partIndex] ?? [], value);
    for (let before = 0; before < partIndex; before++) count += this.#parts[before]?.length ?? 0;
    return count;
  }

  /** @returns false when it took the place of an equal one */
  #putInto(part: T[], value: T): boolean {
    const index = this.#indexIn(part, value);
    const there = part[index];
    const isThere = there !== undefined && this.#compare(there, value) === 0;
    part.splice(index, isThere ? 1 : 0, value);
    return !isThere;
  }

  #cut(partIndex: number, part: T[]): void {
    this.#parts.splice(partIndex + 1, 0, part.splice(part.length >>> 1));
  }

  #join(partIndex: number, part: T[]): void {
    const next = this.#parts[partIndex + 1];
    if (part.length === 0) this.#parts.splice(partIndex, 1);
    else if (next && part.length + next.length <= partCountMax) {
      part.push(...next);
      this.#parts.splice(partIndex + 1, 1);
    }
  }

  /** Index of the first part whose last value is not before this one. */
  #partOf(value: Place): number {
    return firstIndex(this.#parts.length, (index) => {
      const last = this.#parts[index]?.at(-1);
      return last !== undefined && this.#compare(last, value) >= 0;
    });
  }

  /** Index of the first value that is not before this one. */
  #indexIn(part: readonly T[], value: Place): number {
    return firstIndex(part.length, (index) => this.#compare(part[index] as T, value) >= 0);
  }

  #indexBehind(part: readonly T[], value: Place): number {
    return firstIndex(part.length, (index) => this.#compare(part[index] as T, value) > 0);
  }
}

/** The first index for which it holds, of those below the count; it holds for all behind that, too. */
function firstIndex(count: number, holds: (index: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Hexadecimal digits of a hash. */
const hashLength = 64;

/**
 * Hashes one after another in one text, for another thread: a text each costs more to carry than most
 * work on a file.
 *
 * @throws RangeError when one of them has not the length of a hash
 */
export function joinHashes(hashes: readonly string[]): string {
  if (hashes.some(({ length }) => length !== hashLength)) throw new RangeError('This is no hash');
  return hashes.join('');
}

/** The hash at a position, from 0. */
export function hashAt(joined: string, index: number): string {
  return joined.slice(index * hashLength, (index + 1) * hashLength);
}

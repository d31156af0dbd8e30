/**
 * Who of those that fetch the same at once should ask for a unit that none of them has yet. Each of
 * them finds the same answer for itself, without a word to the others, as long as they know of each
 * other; where they do not, a unit is asked for twice, no more.
 *
 * @param self who asks
 * @param others the others that fetch, or may
 * @returns whether a unit is for `self` to ask for
 */
export function ownUnits(self: string, others: readonly string[]): (unit: number) => boolean {
  const own = textHash(self);
  const foreign = others.map(textHash);
  return (unit) => {
    const weight = mixed(own, unit);
    return foreign.every((other) => mixed(other, unit) <= weight);
  };
}

/** FNV-1a, 32 bits. */
function textHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

/** The finish of MurmurHash3 over both. */
function mixed(name: number, unit: number): number {
  let hash = name ^ Math.imul(unit + 1, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

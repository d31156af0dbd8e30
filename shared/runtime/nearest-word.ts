/** One mistake in so many letters: more have nothing in common any more. */
const lettersOfMistake = 3;

/** The word that was probably meant; undefined when none is near. */
export function nearestWord(given: string, known: readonly string[]): string | undefined {
  // Each letter more or less is a mistake by itself: what is much longer is not looked at letter by letter.
  const alike = known.filter(
    (word) => Math.abs(word.length - given.length) <= mistakesMax(given, word),
  );
  const rated = alike.map((word) => ({ word, mistakes: mistakesBetween(given, word) }));
  const [nearest] = rated
    .filter(({ word, mistakes }) => mistakes <= mistakesMax(given, word))
    .sort((a, b) => a.mistakes - b.mistakes);
  return nearest?.word;
}

function mistakesMax(a: string, b: string): number {
  return Math.floor(Math.max(a.length, b.length) / lettersOfMistake);
}

/** Letters added, left out, changed, or swapped with the next one. Case does not count. */
function mistakesBetween(given: string, word: string): number {
  const [a, b] = [given.toLowerCase(), word.toLowerCase()];
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(
        at(last, j) + 1,
        at(row, j - 1) + 1,
        at(last, j - 1) + (isSame ? 0 : 1),
        isSwap ? at(before, j - 2) + 1 : Infinity,
      );
    }
    [before, last] = [last, row];
  }
  return at(last, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Infinity;
}

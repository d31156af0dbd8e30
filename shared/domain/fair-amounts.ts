/**
 * Shares a total out so that nobody gets more than it wants, and what one does not want goes to the others in equal
 * parts (max-min): whoever wants no more than an equal part of the total gets all of it, whatever the others want.
 * Whole numbers; what is left of a division goes to those who want most.
 */
export function fairAmounts(
  wants: ReadonlyMap<string, number>,
  total: number,
): Map<string, number> {
  const fewestFirst = [...wants].sort(([, a], [, b]) => a - b);
  let left = total;
  return new Map(
    fewestFirst.map(([name, want], index) => {
      const amount = Math.min(want, Math.floor(left / (fewestFirst.length - index)));
      left -= amount;
      return [name, amount];
    }),
  );
}

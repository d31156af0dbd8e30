import type { Priority } from '../../shared/domain/package.ts';

/** Something that has a turn, or wants one. */
interface Turn {
  readonly priority: Priority;
  readonly action: { readonly jobSerial: number };
}

/**
 * Which of those that have a turn are to make way: there are too many, or something more urgent waits
 * (PTM-3). The least urgent go first, of those the youngest.
 *
 * @param due what waits for a turn, most urgent first
 */
export function turnsToEnd<T extends Turn>(
  active: readonly T[],
  due: readonly { readonly priority: Priority }[],
  turnsMax: number,
): T[] {
  const turns = active.toSorted(
    (a, b) => a.priority - b.priority || a.action.jobSerial - b.action.jobSerial,
  );
  const ended = turns.splice(turnsMax);
  let placeCount = turnsMax - turns.length;
  for (const { priority } of due) {
    if (placeCount-- > 0) continue;
    const last = turns.at(-1);
    if (!last || last.priority <= priority) break;
    turns.pop();
    ended.push(last);
  }
  return ended;
}

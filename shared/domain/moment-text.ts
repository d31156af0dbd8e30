/** Latest moment that a date can say. */
const latestMs = 8.64e15;

/**
 * A moment for texts that are read nobody knows where: `2026-11-26 12:30:00 UTC`, the same on every machine. Who
 * shows times himself shows them in his own zone (`time-text.ts`), which does not stand beside them.
 */
export function toMomentText(timeMs: number): string {
  if (!(Math.abs(timeMs) <= latestMs)) return 'no date';
  return `${new Date(timeMs).toISOString().replace('T', ' ').replace(/\..*$/, '')} UTC`;
}

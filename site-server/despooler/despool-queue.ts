import type { ReceivedInstruction } from '../../shared/domain/site-instruction.ts';

/** An instruction and how far it is. */
export interface DespoolEntry {
  readonly row: ReceivedInstruction;
  state: 'ready' | 'running' | 'waiting';
  waitsFor: 'metadata' | 'room' | undefined;
  /** What it waits for, in words. */
  reason: string;
  doneBytes: number;
  /** How often the hierarchy's word of its package has changed here. */
  newsCount: number;
  /** Waits so far. */
  tryCount: number;
  /** Of which waits administrators have been told. */
  readonly told: Set<'metadata' | 'room'>;
  /** Ends its wait. */
  waiting: AbortController;
}

/**
 * The instruction to begin with: by priority, then by age. Of one package only one runs, the highest
 * version that may: what it makes needless is dropped then. A delta waits for those that may bring the
 * version it builds on, and for no other, since a later one would take that away.
 */
export function nextToDespool(entries: Iterable<DespoolEntry>): DespoolEntry | undefined {
  let best: DespoolEntry | undefined;
  for (const ofPackage of grouped(entries)) {
    const first = firstOf(ofPackage);
    if (first && (!best || byPriorityAndAge(first, best) < 0)) best = first;
  }
  return best;
}

/** By package and final site. */
function grouped(entries: Iterable<DespoolEntry>): Iterable<readonly DespoolEntry[]> {
  const groups = new Map<string, DespoolEntry[]>();
  for (const entry of entries) {
    const key = `${entry.row.packageId}/${entry.row.finalSiteCode}`;
    const group = groups.get(key);
    if (group) group.push(entry);
    else groups.set(key, [entry]);
  }
  return groups.values();
}

/** Of one package. A version is higher than the one it builds on: none waits for itself. */
function firstOf(entries: readonly DespoolEntry[]): DespoolEntry | undefined {
  if (entries.some(({ state }) => state === 'running')) return undefined;
  const lowest = Math.min(...entries.map(({ row }) => row.sourceVersion));
  const open = entries.filter(({ state, row }) => state === 'ready' && lowest > row.baseVersion);
  return open.sort((a, b) => b.row.sourceVersion - a.row.sourceVersion)[0];
}

function byPriorityAndAge({ row: a }: DespoolEntry, { row: b }: DespoolEntry): number {
  return (
    a.priority - b.priority || a.receivedAtMs - b.receivedAtMs || a.sourceVersion - b.sourceVersion
  );
}

import type { ReceivedInstruction } from '../../shared/domain/site-instruction.ts';

/** An instruction and how far it is. */
export interface DespoolEntry {
  readonly row: ReceivedInstruction;
  state: 'ready' | 'running' | 'waiting';
  waitsFor: 'metadata' | 'room' | undefined;
  /** What it waits for, in words. */
  reason: string;
  doneBytes: number;
  /** Waits so far. */
  tryCount: number;
  /** Of which waits administrators have been told. */
  readonly told: Set<'metadata' | 'room'>;
  /** Ends its wait. */
  waiting: AbortController;
}

/**
 * The instruction to begin with: by priority, then by age. Of one package only one runs, and a delta
 * only after all lower versions, because it may build on them; a full file need not wait for those.
 */
export function nextToDespool(entries: readonly DespoolEntry[]): DespoolEntry | undefined {
  const open = entries.filter((entry) => entry.state === 'ready' && mayBegin(entry, entries));
  return open.sort(byPriorityAndAge)[0];
}

function mayBegin({ row }: DespoolEntry, entries: readonly DespoolEntry[]): boolean {
  return entries.every((other) => {
    const isOther = other.row.jobId !== row.jobId && other.row.packageId === row.packageId;
    if (!isOther || other.row.finalSiteCode !== row.finalSiteCode) return true;
    if (other.state === 'running') return false;
    return row.baseVersion === 0 || other.row.sourceVersion >= row.sourceVersion;
  });
}

function byPriorityAndAge({ row: a }: DespoolEntry, { row: b }: DespoolEntry): number {
  return (
    a.priority - b.priority || a.receivedAtMs - b.receivedAtMs || a.sourceVersion - b.sourceVersion
  );
}

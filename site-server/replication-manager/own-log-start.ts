import type {
  ChangeLogEntry,
  OwnLogState,
  UnassignedNumbers,
} from '../../shared/domain/change-log.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import { startGapCount, unassignedRunsMax } from './replication-config.ts';

export interface OwnLogStartNeeds {
  readonly store: Pick<StateStore, 'records'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly siteCode: string;
  readonly isStoreDamaged: boolean;
}

/** Where a program that starts goes on with this site's own log. */
export interface OwnLogStart {
  readonly state: OwnLogState;
  /** Numbers above this one are free, whatever was lost. */
  readonly last: number;
  /** The highest number that the store remembers. */
  readonly lastKnown: number;
  /** The store was begun, or found damaged, at this opening. */
  readonly isNewLife: boolean;
  /** The newest entry that there is. */
  readonly newest: ChangeLogEntry | undefined;
}

/** Reads where the log stands; writes nothing. */
export async function readOwnLog(needs: OwnLogStartNeeds): Promise<OwnLogStart> {
  const { store, siteCode, clock, isStoreDamaged } = needs;
  const kept = await store.records(keySpaces.ownLogState).get('own');
  const newest = await newestEntry(store, siteCode);
  const lastKnown = Math.max(newest?.sequence ?? 0, kept?.syncedSequence ?? 0);
  // Numbers go on from the time of day in milliseconds: above any that a store gave out which was lost,
  // or of which this one is an older copy; and, should the clock have gone back, a good way on.
  const { life: begun = 0, renumberTo = 0 } = kept ?? {};
  const lastUsed = Math.max(lastKnown, begun - 1, renumberTo);
  const last = Math.max(clock.nowMs(), lastUsed + startGapCount);
  const isNewLife = kept === undefined || isStoreDamaged;
  const begin = { life: last + 1, lostAtMs: clock.nowMs() };
  // What a repair kept may be outdated, and neighbours are past its numbers: it is sent to them again.
  const renumbered = isStoreDamaged && { renumberTo: last };
  const unassigned = withRun(kept?.unassigned ?? [], { after: lastKnown, before: last });
  const state = {
    ...{ messageOffset: 0, renumberTo, lostAtMs: 0, life: begun, ...kept },
    ...{ ...(isNewLife && begin), ...renumbered },
    ...{ syncedSequence: lastKnown, unassigned },
  };
  return { state, last, lastKnown, isNewLife, newest: newest?.entry };
}

/** The numbers that the start of a program leaves out, besides those of the starts before. */
function withRun(
  runs: readonly UnassignedNumbers[],
  { after, before }: UnassignedNumbers,
): UnassignedNumbers[] {
  // A program that gave out nothing has left out the same numbers, and fewer.
  const others = runs.filter((run) => run.after !== after);
  const all = before > after + 1 ? [...others, { after, before }] : [...others];
  return all.slice(-unassignedRunsMax);
}

async function newestEntry(
  store: OwnLogStartNeeds['store'],
  siteCode: string,
): Promise<{ sequence: number; entry: ChangeLogEntry } | undefined> {
  const range = { prefix: `${siteCode}/`, reverse: true, limit: 1 };
  for await (const [key, entry] of store.records(keySpaces.changeLog).list(range)) {
    return { sequence: Number(key.slice(siteCode.length + 1)), entry };
  }
  return undefined;
}

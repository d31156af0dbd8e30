import type { HybridTime } from './hybrid-time.ts';

/** The last change of a replicated row: the row of table "row versions". */
export interface RowVersion {
  /** Names the site that made the change: its origin. */
  readonly changedAt: HybridTime;
  /** Number of the change in the log of its origin. */
  readonly sequence: number;
  /** A tombstone. */
  readonly isDeleted: boolean;
  /** A tombstone of what was not here: who has a say in the row may have made it meanwhile. Known here alone. */
  readonly isOfNothing?: true;
  /** The number is younger than the change, which may be outdated: it counts by its time alone. */
  readonly isRenumbered?: true;
}

/** A change of a replicated row: the row of table "change log". */
export interface ChangeLogEntry {
  /** Replicated table and key, joined by "/". */
  readonly row: string;
  readonly wallMs: number;
  readonly counter: number;
}

/** What a site has of the changes of one site: the row of table "origin states". */
export interface OriginState {
  /** Everything up to this number that this site is to have; of its own origin nothing. */
  readonly sequence: number;
  /** Every status message up to this serial. */
  readonly messageSerial: number;
  /** Tombstones up to this number may be gone: who has less needs a full copy. */
  readonly floor: number;
}

/** What is remembered of a neighbour: the row of table "neighbour states". */
export interface NeighbourState {
  /** What it has of each origin, by its own word. */
  readonly acknowledged: Readonly<Record<string, number>>;
  /**
   * The life of this site's log for which the neighbour has given back all it had of this site's own
   * rows; 0: none. Only then are new ones sent to it.
   */
  readonly refilledLife: number;
}

/** What a site remembers of its own log: the row of table "own log state". */
export interface OwnLogState {
  /** The first number since the store was begun, or was found damaged. */
  readonly life: number;
  /** Numbers up to this one may have been sent. */
  readonly syncedSequence: number;
  /** What is added to serials of status messages, for their numbers to be new to the parents. */
  readonly messageOffset: number;
  /** Own changes up to this number may be outdated, or known by others to neighbours, and are to get new ones; 0: none. */
  readonly renumberTo: number;
  /** When the store was begun, or found damaged; 0: nobody knows. */
  readonly lostAtMs: number;
  /** Numbers that were never given out, since starts of the program leave some out; the newest last. */
  readonly unassigned: readonly UnassignedNumbers[];
}

/** All numbers between these two. */
export interface UnassignedNumbers {
  readonly after: number;
  readonly before: number;
}

export const unknownOrigin: OriginState = { sequence: 0, messageSerial: 0, floor: 0 };
export const unknownNeighbour: NeighbourState = { acknowledged: {}, refilledLife: 0 };

/** Whether an entry of a log is the last change of its row. */
export function isEntryOf(version: RowVersion, origin: string, sequence: number): boolean {
  return version.changedAt.siteCode === origin && version.sequence === sequence;
}

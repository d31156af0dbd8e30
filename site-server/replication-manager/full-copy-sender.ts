import { replicatedTables } from '../../shared/domain/replicated-tables.ts';
import { invalid } from './change-check.ts';
import type { ChangeLog, LoggedRow } from './change-log.ts';
import type { Neighbour } from './neighbour.ts';
import type { RowName } from './replicated-rows.ts';
import { changesBytesMax } from './replication-config.ts';

/** What sending a full copy needs. */
export interface FullCopySenderNeeds {
  readonly log: ChangeLog;
  readonly neighbour: Neighbour;
}

/** The origins of a full copy. */
export interface CopiedOrigins {
  /** Of the neighbour's side: it is told which of their rows are here. */
  readonly theirs: readonly string[];
  readonly ours: readonly string[];
  /** Whether the neighbour must hear the end of this origin for its deletions to be complete. */
  readonly isBehind: (origin: string) => boolean;
}

/** One part of a full copy. */
export interface CopyPart {
  readonly origin: string;
  readonly after: number;
  readonly through: number;
  readonly rows: readonly LoggedRow[];
  readonly isFullCopy: true;
  readonly isFullCopyEnd: boolean;
}

/**
 * A full copy for one neighbour, that has been away for longer than deletions are remembered. All
 * origins, for what deleted a row was of another origin than the row. First what there is, and when all
 * of it is there, the ends, upon which the neighbour drops what was not in it; last the ends of those
 * origins for which this copy is made: without them it is made again. One part at a time.
 */
export class FullCopySender {
  readonly #needs: FullCopySenderNeeds;
  readonly #steps: { readonly origin: string; readonly isEnd: boolean }[];
  readonly #theirs: ReadonlySet<string>;
  readonly #through = new Map<string, number>();
  readonly #until = new Map<string, number>();
  #sent: CopyPart | undefined;
  #isLast = false;

  constructor(needs: FullCopySenderNeeds, { theirs, ours, isBehind }: CopiedOrigins) {
    this.#needs = needs;
    this.#theirs = new Set(theirs);
    const ends = [
      ...theirs,
      ...ours.filter((origin) => !isBehind(origin)),
      ...ours.filter(isBehind),
    ];
    this.#steps = [
      ...[...ours, ...theirs].map((origin) => ({ origin, isEnd: false })),
      ...ends.map((origin) => ({ origin, isEnd: true })),
    ];
  }

  get isOver(): boolean {
    return this.#steps.length === 0;
  }

  get isWaiting(): boolean {
    return this.#sent !== undefined;
  }

  /** The next part; undefined while the last one is on its way. */
  async next(): Promise<CopyPart | undefined> {
    const [step] = this.#steps;
    if (!step || this.#sent) return undefined;
    const { origin, isEnd } = step;
    const after = this.#through.get(origin) ?? 0;
    const copied = { origin, after, isFullCopy: true as const, isFullCopyEnd: isEnd };
    if (isEnd) {
      this.#sent = { ...copied, through: after, rows: [] };
      this.#isLast = true;
      return this.#sent;
    }
    const { log } = this.#needs;
    const until = this.#until.get(origin) ?? (await log.syncedHeadOf(origin));
    this.#until.set(origin, until);
    const isWanted = (name: RowName) => this.#isWanted(origin, name);
    const part = await log.read({ origin, after, until, bytesMax: changesBytesMax, isWanted });
    this.#sent = { ...copied, through: part.through, rows: part.rows };
    this.#isLast = part.isLast;
    return this.#sent;
  }

  /** @returns whether it was the end of this origin. @throws MESSAGE_INVALID when it was not sent */
  took(origin: string, sequence: number): boolean {
    const sent = this.#sent;
    if (sent?.origin !== origin || sent.through !== sequence) {
      throw invalid('cursor', `${sent?.origin} ${sent?.through}`, `${origin} ${sequence}`);
    }
    this.#sent = undefined;
    this.#through.set(origin, sequence);
    if (this.#isLast) this.#steps.shift();
    return sent.isFullCopyEnd;
  }

  #isWanted(origin: string, name: RowName): boolean {
    if (!this.#theirs.has(origin)) return this.#needs.neighbour.isFor(name, origin);
    return replicatedTables[name.table].writer === 'any site';
  }
}

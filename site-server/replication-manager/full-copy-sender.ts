import { replicatedTables } from '../../shared/domain/replicated-tables.ts';
import { invalid } from './change-check.ts';
import type { ChangeLog } from './change-log.ts';
import type { LoggedRow } from './change-log-reader.ts';
import type { Neighbour } from './neighbour.ts';
import { fromRowId, type RowName } from './replicated-rows.ts';
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
  /** Whether an origin is of the neighbour's side; also one that turns up meanwhile. */
  readonly isTheirs: (origin: string) => boolean;
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
 * origins, for what deleted a row was of another origin than the row. First what there is; then what
 * changed before it was read, until each such row was in a part too; then the ends, upon which the
 * neighbour drops what was in none; last the ends of those origins for which this copy is made: without
 * them it is made again. One part at a time. To be `stopped` when it is not needed any more.
 */
export class FullCopySender {
  readonly #needs: FullCopySenderNeeds;
  readonly #origins: CopiedOrigins;
  readonly #watch: ReturnType<ChangeLog['watch']>;
  /** What is to be read of which origins, before the ends. */
  #parts: string[];
  #ends: string[] | undefined;
  /** Rows that changed while the first parts were read, and may be in none; undefined until then. */
  #changed: string[] | undefined;
  readonly #through = new Map<string, number>();
  readonly #until = new Map<string, number>();
  #sent: CopyPart | undefined;
  #isLast = false;

  constructor(needs: FullCopySenderNeeds, origins: CopiedOrigins) {
    this.#needs = needs;
    this.#origins = origins;
    this.#parts = [...origins.ours, ...origins.theirs];
    this.#watch = needs.log.watch();
  }

  /** Ends what is remembered for it. */
  stop(): void {
    this.#watch.end();
  }

  get isOver(): boolean {
    return this.#ends?.length === 0;
  }

  get isWaiting(): boolean {
    return this.#sent !== undefined;
  }

  /** The next part; undefined while the last one is on its way. */
  async next(): Promise<CopyPart | undefined> {
    if (this.#sent) return undefined;
    while (this.#parts.length === 0 && !this.#ends) await this.#goOn();
    const [origin] = this.#parts;
    if (origin !== undefined) return this.#nextPart(origin);
    const [ended] = this.#ends ?? [];
    if (ended === undefined) return undefined;
    const after = this.#through.get(ended) ?? 0;
    this.#isLast = true;
    this.#sent = { ...toCopied(ended, after), through: after, rows: [], isFullCopyEnd: true };
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
    if (this.#isLast) (sent.isFullCopyEnd ? this.#ends : this.#parts)?.shift();
    return sent.isFullCopyEnd;
  }

  async #nextPart(origin: string): Promise<CopyPart> {
    const { log } = this.#needs;
    const after = this.#through.get(origin) ?? 0;
    const until = this.#until.get(origin) ?? (await log.syncedHeadOf(origin));
    this.#until.set(origin, until);
    const isWanted = (name: RowName) => this.#isWanted(origin, name);
    const part = await log.reader.read({
      origin,
      after,
      until,
      bytesMax: changesBytesMax,
      isWanted,
    });
    const { through, rows, isLast } = part;
    this.#isLast = isLast;
    this.#sent = { ...toCopied(origin, after), through, rows, isFullCopyEnd: false };
    return this.#sent;
  }

  /**
   * All that was to be read is there. A row that changed meanwhile may have left its place before it
   * was read, and so be in no part: it is read where it is now. What changes after the first parts was
   * in them.
   */
  async #goOn(): Promise<void> {
    this.#changed = await this.#unread(this.#changed ?? this.#watch.end());
    if (this.#changed.length > 0) {
      const versions = await this.#needs.log.versionsOf(this.#changed);
      const origins = versions.flatMap((version) => version?.changedAt.siteCode ?? []);
      this.#parts = [...new Set(origins)];
      for (const origin of this.#parts) this.#until.delete(origin);
      return;
    }
    const { isBehind, isTheirs } = this.#origins;
    const rank = (origin: string) => (isTheirs(origin) ? 0 : isBehind(origin) ? 2 : 1);
    this.#ends = [...this.#through.keys()].sort((a, b) => rank(a) - rank(b));
  }

  /** Which of the rows are for the neighbour, and behind what was read of their origin. */
  async #unread(rowIds: readonly string[]): Promise<string[]> {
    const versions = await this.#needs.log.versionsOf(rowIds);
    return rowIds.filter((rowId, index) => {
      const version = versions[index];
      const name = fromRowId(rowId);
      if (!name || !version || version.isDeleted) return false;
      const { siteCode: origin } = version.changedAt;
      const isRead = version.sequence <= (this.#through.get(origin) ?? 0);
      return !isRead && this.#isWanted(origin, name);
    });
  }

  #isWanted(origin: string, name: RowName): boolean {
    if (!this.#origins.isTheirs(origin)) return this.#needs.neighbour.isFor(name, origin);
    return replicatedTables[name.table].writer === 'any site';
  }
}

function toCopied(origin: string, after: number) {
  return { origin, after, isFullCopy: true as const };
}

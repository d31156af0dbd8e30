import { type ChangeLogEntry, isEntryOf, type RowVersion } from '../../shared/domain/change-log.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import { fromRowId, type RowName, rowIdOf } from './replicated-rows.ts';
import { rowBytesMax } from './replication-config.ts';

/** What reading the change log needs. */
export interface ChangeLogReaderNeeds {
  readonly store: Pick<StateStore, 'records'>;
  /** The replicated rows as they are here, and the versions of some. */
  readonly rows: {
    valueOf(name: RowName): Promise<unknown>;
    versionsOf(rowIds: readonly string[]): Promise<readonly (RowVersion | undefined)[]>;
  };
  readonly logger: Logger;
}

/** An entry of the log that is not void, with its row as it is now. */
export interface LoggedRow {
  readonly name: RowName;
  readonly version: RowVersion;
  /** JSON; empty when the row is deleted. */
  readonly json: string;
}

/** Part of one origin's log. */
export interface LogPart {
  readonly rows: readonly LoggedRow[];
  /** Everything up to this number was looked at. */
  readonly through: number;
  /** Entries that were looked at. */
  readonly entryCount: number;
  /** Nothing is left up to the number that was asked for. */
  readonly isLast: boolean;
}

export interface ReadOptions {
  readonly origin: string;
  readonly after: number;
  readonly until: number;
  readonly bytesMax: number;
  readonly isWanted: (name: RowName) => boolean;
}

/** Entries read at once: their rows may be long. */
const groupCount = 16;

/** Entries looked at in one part, so that one that is all void or unwanted comes to an end. */
const entriesMax = 4_096;

/** What a row takes in a message besides its key and its JSON, in bytes. */
const rowOverheadBytes = 96;

/**
 * Reads the change log of every origin. Rows are read through their versions: an entry whose row has a
 * later version is void and left out.
 */
export class ChangeLogReader {
  readonly #needs: ChangeLogReaderNeeds;

  constructor(needs: ChangeLogReaderNeeds) {
    this.#needs = needs;
  }

  /** What is in the log of an origin after a number, as far as `bytesMax` allows. */
  async read(options: ReadOptions): Promise<LogPart> {
    const { origin, until, bytesMax, isWanted } = options;
    const rows: LoggedRow[] = [];
    let through = options.after;
    let byteCount = 0;
    let entryCount = 0;
    for await (const group of this.groups(origin, options.after, until)) {
      const found = await this.#rowsOf(origin, group, isWanted);
      for (const [index, [sequence]] of group.entries()) {
        const row = found[index];
        const bytes = row ? bytesOf(row) : 0;
        if (rows.length > 0 && byteCount + bytes > bytesMax) {
          return { rows, through, entryCount, isLast: false };
        }
        if (row) rows.push(row);
        byteCount += bytes;
        through = sequence;
        entryCount += 1;
      }
      if (entryCount >= entriesMax) return { rows, through, entryCount, isLast: false };
    }
    return { rows, through: Math.max(through, until), entryCount, isLast: true };
  }

  /** Entries of an origin's log, void ones too, by number and some at a time. */
  async *groups(
    origin: string,
    after: number,
    until: number,
  ): AsyncIterable<[number, ChangeLogEntry][]> {
    let group: [number, ChangeLogEntry][] = [];
    const range = { prefix: `${origin}/`, gt: joinKey(origin, after), lte: joinKey(origin, until) };
    for await (const [key, entry] of this.#entries.list(range)) {
      group.push([Number(key.slice(origin.length + 1)), entry]);
      if (group.length < groupCount) continue;
      yield group;
      group = [];
    }
    if (group.length > 0) yield group;
  }

  /** How many entries there are after a number, at most `countMax`, and the time of the first one. */
  async countAfter(
    origin: string,
    after: number,
    { countMax, isFor }: { countMax: number; isFor: (name: RowName) => boolean },
  ): Promise<{ count: number; firstMs: number }> {
    let count = 0;
    let firstMs = 0;
    const range = { prefix: `${origin}/`, gt: joinKey(origin, after), limit: countMax };
    for await (const [, { row, wallMs }] of this.#entries.list(range)) {
      const name = fromRowId(row);
      if (!name || !isFor(name)) continue;
      if (count === 0) firstMs = wallMs;
      count += 1;
    }
    return { count, firstMs };
  }

  /**
   * The time of the first entry after a number; undefined when there is none.
   *
   * @param isFor which rows count; entries beyond the first hundred are not looked at for one
   */
  async firstMsAfter(
    origin: string,
    after: number,
    isFor: (name: RowName) => boolean,
  ): Promise<number | undefined> {
    const range = { prefix: `${origin}/`, gt: joinKey(origin, after), limit: 100 };
    for await (const [, { row, wallMs }] of this.#entries.list(range)) {
      const name = fromRowId(row);
      if (name && isFor(name)) return wallMs;
    }
    return undefined;
  }

  /** The rows of some entries, in their order; undefined for what is void or not wanted. */
  async #rowsOf(
    origin: string,
    group: readonly [number, ChangeLogEntry][],
    isWanted: (name: RowName) => boolean,
  ): Promise<(LoggedRow | undefined)[]> {
    const names = group.map(([, { row }]) => {
      const name = fromRowId(row);
      return name && isWanted(name) ? name : undefined;
    });
    if (names.every((name) => name === undefined)) return [];
    // The rows before the versions: a row that changes in between is void then.
    const values = await Promise.all(names.map((name) => name && this.#needs.rows.valueOf(name)));
    const versions = await this.#needs.rows.versionsOf(group.map(([, { row }]) => row));
    return group.map(([sequence], index) => {
      const name = names[index];
      const version = versions[index];
      if (!name || !version || !isEntryOf(version, origin, sequence)) return undefined;
      if (version.isDeleted) return { name, version, json: '' };
      const json: string | undefined = JSON.stringify(values[index]);
      return json === undefined || this.#isTooLong(name, json)
        ? undefined
        : { name, version, json };
    });
  }

  /** No row that was checked when it was made is; a neighbour would refuse it for ever. */
  #isTooLong(name: RowName, json: string): boolean {
    const byteCount = Buffer.byteLength(json);
    if (byteCount <= rowBytesMax) return false;
    this.#needs.logger.error(
      { row: rowIdOf(name), byteCount },
      'A row is too long to be replicated',
    );
    return true;
  }

  get #entries() {
    return this.#needs.store.records(keySpaces.changeLog);
  }
}

function bytesOf({ name, json }: LoggedRow): number {
  return rowOverheadBytes + name.table.length + name.key.length + Buffer.byteLength(json);
}

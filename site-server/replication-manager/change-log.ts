import {
  type ChangeLogEntry,
  isEntryOf,
  type NeighbourState,
  type OriginState,
  type RowVersion,
  unknownNeighbour,
  unknownOrigin,
} from '../../shared/domain/change-log.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { ChangeCapture } from './change-capture.ts';
import { ChangeLogReader } from './change-log-reader.ts';
import { ParentWord } from './parent-word.ts';
import { fromRowId, placeOf, type RowName, rowIdOf } from './replicated-rows.ts';

/** What the change log needs. */
export interface ChangeLogComponents {
  readonly store: Pick<StateStore, 'records' | 'write' | 'settled'>;
  readonly capture: ChangeCapture;
  readonly logger: Logger;
}

/** Rows changed in one batch when much is to be done. */
const batchRowsMax = 500;

/**
 * The change log of every origin, and what is known of where the origins and neighbours stand; the
 * states are kept in memory too. Writes the tables "origin states", "neighbour states", and with
 * `changeRows` everything of replicated rows.
 */
export class ChangeLog {
  readonly capture: ChangeCapture;
  readonly reader: ChangeLogReader;
  /** What the parent has judged of this site's own changes. */
  readonly parentWord = new ParentWord();
  readonly #store: ChangeLogComponents['store'];
  readonly #logger: Logger;
  readonly #queue = new SerialQueue();
  readonly #origins = new Map<string, OriginState>();
  readonly #neighbours = new Map<string, NeighbourState>();
  readonly #listeners = new Set<(origin: string) => void>();
  readonly #watched = new Set<Set<string>>();

  private constructor({ store, capture, logger }: ChangeLogComponents) {
    this.#store = store;
    this.#logger = logger;
    this.capture = capture;
    this.reader = new ChangeLogReader({ store, rows: this, logger });
  }

  static async open(components: ChangeLogComponents): Promise<ChangeLog> {
    const log = new ChangeLog(components);
    const { store, capture } = components;
    if (capture.isNewLife) await log.#forgetCursors();
    const origins = store.records(keySpaces.originStates).list();
    for await (const [origin, state] of origins) log.#origins.set(origin, state);
    const neighbours = store.records(keySpaces.neighbourStates).list();
    for await (const [siteCode, state] of neighbours) log.#neighbours.set(siteCode, state);
    capture.onCaptured(() => log.#tell(capture.siteCode));
    await log.renumber();
    return log;
  }

  /** Calls `listener` when there is more of an origin. @returns ends it */
  onChanged(listener: (origin: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** All origins of which there is something, this site first. */
  origins(): string[] {
    const { siteCode } = this.capture;
    return [siteCode, ...[...this.#origins.keys()].filter((origin) => origin !== siteCode).sort()];
  }

  originState(origin: string): OriginState {
    return this.#origins.get(origin) ?? unknownOrigin;
  }

  neighbourState(siteCode: string): NeighbourState {
    return this.#neighbours.get(siteCode) ?? unknownNeighbour;
  }

  /** The number up to which this site has an origin's changes. */
  headOf(origin: string): number {
    const { siteCode, writtenSequence } = this.capture;
    return origin === siteCode ? writtenSequence : this.originState(origin).sequence;
  }

  /** The same, once it is synced to disk: what may be sent. */
  async syncedHeadOf(origin: string): Promise<number> {
    if (origin === this.capture.siteCode) return this.capture.synced();
    return this.originState(origin).sequence;
  }

  /** The changes that make this an origin's state; in effect once `noteOrigin` is called. */
  putOrigin(origin: string, state: OriginState): Change {
    return this.#store.records(keySpaces.originStates).put(origin, state);
  }

  /** After the write of `putOrigin`. */
  noteOrigin(origin: string, state: OriginState): void {
    this.#origins.set(origin, state);
    this.#tell(origin);
  }

  /** Sites that were connected with this one. */
  neighbours(): string[] {
    return [...this.#neighbours.keys()];
  }

  /** What a site that was not connected here before has of these origins, it is to send anew. */
  askAnew(origins: readonly string[]): Promise<void> {
    return this.turn(async () => {
      for (const origin of origins) {
        const state = { ...this.originState(origin), sequence: 0 };
        await this.#store.write([this.putOrigin(origin, state)], { sync: true });
        this.#origins.set(origin, state);
      }
    });
  }

  async forgetNeighbour(siteCode: string): Promise<void> {
    this.#neighbours.delete(siteCode);
    const neighbours = this.#store.records(keySpaces.neighbourStates);
    await this.#store.write([neighbours.delete(siteCode)], { sync: true });
  }

  /** A site of which something is about to be forgotten would have to send all of it anew. */
  async forgetCursor(siteCode: string): Promise<void> {
    const before = this.#origins.get(siteCode);
    if (!before) return;
    const state = { ...unknownOrigin, floor: before.floor };
    await this.#store.write([this.putOrigin(siteCode, state)], { sync: true });
    this.#origins.set(siteCode, state);
  }

  /** Forgets where a site stands. */
  async forgetSite(siteCode: string): Promise<void> {
    this.#origins.delete(siteCode);
    this.#neighbours.delete(siteCode);
    const { originStates, neighbourStates } = keySpaces;
    const changes = [originStates, neighbourStates].map((space) =>
      this.#store.records<unknown>(space).delete(siteCode),
    );
    await this.#store.write(changes, { sync: true });
  }

  async setNeighbour(siteCode: string, state: NeighbourState, options: { sync: boolean }) {
    this.#neighbours.set(siteCode, state);
    const store = this.#store;
    await store.write([store.records(keySpaces.neighbourStates).put(siteCode, state)], options);
  }

  /** Tells which rows change from now on, whoever changes them. */
  watch(): { readonly end: () => string[] } {
    const own = this.capture.watch();
    const others = new Set<string>();
    this.#watched.add(others);
    return {
      end: () => {
        this.#watched.delete(others);
        return [...new Set([...own.end(), ...others])];
      },
    };
  }

  /** The versions of these rows. */
  versionsOf(rowIds: readonly string[]): Promise<(RowVersion | undefined)[]> {
    return this.#store.records(keySpaces.rowVersions).getMany(rowIds);
  }

  /**
   * Changes replicated rows by what their versions are: synced, and without being seen as changes of
   * this site. When this site writes one of the rows meanwhile, it is decided anew.
   *
   * @param decide in the turn of the write; is given the rows of `read` as they are here, by their IDs
   * @param read those of the rows of which more matters than their version
   */
  async changeRows(
    rowIds: readonly string[],
    decide: (
      versions: ReadonlyMap<string, RowVersion>,
      values: ReadonlyMap<string, unknown>,
    ) => Change[],
    read: readonly RowName[] = [],
  ): Promise<void> {
    for (;;) {
      const watch = this.capture.watch();
      try {
        await this.#store.settled();
        const found = await this.versionsOf(rowIds);
        const values = new Map<string, unknown>();
        for (const name of read) values.set(rowIdOf(name), await this.valueOf(name));
        if (watch.saw(rowIds)) continue;
        const versions = new Map<string, RowVersion>();
        for (const [index, version] of found.entries()) {
          if (version) versions.set(rowIds[index] ?? '', version);
        }
        const decided = decide(versions, values);
        for (const rows of this.#watched) for (const rowId of rowIds) rows.add(rowId);
        const changes = this.capture.foreign([...decided, this.capture.keepSequence()]);
        return await this.#store.write(changes, { sync: true });
      } finally {
        watch.end();
      }
    }
  }

  /** The changes that give a row a version and an entry, and void its last entry. */
  putVersion(name: RowName, version: RowVersion, before: RowVersion | undefined): Change[] {
    const rowId = rowIdOf(name);
    const { changedAt, sequence } = version;
    const entry = { row: rowId, wallMs: changedAt.wallMs, counter: changedAt.counter };
    const key = joinKey(changedAt.siteCode, sequence);
    return [
      ...(before ? [this.deleteEntry(before)] : []),
      this.#store.records(keySpaces.rowVersions).put(rowId, version),
      this.#entries.put(key, entry),
    ];
  }

  /** The changes after which nothing of a row is remembered. */
  deleteVersion(rowId: string, version: RowVersion): Change[] {
    const versions = this.#store.records(keySpaces.rowVersions);
    return [versions.delete(rowId), this.deleteEntry(version)];
  }

  deleteEntry({ changedAt, sequence }: RowVersion): Change {
    return this.#entries.delete(joinKey(changedAt.siteCode, sequence));
  }

  /** Runs `work` while nobody else who keeps to turns changes replicated rows or origin states. */
  turn<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.run(work);
  }

  /** A neighbour remembers a number this site never gave out: its store is an older copy. */
  beginAnew(sequence: number): Promise<void> {
    return this.turn(async () => {
      if (!this.capture.hasForgotten(sequence)) return;
      this.#logger.warn({ sequence }, 'A neighbour has later changes of this site than this site');
      await this.capture.beginAnew(sequence);
      await this.renumber();
    });
  }

  /** Gives own changes that may be outdated, or others are known by their numbers, new ones; goes on after a crash. */
  async renumber(): Promise<void> {
    const { capture } = this;
    const { siteCode, renumberTo } = capture;
    if (renumberTo === 0) return;
    for (;;) {
      const entries: [number, ChangeLogEntry][] = [];
      for await (const group of this.reader.groups(siteCode, 0, renumberTo)) {
        entries.push(...group);
        if (entries.length >= batchRowsMax) break;
      }
      if (entries.length === 0) break;
      await this.changeRows(
        entries.map(([, { row }]) => row),
        (versions) =>
          entries.flatMap(([sequence, { row }]) => {
            const old = this.#entries.delete(joinKey(siteCode, sequence));
            const version = versions.get(row);
            const name = fromRowId(row);
            const isVoid = !version || !isEntryOf(version, siteCode, sequence);
            if (isVoid || !name) return [old];
            return [old, ...capture.renumbered(name, { ...version, isRenumbered: true })];
          }),
      );
    }
    await capture.renumberingDone();
  }

  /** A replicated row as it is here. */
  valueOf(name: RowName): Promise<unknown> {
    const { space, key } = placeOf(name, this.capture.siteCode);
    return this.#store.records(space).get(key);
  }

  /** What the store lost, the neighbours give again, from the beginning. */
  async #forgetCursors(): Promise<void> {
    const origins = this.#store.records(keySpaces.originStates);
    const neighbours = this.#store.records(keySpaces.neighbourStates);
    const changes: Change[] = [];
    for await (const [origin, { floor }] of origins.list()) {
      changes.push(origins.put(origin, { ...unknownOrigin, floor }));
    }
    for await (const [siteCode] of neighbours.list()) changes.push(neighbours.delete(siteCode));
    await this.#store.write(changes, { sync: true });
  }

  #tell(origin: string): void {
    for (const listener of this.#listeners) listener(origin);
  }

  get #entries() {
    return this.#store.records(keySpaces.changeLog);
  }
}

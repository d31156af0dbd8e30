import type { ChangeLogEntry, OwnLogState, RowVersion } from '../../shared/domain/change-log.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { HybridClock } from './hybrid-clock.ts';
import { KeptRows } from './kept-rows.ts';
import { type OwnLogStart, readOwnLog } from './own-log-start.ts';
import { noticesOf, type RowName, rowIdOf, rowOfChange } from './replicated-rows.ts';

/** What change capture needs. */
export interface ChangeCaptureComponents {
  readonly store: Pick<StateStore, 'records' | 'write' | 'onWritten' | 'deriveWith' | 'settled'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly siteCode: string;
  /** The store was damaged: numbers may have been given out that it does not remember. */
  readonly isStoreDamaged: boolean;
}

/** Rows written by this site since the watch began. */
export interface RowWatch {
  saw(rowIds: Iterable<string>): boolean;
  end(): string[];
}

/** Rows whose last number is kept in memory, so that a row that changes often leaves no void entries. */
const recentRowsMax = 10_000;

/**
 * Sees every write of the site's store, and puts into the same batch what replication must know of it:
 * for each replicated row its version (table "row versions"), its number in this site's change log
 * ("change log") and the notification of whoever reacts to it. No component that writes knows of it,
 * and nothing is read: the entry of an earlier change of the row becomes void since the version names
 * a later number. A crash leaves rows, versions and entries together, or none of them.
 */
export class ChangeCapture {
  readonly clock: HybridClock;
  readonly siteCode: string;
  readonly #components: ChangeCaptureComponents;
  /** Batches that are not this site's own changes. */
  readonly #foreign = new WeakSet<readonly Change[]>();
  readonly #watched = new Set<Set<string>>();
  readonly #recent = new Map<string, number>();
  readonly #listeners = new Set<() => void>();
  /** The store was begun, or found damaged, at this opening. */
  readonly isNewLife: boolean;
  #state: OwnLogState;
  #lastSequence: number;
  #writtenSequence: number;
  #syncedSequence: number;
  /** The state is on disk, as it became when this was opened. */
  #isStateKept = false;

  private constructor(
    components: ChangeCaptureComponents,
    { state, last, lastKnown, isNewLife }: Omit<OwnLogStart, 'newest'>,
  ) {
    this.#components = components;
    this.isNewLife = isNewLife;
    this.siteCode = components.siteCode;
    this.clock = new HybridClock(components);
    this.#state = state;
    this.#lastSequence = last;
    this.#writtenSequence = last;
    this.#syncedSequence = lastKnown;
  }

  /** Begins to see writes: before any component writes. One for each store. */
  static async open(components: ChangeCaptureComponents): Promise<ChangeCapture> {
    const { store } = components;
    const { newest, ...start } = await readOwnLog(components);
    const capture = new ChangeCapture(components, start);
    await capture.#restoreClock(newest);
    store.deriveWith((changes) => capture.#derive(changes));
    store.onWritten((changes, { isSynced }) => capture.#onWritten(changes, isSynced));
    if (start.isNewLife) await capture.#beginLife();
    return capture;
  }

  /** Changes up to this number are to be `renumbered`; 0: none. */
  get renumberTo(): number {
    return this.#state.renumberTo;
  }

  /** The first number of this life of the log; another one after the store was lost or damaged. */
  get life(): number {
    return this.#state.life;
  }

  /** The highest number that can be read. */
  get writtenSequence(): number {
    return this.#writtenSequence;
  }

  /** The highest number given out. */
  get lastSequence(): number {
    return this.#lastSequence;
  }

  /** Whether a number of this site's changes, which a neighbour knows, is none this store gave out. */
  hasForgotten(sequence: number): boolean {
    const { unassigned, life } = this.#state;
    const isOfGap = unassigned.some(({ after, before }) => sequence > after && sequence < before);
    // Of numbers before this life, all is asked back anyway.
    return (isOfGap && sequence >= life) || sequence > this.#lastSequence;
  }

  /** Whether the store was begun, or found damaged, in the last `withinMs`. */
  wasLost(withinMs: number): boolean {
    const { lostAtMs } = this.#state;
    return lostAtMs > 0 && Math.abs(this.#components.clock.nowMs() - lostAtMs) < withinMs;
  }

  get messageOffset(): number {
    return this.#state.messageOffset;
  }

  /** Calls `listener` after each write that changed a replicated row. @returns ends it */
  onCaptured(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Marks a batch as not of this site's making: nothing is derived from it. */
  foreign(changes: readonly Change[]): readonly Change[] {
    this.#foreign.add(changes);
    return changes;
  }

  /** Tells which rows this site writes from now on. */
  watch(): RowWatch {
    const rows = new Set<string>();
    this.#watched.add(rows);
    return {
      saw: (rowIds) => {
        for (const rowId of rowIds) if (rows.has(rowId)) return true;
        return false;
      },
      end: () => {
        this.#watched.delete(rows);
        return [...rows];
      },
    };
  }

  /** The highest number that survives a power cut, once everything written so far does. */
  async synced(): Promise<number> {
    if (this.#syncedSequence < this.#writtenSequence) await this.syncAll();
    return this.#syncedSequence;
  }

  /**
   * For a synced batch that may take this site's newest entry out of the log: the number of what may
   * have been sent is remembered all the same.
   */
  keepSequence(): Change {
    const syncedSequence = Math.max(this.#state.syncedSequence, this.#writtenSequence);
    this.#state = { ...this.#state, syncedSequence };
    return this.#putState();
  }

  /** Everything written to the store so far survives a power cut when this resolves. */
  async syncAll(): Promise<void> {
    await this.#keep({ ...this.#state, syncedSequence: this.#writtenSequence });
  }

  /** Serials of status messages get `offset` on their way from now on. */
  async setMessageOffset(messageOffset: number): Promise<void> {
    await this.#keep({ ...this.#state, messageOffset });
  }

  /**
   * Begins a new life of the log above `sequence`, which a neighbour remembers and this site does not:
   * its store is an older copy. What is in the log up to there is to be `renumbered`: it may be outdated, and
   * only what is sent again the parent answers.
   */
  async beginAnew(sequence: number): Promise<void> {
    this.#lastSequence = Math.max(this.#components.clock.nowMs(), sequence, this.#lastSequence);
    this.#recent.clear();
    // Every neighbour is asked for all it has: no number is compared any more.
    const begin = { life: this.#lastSequence + 1, unassigned: [] };
    const syncedSequence = this.#writtenSequence;
    await this.#keep({ ...this.#state, ...begin, renumberTo: sequence, syncedSequence });
  }

  /** All up to `renumberTo` has new numbers. */
  async renumberingDone(): Promise<void> {
    await this.#keep({ ...this.#state, renumberTo: 0 });
  }

  /** What gives a row that has none, or an outdated number, its next one; for `foreign` batches. */
  renumbered(name: RowName, version?: RowVersion): Change[] {
    const { store } = this.#components;
    const sequence = this.#nextSequence();
    const changedAt = version?.changedAt ?? this.clock.now();
    const { isDeleted = false, isOfNothing, isRenumbered } = version ?? {};
    const rowId = rowIdOf(name);
    const entry = { row: rowId, wallMs: changedAt.wallMs, counter: changedAt.counter };
    const given = {
      ...{ changedAt, sequence, isDeleted },
      ...(isOfNothing && { isOfNothing }),
      ...(isRenumbered && { isRenumbered }),
    };
    return [
      store.records(keySpaces.rowVersions).put(rowId, given),
      store.records(keySpaces.changeLog).put(joinKey(this.siteCode, sequence), entry),
    ];
  }

  async #restoreClock(newest: ChangeLogEntry | undefined): Promise<void> {
    const kept = await this.#components.store.records(keySpaces.hybridClock).get('clock');
    for (const time of [kept, newest]) if (time) this.clock.receive(time);
  }

  /** What was there before gets its first numbers. */
  async #beginLife(): Promise<void> {
    await new KeptRows({
      ...this.#components,
      foreign: (changes) => this.foreign(changes),
      renumbered: (name, version) => this.renumbered(name, version),
    }).beginLife();
    await this.#keep(this.#state);
  }

  async #keep(state: OwnLogState): Promise<void> {
    const { store } = this.#components;
    const before = this.#state;
    this.#state = state;
    try {
      await store.write([store.records(keySpaces.ownLogState).put('own', state)], { sync: true });
    } catch (error) {
      if (this.#state === state) this.#state = before;
      throw error;
    }
    this.#syncedSequence = Math.max(this.#syncedSequence, state.syncedSequence);
  }

  #putState(): Change {
    return this.#components.store.records(keySpaces.ownLogState).put('own', this.#state);
  }

  #nextSequence(): number {
    this.#lastSequence += 1;
    return this.#lastSequence;
  }

  #derive(changes: readonly Change[]): Change[] {
    if (this.#foreign.has(changes)) return [];
    // Of two changes of a row in one batch, the later one stands.
    const rows = new Map<string, { name: RowName; isDeleted: boolean }>();
    for (const change of changes) {
      const name = rowOfChange(change, this.siteCode);
      if (name) rows.set(rowIdOf(name), { name, isDeleted: change.type === 'delete' });
    }
    if (rows.size === 0) return [];
    const derived = [...rows].flatMap(([rowId, row]) => this.#captured(rowId, row.isDeleted));
    if (!this.#isStateKept) derived.push(this.#putState());
    return [...derived, ...this.#notifications([...rows.values()].map(({ name }) => name))];
  }

  #captured(rowId: string, isDeleted: boolean): Change[] {
    const { store } = this.#components;
    const changedAt = this.clock.now();
    const sequence = this.#nextSequence();
    for (const rows of this.#watched) rows.add(rowId);
    const log = store.records(keySpaces.changeLog);
    const entry = { row: rowId, wallMs: changedAt.wallMs, counter: changedAt.counter };
    return [
      ...this.#voidEntry(rowId, sequence),
      store.records(keySpaces.rowVersions).put(rowId, { changedAt, sequence, isDeleted }),
      log.put(joinKey(this.siteCode, sequence), entry),
    ];
  }

  /** Takes the entry of the row's last change out of the log, when that was not long ago. */
  #voidEntry(rowId: string, sequence: number): Change[] {
    const before = this.#recent.get(rowId);
    this.#recent.delete(rowId);
    this.#recent.set(rowId, sequence);
    if (this.#recent.size > recentRowsMax) {
      const [oldest] = this.#recent.keys();
      if (oldest !== undefined) this.#recent.delete(oldest);
    }
    if (before === undefined) return [];
    const log = this.#components.store.records(keySpaces.changeLog);
    return [log.delete(joinKey(this.siteCode, before))];
  }

  #notifications(names: readonly RowName[]): Change[] {
    const told = new Set<string>();
    const notices = names.flatMap((name) => noticesOf(name, this.siteCode));
    return notices
      .filter(({ topic, subject }) => {
        const isNew = !told.has(`${topic}/${subject}`);
        told.add(`${topic}/${subject}`);
        return isNew;
      })
      .map(({ topic, subject }) => this.#components.notifier.notification(topic, subject));
  }

  #onWritten(changes: readonly Change[], isSynced: boolean): void {
    let newest = 0;
    const prefix = `${this.siteCode}/`;
    for (const { type, space, key } of changes) {
      if (space === keySpaces.ownLogState.name) this.#isStateKept = true;
      if (type !== 'put' || space !== keySpaces.changeLog.name || !key.startsWith(prefix)) continue;
      newest = Math.max(newest, Number(key.slice(prefix.length)));
    }
    if (newest === 0) return;
    this.#writtenSequence = Math.max(this.#writtenSequence, newest);
    if (isSynced) this.#syncedSequence = Math.max(this.#syncedSequence, newest);
    for (const listener of this.#listeners) listener();
  }
}

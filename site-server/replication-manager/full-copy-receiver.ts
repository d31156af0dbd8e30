import { isEntryOf } from '../../shared/domain/change-log.ts';
import { replicatedTables } from '../../shared/domain/replicated-tables.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { type CheckedChanges, invalid } from './change-check.ts';
import type { ChangeLog } from './change-log.ts';
import { isOwnedRow, type OwnedRow } from './owned-row-authority.ts';
import { fromRowId, noticesOf, placeOf, type RowName, rowIdOf } from './replicated-rows.ts';

/** What receiving a full copy needs. */
export interface FullCopyReceiverNeeds {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly log: ChangeLog;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  /** The neighbour that sends it. */
  readonly neighbour: string;
  /** Whether it may say which sites there are, besides those below it. */
  readonly isParent: boolean;
  /** Why a row that belongs to a site may not be deleted by this neighbour. */
  readonly ownedRowProblem: (row: OwnedRow) => string | undefined;
}

/** Marks deleted, or rows dropped, in one batch. */
const batchRowsMax = 500;

/**
 * The full copies that one stream brings: remembers in the table "full copy rows" what came, and at
 * the end takes away what did not. Rows of the sender's side go without a trace, and this site's own
 * neighbours get a full copy too. Of rows of this site's side, those that any site may delete become
 * deleted here: their deletion was forgotten everywhere before this site heard of it. After a crash
 * the sender begins the copy anew, for the cursor stands where it stood.
 */
export class FullCopyReceiver {
  readonly #needs: FullCopyReceiverNeeds;
  readonly #through = new Map<string, number>();

  constructor(needs: FullCopyReceiverNeeds) {
    this.#needs = needs;
  }

  /** Forgets what an earlier stream brought. Before the first message. */
  async begin(): Promise<void> {
    const marks = this.#marks;
    const prefix = `${this.#needs.neighbour}/`;
    let last = prefix;
    for (;;) {
      const changes: Change[] = [];
      // Behind the last one: what was just deleted would be passed over each time.
      for await (const [key] of marks.list({ prefix, gt: last, limit: batchRowsMax })) {
        changes.push(marks.delete(key));
        last = key;
      }
      if (changes.length === 0) return;
      await this.#needs.store.write(changes, { sync: false });
    }
  }

  /** After which number the next part must go on. @throws MESSAGE_INVALID for a part after the end */
  expectedAfter({ origin, after, isFullCopyEnd }: CheckedChanges): number {
    const through = this.#through.get(origin);
    if (through === undefined && after !== 0) {
      throw invalid('after', '0 in the first part of a full copy', `${after}`);
    }
    if (through === undefined && isFullCopyEnd) {
      throw invalid('full_copy_ends', 'a part before the end', 'an end alone');
    }
    return through ?? 0;
  }

  /** The changes that remember what a part has; in the part's batch. */
  marksOf({ rows }: CheckedChanges): Change[] {
    return rows.map(({ name }) => this.#marks.put(this.#markKey(rowIdOf(name)), true));
  }

  /**
   * A part is on disk; after the last one, what was in none goes.
   *
   * @param isTheirs the origin is of the sender's side
   */
  async took(changes: CheckedChanges, isTheirs: boolean): Promise<void> {
    const { origin, through, isFullCopyEnd } = changes;
    this.#through.set(origin, through);
    if (!isFullCopyEnd) return;
    this.#through.delete(origin);
    await this.#dropUnmarked(origin, through, isTheirs);
    if (isTheirs) await this.#advance(origin, through);
    // All parts come before the first end: this was the last one.
    if (this.#through.size === 0) await this.begin();
  }

  async #dropUnmarked(origin: string, through: number, isTheirs: boolean): Promise<void> {
    const { log } = this.#needs;
    for await (const group of log.reader.groups(origin, 0, through)) {
      const keys = group.map(([, { row }]) => this.#markKey(row));
      const marks = await this.#marks.getMany(keys);
      const unmarked = group.filter((_, index) => !marks[index]);
      if (unmarked.length === 0) continue;
      await log.changeRows(
        unmarked.map(([, { row }]) => row),
        (versions, values) =>
          unmarked.flatMap(([sequence, { row }]) => {
            const name = fromRowId(row);
            const version = versions.get(row);
            if (!name || !version || !isEntryOf(version, origin, sequence)) return [];
            // Nobody deletes those: their absence would make room for an old one, or a revoked one.
            if (name.table === 'site-identities' || name.table === 'revocations') return [];
            if (isTheirs) return [...this.#gone(name), ...log.deleteVersion(row, version)];
            if (version.isDeleted || !this.#mayBeDeleted(name, values.get(row))) return [];
            const changedAt = log.capture.clock.now();
            const deleted = { changedAt, sequence: 0, isDeleted: true };
            const gone = [...this.#gone(name), log.deleteEntry(version)];
            return [...gone, ...log.capture.renumbered(name, deleted)];
          }),
        unmarked.flatMap(([, { row }]) => fromRowId(row) ?? []).filter(isOwnedRow),
      );
    }
  }

  /** Whether the sender may have deleted a row of this side. */
  #mayBeDeleted(name: RowName, before: unknown): boolean {
    const { table } = name;
    if (table === 'sites') return this.#needs.isParent;
    const origin = this.#needs.neighbour;
    const row: OwnedRow = { name, origin, before, value: undefined };
    if (this.#needs.ownedRowProblem(row) !== undefined) return false;
    return replicatedTables[table].writer === 'any site';
  }

  #gone(name: RowName): Change[] {
    return goneRow(name, this.#needs);
  }

  /** From here on the origin's log goes on; who is behind this site needs a full copy as well. */
  async #advance(origin: string, through: number): Promise<void> {
    const { log, store } = this.#needs;
    const before = log.originState(origin);
    const sequence = Math.max(before.sequence, through);
    const state = { ...before, sequence, floor: Math.max(before.floor, through) };
    await store.write([log.putOrigin(origin, state)], { sync: true });
    log.noteOrigin(origin, state);
  }

  #markKey(rowId: string): string {
    return `${this.#needs.neighbour}/${rowId}`;
  }

  get #marks() {
    return this.#needs.store.records(keySpaces.fullCopyRows);
  }
}

/** The changes that take a row away, and tell who reacts to it. */
export function goneRow(
  name: RowName,
  { store, notifier, log }: Pick<FullCopyReceiverNeeds, 'store' | 'notifier' | 'log'>,
): Change[] {
  const { siteCode } = log.capture;
  const { space, key } = placeOf(name, siteCode);
  const notices = noticesOf(name, siteCode);
  return [
    store.records(space).delete(key),
    ...notices.map(({ topic, subject }) => notifier.notification(topic, subject)),
  ];
}

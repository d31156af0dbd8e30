import type { RowVersion } from '../../shared/domain/change-log.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import {
  fromRowId,
  ownSpaces,
  placeOf,
  type RowName,
  rowIdOf,
  rowOfChange,
  writerOf,
} from './replicated-rows.ts';

/** What numbering the rows that were kept needs. */
export interface KeptRowsNeeds {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly siteCode: string;
  /** Then rows, versions and entries may not fit each other. */
  readonly isStoreDamaged: boolean;
  /** Marks a batch as not of this site's making: nothing is derived from it. */
  readonly foreign: (changes: readonly Change[]) => readonly Change[];
  /** What gives a row that has none its next number. */
  readonly renumbered: (name: RowName, version?: RowVersion) => Change[];
}

/** Changes in one batch when all rows are looked through. */
const batchChangesMax = 500;

/** The rows that a new life of this site's log finds in its store. */
export class KeptRows {
  readonly #needs: KeptRowsNeeds;

  constructor(needs: KeptRowsNeeds) {
    this.#needs = needs;
  }

  /**
   * Rows that were there before, of an older program or kept by a repair, get their first number. What
   * others write they give again. What a repair kept may be outdated: any real change of it is later.
   */
  async beginLife(): Promise<void> {
    const { store, siteCode, isStoreDamaged } = this.#needs;
    if (isStoreDamaged) await this.#mendVersions();
    const earliest = { wallMs: 0, counter: 0, siteCode };
    const isRenumbered = true as const;
    const kept = { changedAt: earliest, sequence: 0, isDeleted: false, isRenumbered };
    const versions = store.records(keySpaces.rowVersions);
    for (const space of ownSpaces) {
      let changes: Change[] = [];
      for await (const [key, value] of store.records(space).list()) {
        const name = rowOfChange({ type: 'put', space: space.name, key, value }, siteCode);
        if (!name || (writerOf(name) ?? siteCode) !== siteCode) continue;
        if (await versions.get(rowIdOf(name))) continue;
        changes.push(...this.#needs.renumbered(name, isStoreDamaged ? kept : undefined));
        if (changes.length < batchChangesMax) continue;
        await store.write(this.#needs.foreign(changes), { sync: false });
        changes = [];
      }
      await store.write(this.#needs.foreign(changes), { sync: false });
    }
  }

  /** What a repair kept of a row, its version and its entry becomes whole again, or goes. */
  async #mendVersions(): Promise<void> {
    const { store } = this.#needs;
    let changes: Change[] = [];
    for await (const [rowId, version] of store.records(keySpaces.rowVersions).list()) {
      changes.push(...(await this.#mended(rowId, version)));
      if (changes.length < batchChangesMax) continue;
      await store.write(this.#needs.foreign(changes), { sync: false });
      changes = [];
    }
    await store.write(this.#needs.foreign(changes), { sync: false });
  }

  async #mended(rowId: string, version: RowVersion): Promise<Change[]> {
    const { store } = this.#needs;
    const name = fromRowId(rowId);
    if (!name) return [];
    const { changedAt, sequence, isDeleted } = version;
    const { space, key } = placeOf(name, this.#needs.siteCode);
    const log = store.records(keySpaces.changeLog);
    const logKey = joinKey(changedAt.siteCode, sequence);
    const isThere = (await store.records(space).get(key)) !== undefined;
    if (!isThere && !isDeleted) {
      return [store.records(keySpaces.rowVersions).delete(rowId), log.delete(logKey)];
    }
    const row = isThere && isDeleted ? [store.records(space).delete(key)] : [];
    if ((await log.get(logKey))?.row === rowId) return row;
    const { wallMs, counter } = changedAt;
    return [...row, log.put(logKey, { row: rowId, wallMs, counter })];
  }
}

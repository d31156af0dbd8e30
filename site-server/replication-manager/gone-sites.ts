import { isEntryOf, type RowVersion } from '../../shared/domain/change-log.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { HybridTime } from '../../shared/domain/hybrid-time.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { ChangeLog } from './change-log.ts';
import { goneRow } from './full-copy-receiver.ts';
import { isNeighbour } from './neighbour.ts';
import { fromRowId, rowIdOf, writerOf } from './replicated-rows.ts';

/** What forgetting sites needs. */
export interface GoneSitesComponents {
  readonly store: Pick<StateStore, 'records' | 'write' | 'onWritten'>;
  readonly log: ChangeLog;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly directory: Pick<SiteDirectory, 'own' | 'tree'>;
  readonly logger: Logger;
  /** Not all of a site is known here any more: what neighbours were told of that is not so. */
  readonly onForgotten: () => void;
}

/** Status messages deleted in one batch. */
const batchCount = 1_000;

/** Counters above it are not added to: they travel as 32 bits. */
const counterMax = 2 ** 31;

/**
 * Forgets sites that were deleted: each site for itself drops what only they might write, and where
 * they stood. What they wrote of rows that any site may write stays, and the site they were connected
 * with passes it on as its own, for nobody takes anything of them any more. What a crash or a full disk
 * leaves is done at the next start.
 */
export class GoneSites {
  readonly #components: GoneSitesComponents;
  readonly #queue = new SerialQueue();
  #unsubscribe = () => {};
  #isStopped = false;

  constructor(components: GoneSitesComponents) {
    this.#components = components;
  }

  async start(): Promise<void> {
    const { store, log } = this.#components;
    this.#unsubscribe = store.onWritten((changes) => {
      for (const { type, space, key } of changes) {
        if (space !== keySpaces.sites.name) continue;
        void this.#forgetInTurn(key, type === 'delete');
      }
    });
    const known = [...new Set([...log.origins(), ...log.neighbours()])];
    const versions = await log.versionsOf(known.map((key) => rowIdOf({ table: 'sites', key })));
    for (const [index, siteCode] of known.entries()) {
      void this.#forgetInTurn(siteCode, versions[index]?.isDeleted ?? false);
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#unsubscribe();
    await this.#queue.run(async () => {});
  }

  #forgetInTurn(siteCode: string, isDeleted: boolean): Promise<void> {
    return this.#queue.run(async () => {
      try {
        if (isDeleted) await this.#forget(siteCode);
        else await this.#forgetStranger(siteCode);
      } catch (error) {
        const isFull = isErrorWithCode(error, 'DISK_FULL');
        this.#components.logger[isFull ? 'warn' : 'error'](
          { siteCode, err: error },
          'Not all of a deleted site is forgotten yet',
        );
      }
    });
  }

  /** It may be made known again at any moment: then it is asked for all it has, for some of it is gone. */
  async #forget(siteCode: string): Promise<void> {
    const { log } = this.#components;
    if (siteCode === log.capture.siteCode) return;
    if (!(await this.#whileGone(siteCode, () => log.forgetCursor(siteCode)))) return;
    if (await this.#forgetAll(siteCode)) {
      await this.#whileGone(siteCode, () => log.forgetSite(siteCode));
    }
    this.#components.onForgotten();
  }

  /** @returns whether it is gone still */
  async #forgetAll(siteCode: string): Promise<boolean> {
    const { log } = this.#components;
    for await (const group of log.reader.groups(siteCode, 0, Number.MAX_SAFE_INTEGER)) {
      const forget = () => this.#forgetRows(siteCode, group);
      if (!(await this.#whileGone(siteCode, forget))) return false;
    }
    return this.#forgetMessages(siteCode);
  }

  /** Nothing is taken of it before the turn is over. @returns false when it is back: nothing was done */
  #whileGone(siteCode: string, work: () => Promise<void>): Promise<boolean> {
    const { log, store } = this.#components;
    return log.turn(async () => {
      const isBack = (await store.records(keySpaces.sites).get(siteCode)) !== undefined;
      if (isBack || this.#isStopped) return false;
      await work();
      return true;
    });
  }

  /**
   * A site that is connected elsewhere now. Should it come back, it is asked for all it has: what came
   * the other way meanwhile was not all (REP-8).
   */
  async #forgetStranger(siteCode: string): Promise<void> {
    const { log, directory } = this.#components;
    if (!log.neighbours().includes(siteCode) || isNeighbour(siteCode, directory)) return;
    await log.forgetNeighbour(siteCode);
  }

  async #forgetRows(siteCode: string, group: readonly [number, { row: string }][]): Promise<void> {
    const { log } = this.#components;
    const isAdopted = log.neighbours().includes(siteCode);
    await log.changeRows(
      group.map(([, { row }]) => row),
      (versions) =>
        group.flatMap(([sequence, { row }]) => {
          const version = versions.get(row);
          if (!version || !isEntryOf(version, siteCode, sequence)) return [];
          return this.#forgetRow(row, version, isAdopted);
        }),
    );
  }

  #forgetRow(rowId: string, version: RowVersion, isAdopted: boolean): Change[] {
    const { log } = this.#components;
    const name = fromRowId(rowId);
    if (!name) return [];
    if (writerOf(name) !== undefined) {
      return [...goneRow(name, this.#components), ...log.deleteVersion(rowId, version)];
    }
    if (!isAdopted) return [];
    const changedAt = { ...after(version.changedAt), siteCode: log.capture.siteCode };
    log.capture.clock.receive(changedAt);
    return [log.deleteEntry(version), ...log.capture.renumbered(name, { ...version, changedAt })];
  }

  /** @returns whether it is gone still */
  async #forgetMessages(siteCode: string): Promise<boolean> {
    const { store } = this.#components;
    const messages = store.records(keySpaces.siteStatusMessages);
    for (;;) {
      const changes: Change[] = [];
      for await (const [key] of messages.list({ prefix: `${siteCode}/`, limit: batchCount })) {
        changes.push(messages.delete(key));
      }
      if (changes.length === 0) return true;
      const forget = () => store.write(changes, { sync: false });
      if (!(await this.#whileGone(siteCode, forget))) return false;
    }
  }
}

/** The earliest time that is later, so that no other change of the row is passed by. */
function after({ wallMs, counter }: HybridTime): { wallMs: number; counter: number } {
  return counter < counterMax
    ? { wallMs, counter: counter + 1 }
    : { wallMs: wallMs + 1, counter: 0 };
}

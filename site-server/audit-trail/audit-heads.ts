import { type AuditHead, type AuditPlace, noRecordHash } from '../../shared/domain/audit-record.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { ignoreAbort } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** What telling and keeping heads needs. */
export interface AuditHeadsComponents {
  readonly store: Pick<StateStore, 'records' | 'write' | 'onWritten'>;
  readonly trail: { readonly head: AuditPlace };
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  readonly siteCode: string;
}

/** How heads are told and kept. */
export interface AuditHeadsConfig {
  /** Between two looks whether there is something to tell. @default 60_000 */
  readonly tellMs: number;
  /** The newest heads of a site are all kept, so many. @default 120 */
  readonly keptCount: number;
  /** Of those before, the first of each hour is kept for so long; only what a site said last, always. @default 3_628_800_000 (42 days) */
  readonly keptMs: number;
}

export const defaultAuditHeadsConfig: AuditHeadsConfig = {
  tellMs: 60_000,
  keptCount: 120,
  keptMs: 42 * 24 * 3_600_000,
};

const hourMs = 3_600_000;

/**
 * Tells the sites above this one how far its audit trail is, once a minute while it grows, and keeps what
 * sites below have told (docs/trust.md, 8): the first word about a record stands, whatever that site says
 * later. Writes the replicated table "audit heads" and, for this site alone, "audit head history". A crash
 * costs nothing: what is in the first and not in the second yet is taken over at the next start.
 */
export class AuditHeads implements Component {
  readonly #components: AuditHeadsComponents;
  readonly #config: AuditHeadsConfig;
  readonly #queue = new SerialQueue();
  readonly #stopped = new AbortController();
  #unsubscribe = () => {};
  #telling: Promise<void> = Promise.resolve();

  constructor(components: AuditHeadsComponents, config = defaultAuditHeadsConfig) {
    this.#components = components;
    this.#config = config;
  }

  async start(): Promise<void> {
    this.#unsubscribe = this.#components.store.onWritten((changes) => {
      for (const change of changes) {
        if (change.space !== keySpaces.auditHeads.name || change.type !== 'put') continue;
        void this.#keepInTurn(change.value as AuditHead);
      }
    });
    for await (const [, head] of this.#heads.list()) await this.#keepInTurn(head);
    await this.#queue.run(() => this.#forgetOld());
    this.#telling = this.#tellNowAndThen();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#telling;
    this.#unsubscribe();
    await this.#queue.run(async () => {});
  }

  /** What a site has told of its trail, by record; of this site what it has told itself. */
  async *told(siteCode: string): AsyncGenerator<AuditHead> {
    await this.#queue.run(async () => {});
    for await (const [, head] of this.#history.list({ prefix: `${siteCode}/` })) yield head;
  }

  async #tellNowAndThen(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await this.#tell();
      await this.#components.clock.sleep(this.#config.tellMs, signal).catch(ignoreAbort);
    }
  }

  async #tell(): Promise<void> {
    const { trail, siteCode, clock } = this.#components;
    const { serial, hash } = trail.head;
    const told = await this.#heads.get(siteCode);
    if (hash === noRecordHash || hash === told?.hash) return;
    const head = { siteCode, serial, hash, toldAtMs: clock.nowMs() };
    await this.#write([this.#heads.put(siteCode, head)]);
  }

  #keepInTurn(head: AuditHead): Promise<void> {
    return this.#queue.run(() => this.#keep(head));
  }

  /**
   * Whoever writes his trail anew tells other hashes for the same records, or goes back: the first word stands. So
   * the rows of a site only grow at their end, and with the time of this site, whatever it says, they stay few.
   */
  async #keep({ siteCode, serial, hash }: AuditHead): Promise<void> {
    const newest = { prefix: `${siteCode}/`, reverse: true, limit: 1 } as const;
    for await (const [, known] of this.#history.list(newest)) if (known.serial >= serial) return;
    const kept = { siteCode, serial, hash, toldAtMs: this.#components.clock.nowMs() };
    const put = this.#history.put(joinKey(siteCode, serial), kept);
    await this.#write([put, ...(await this.#thinned(siteCode))]);
  }

  /** Of two of one hour that are older than the newest, the later one goes; so one at a time is enough. */
  async #thinned(siteCode: string): Promise<Change[]> {
    const { keptCount } = this.#config;
    const newest = { prefix: `${siteCode}/`, reverse: true, limit: keptCount + 1 } as const;
    const rows: [string, AuditHead][] = [];
    for await (const row of this.#history.list(newest)) rows.push(row);
    const [late, early] = rows.slice(keptCount - 1);
    if (!late || !early) return [];
    const [key] = late;
    return hourOf(late[1]) === hourOf(early[1])
      ? [this.#history.delete(key)]
      : this.#oldest(siteCode);
  }

  async #oldest(siteCode: string): Promise<Change[]> {
    for await (const [key, head] of this.#history.list({ prefix: `${siteCode}/`, limit: 1 })) {
      if (this.#isOld(head)) return [this.#history.delete(key)];
    }
    return [];
  }

  /**
   * Of sites that say nothing any more, or are gone. What each has said last stays: its row still says it, and at the
   * next start it would be kept as if it had been told then.
   */
  async #forgetOld(): Promise<void> {
    const changes: Change[] = [];
    let before: [string, AuditHead] | undefined;
    for await (const row of this.#history.list()) {
      const [key, head] = before ?? row;
      // Rows of a site stand together, by record: one that another of that site follows is not its newest.
      const isFollowed = before !== undefined && head.siteCode === row[1].siteCode;
      if (isFollowed && this.#isOld(head)) changes.push(this.#history.delete(key));
      before = row;
    }
    await this.#write(changes);
  }

  #isOld({ toldAtMs }: AuditHead): boolean {
    return toldAtMs < this.#components.clock.nowMs() - this.#config.keptMs;
  }

  async #write(changes: readonly Change[]): Promise<void> {
    try {
      await this.#components.store.write(changes, { sync: false });
    } catch (error) {
      // A full disk: said again in a minute, or kept at the next start.
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
    }
  }

  get #heads() {
    return this.#components.store.records(keySpaces.auditHeads);
  }

  get #history() {
    return this.#components.store.records(keySpaces.auditHeadHistory);
  }
}

function hourOf({ toldAtMs }: AuditHead): number {
  return Math.floor(toldAtMs / hourMs);
}

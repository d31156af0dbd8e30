import { chained } from '../../shared/audit-chain/audit-chain.ts';
import {
  type AuditPlace,
  type AuditRecord,
  noRecordHash,
} from '../../shared/domain/audit-record.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { AuditEvent } from '../../shared/rpc/audit-event.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { SerialTable } from '../../shared/state-store/serial-table.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { StatusFacts, StatusReporter } from '../status-manager/status-manager.ts';
import { AuditRoom } from './audit-room.ts';

/** What the audit trail needs. */
export interface AuditTrailComponents {
  readonly store: StateStore;
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs'>;
  readonly logger: Logger;
  /** Hears what the trail cannot keep, and that it grows. */
  readonly status?: StatusReporter;
  /** Records that were written may be gone. @default false */
  readonly isStoreDamaged?: boolean;
}

/** How the audit trail is tuned. */
export interface AuditTrailConfig {
  /** Over so many, those that are older than `auditKeptDays` go, oldest first. @default 100_000 */
  readonly auditRecordCountMax: number;
  /** No record goes before: whoever makes many does not make others go. @default 400 */
  readonly auditKeptDays: number;
  /** Records that may wait to be written, so that a flood of refused calls costs bounded memory. */
  readonly auditRecordsWaitingMax: number;
}

export const defaultAuditTrailConfig: AuditTrailConfig = {
  auditRecordCountMax: 100_000,
  auditKeptDays: 400,
  auditRecordsWaitingMax: 10_000,
};

/** Which records are wanted; what is absent does not matter. */
export interface AuditQuery {
  readonly sinceMs?: number;
  /** Only calls that did not end well. */
  readonly refusedOnly?: boolean;
  /** At most so many, the newest. */
  readonly countMax: number;
}

/** What the whole trail is read as. */
export type TrailPart =
  | { readonly anchor: AuditPlace; readonly record?: undefined }
  | { readonly record: AuditRecord; readonly anchor?: undefined };

/** A record's text is kept no longer than this. */
const detailCharsMax = 1_024;

const dayMs = 24 * 3_600_000;

/** After damage, serials go on so far above those that are left: others may have been told of some that are gone. */
const serialsAfterDamage = 10_000;

type WaitingRecord = Omit<AuditRecord, 'serial' | 'previousHash' | 'hash'>;

/**
 * Keeps who called what, with which result (ADM-5). The RPC server hands it every changing call and
 * refusals, of which it has room for some (`audit-room.ts`); records are written a little later, many in one synced batch, so that no call
 * waits for its record. Each record is chained to the one before it (docs/trust.md, 8); nothing changes one.
 * Writes the tables "audit records" and "audit anchor"; a crash loses at most the records of the last
 * moment, never one that was listed, and the chain goes on from the newest that is on disk.
 */
export class AuditTrail implements Component {
  readonly #components: AuditTrailComponents;
  readonly #config: AuditTrailConfig;
  readonly #records: SerialTable<AuditRecord>;
  readonly #room = new AuditRoom();
  #waiting: WaitingRecord[] = [];
  /** Status messages that go with the next records. */
  #toTell: StatusFacts[] = [];
  #toldOverAtMs = Number.NEGATIVE_INFINITY;
  #lostCount = 0;
  /** The newest record on disk; undefined when that has to be looked up. */
  #head: AuditPlace | undefined;
  #writing: Promise<void> | undefined;

  private constructor(
    components: AuditTrailComponents,
    config: AuditTrailConfig,
    records: SerialTable<AuditRecord>,
  ) {
    this.#components = components;
    this.#config = config;
    this.#records = records;
  }

  static async open(
    components: AuditTrailComponents,
    config = defaultAuditTrailConfig,
  ): Promise<AuditTrail> {
    const { store, isStoreDamaged = false, clock } = components;
    const anchors = store.records(keySpaces.auditAnchor);
    const onCutOff = ({ serial, hash }: AuditRecord) => {
      return hash === undefined ? [] : [anchors.put(anchorKey, { serial, hash })];
    };
    const records: SerialTable<AuditRecord> = await SerialTable.open(
      { store, space: keySpaces.auditRecords, onCutOff },
      {
        rowCountMax: config.auditRecordCountMax,
        mayGo: ({ timeMs }) => timeMs <= clock.nowMs() - config.auditKeptDays * dayMs,
        onKeptOver: () => trail.#tellOver(),
        serialsAbove: isStoreDamaged ? await firstSerialAfterDamage(store, clock.nowMs()) : 0,
      },
    );
    const trail: AuditTrail = new AuditTrail(components, config, records);
    trail.#head = await trail.#readHead();
    if (isStoreDamaged) trail.#recordDamage();
    return trail;
  }

  /** The newest record that is on disk; serial 0: there is none. */
  get head(): AuditPlace {
    return this.#head ?? noPlace;
  }

  async start(): Promise<void> {
    await this.#records.start();
  }

  /** Writes what waits, then ends. */
  async stop(): Promise<void> {
    await this.#writing;
    await this.#records.stop();
  }

  /** Takes a record, if there is room for one of its kind; it is written soon. */
  record(event: AuditEvent): void {
    const word = this.#room.wordOn(event, this.#components.clock.monotonicMs());
    if (word.isTaken) this.#take(word.event);
    else if (word.isNews) {
      const { caller, refusedBy = caller, address } = event;
      this.#tell({ messageId: 9060, insertionStrings: [refusedBy, address] });
    }
  }

  #take(event: AuditEvent): void {
    if (this.#waiting.length >= this.#config.auditRecordsWaitingMax) {
      this.#lostCount += 1;
      return;
    }
    const detail = event.detail.slice(0, detailCharsMax);
    this.#waiting.push({ ...event, detail, timeMs: this.#components.clock.nowMs() });
    this.#writing ??= this.#writeAll();
  }

  /**
   * The newest records that match, oldest of them first. Those that wait are written before.
   *
   * @throws AbortError once nobody waits for them any more
   */
  async query(query: AuditQuery, signal?: AbortSignal): Promise<AuditRecord[]> {
    await this.#writing;
    return this.#records.newest(
      (record) =>
        record.timeMs >= (query.sinceMs ?? 0) && !(query.refusedOnly && record.result === 'ok'),
      query.countMax,
      signal,
    );
  }

  /**
   * The whole trail, oldest first, after all that waits was written, and before it the anchor that it goes on
   * from. Where records go while they are read, another anchor stands for them.
   */
  async *read(): AsyncGenerator<TrailPart> {
    await this.#writing;
    const [anchor, rows] = await this.#beginning();
    if (anchor) yield { anchor };
    let last = anchor?.hash;
    for await (const record of rows) {
      const { hash, previousHash } = record;
      if (last !== undefined && previousHash !== last) {
        const now = await this.#anchor();
        const isOvertaken = now?.hash === previousHash && now?.serial !== anchor?.serial;
        if (now && isOvertaken) yield { anchor: now };
      }
      last = hash;
      yield { record };
    }
  }

  /** An anchor and the rows that go on from it: neither changed while the other was read. */
  async #beginning(): Promise<[AuditPlace | undefined, AsyncIterable<AuditRecord>]> {
    for (;;) {
      const anchor = await this.#anchor();
      const rows = this.#records.all();
      const first = await rows.next();
      const after = await this.#anchor();
      if (anchor?.serial === after?.serial) return [anchor, restOf(first, rows)];
      await rows.return(undefined);
    }
  }

  async #anchor(): Promise<AuditPlace | undefined> {
    return this.#components.store.records(keySpaces.auditAnchor).get(anchorKey);
  }

  async #readHead(): Promise<AuditPlace> {
    const newest = await this.#records.newestRow();
    // Of an older program: the chain begins with the next one.
    if (newest) return { serial: newest.serial, hash: newest.hash ?? noRecordHash };
    return (await this.#anchor()) ?? noPlace;
  }

  #recordDamage(): void {
    const detail = 'the state store was damaged: records before this one may be gone';
    this.record({ caller: '', address: '', method: 'audit-trail', result: 'lost', detail });
  }

  async #writeAll(): Promise<void> {
    // Let the calls of this moment come together in one batch.
    await Promise.resolve();
    while (this.#waiting.length > 0 || this.#toTell.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      let head = this.#head ?? (await this.#readHead());
      const changes = batch.flatMap((record) =>
        this.#records.append((serial) => {
          const next = chained({ serial, ...record }, head.hash);
          head = { serial, hash: next.hash };
          return next;
        }),
      );
      const isWritten = await this.#isWritten([...changes, ...this.#told()]);
      // Of a write that failed, a crash may still bring up what was written.
      this.#head = isWritten ? head : undefined;
      if (isWritten) this.#tellLost();
      else this.#lostCount += batch.length;
    }
    // In the same turn as the look above, so that no record is left without a writer.
    this.#writing = undefined;
  }

  async #isWritten(changes: readonly Change[]): Promise<boolean> {
    try {
      await this.#components.store.write(changes, { sync: true });
      return true;
    } catch (error) {
      // A full disk stops no call; how much it cost is told when there is room again.
      if (isErrorWithCode(error, 'DISK_FULL')) return false;
      throw error;
    }
  }

  /** Once a day: the trail grows for long. */
  #tellOver(): void {
    const { clock } = this.#components;
    if (clock.monotonicMs() - this.#toldOverAtMs < dayMs) return;
    this.#toldOverAtMs = clock.monotonicMs();
    const { auditRecordCountMax, auditKeptDays } = this.#config;
    const insertionStrings = [`${auditRecordCountMax}`, `${auditKeptDays}`];
    this.#tell({ messageId: 9061, insertionStrings });
  }

  #tell(facts: StatusFacts): void {
    if (!this.#components.status) return;
    this.#toTell.push(facts);
    this.#writing ??= this.#writeAll();
  }

  /** In the turn of their write, as serials of messages need it. */
  #told(): Change[] {
    const facts = this.#toTell;
    this.#toTell = [];
    return facts.flatMap((one) => this.#components.status?.message(one) ?? []);
  }

  #tellLost(): void {
    if (this.#lostCount === 0) return;
    const lostCount = this.#lostCount;
    this.#lostCount = 0;
    this.#components.logger.warn({ lostCount }, 'Audit records could not be kept');
    const detail = `${lostCount} records before this one could not be kept`;
    this.record({ caller: '', address: '', method: 'audit-trail', result: 'lost', detail });
  }
}

async function* restOf<Row>(first: IteratorResult<Row>, rows: AsyncGenerator<Row>) {
  if (!first.done) yield first.value;
  yield* rows;
}

const anchorKey = 'anchor';
const noPlace: AuditPlace = { serial: 0, hash: noRecordHash };

/** Above all that may have been told to others: of a store that was begun anew nobody knows how far that was. */
async function firstSerialAfterDamage(store: StateStore, nowMs: number): Promise<number> {
  for await (const [, row] of store
    .records(keySpaces.auditRecords)
    .list({ reverse: true, limit: 1 })) {
    return row.serial + serialsAfterDamage;
  }
  return nowMs;
}

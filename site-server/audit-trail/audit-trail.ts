import type { AuditRecord } from '../../shared/domain/audit-record.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { SerialTable } from '../../shared/state-store/serial-table.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** What the audit trail needs. */
export interface AuditTrailComponents {
  readonly store: StateStore;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
}

/** How the audit trail is tuned. */
export interface AuditTrailConfig {
  /** Records kept; the oldest go first. @default 100_000 */
  readonly auditRecordCountMax: number;
  /** Records that may wait to be written, so that a flood of refused calls costs bounded memory. */
  readonly auditRecordsWaitingMax: number;
}

export const defaultAuditTrailConfig: AuditTrailConfig = {
  auditRecordCountMax: 100_000,
  auditRecordsWaitingMax: 10_000,
};

/** Something that was called or refused, before it has a serial and a time. */
export type AuditEvent = Omit<AuditRecord, 'serial' | 'timeMs'>;

/** Which records are wanted; what is absent does not matter. */
export interface AuditQuery {
  readonly sinceMs?: number;
  /** Only calls that did not end well. */
  readonly refusedOnly?: boolean;
  /** At most so many, the newest. */
  readonly countMax: number;
}

/** A record's text is kept no longer than this. */
const detailCharsMax = 1_024;

type WaitingRecord = Omit<AuditRecord, 'serial'>;

/**
 * Keeps who called what, with which result (ADM-5). The RPC server hands it every changing call and
 * every refusal; records are written a little later, many in one synced batch, so that no call
 * waits for its record. Writes the table "audit records"; a crash loses at most the records of the
 * last moment, never one that was listed.
 */
export class AuditTrail implements Component {
  readonly #components: AuditTrailComponents;
  readonly #config: AuditTrailConfig;
  readonly #records: SerialTable<AuditRecord>;
  #waiting: WaitingRecord[] = [];
  #lostCount = 0;
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
    const records = await SerialTable.open(
      { store: components.store, space: keySpaces.auditRecords },
      { rowCountMax: config.auditRecordCountMax },
    );
    return new AuditTrail(components, config, records);
  }

  async start(): Promise<void> {
    await this.#records.start();
  }

  /** Writes what waits, then ends. */
  async stop(): Promise<void> {
    await this.#writing;
    await this.#records.stop();
  }

  /** Takes a record; it is written soon. */
  record(event: AuditEvent): void {
    if (this.#waiting.length >= this.#config.auditRecordsWaitingMax) {
      this.#lostCount += 1;
      return;
    }
    const detail = event.detail.slice(0, detailCharsMax);
    this.#waiting.push({ ...event, detail, timeMs: this.#components.clock.nowMs() });
    this.#writing ??= this.#writeAll();
  }

  /** The newest records that match, oldest of them first. Those that wait are written before. */
  async query(query: AuditQuery): Promise<AuditRecord[]> {
    await this.#writing;
    return this.#records.newest(
      (record) =>
        record.timeMs >= (query.sinceMs ?? 0) && !(query.refusedOnly && record.result === 'ok'),
      query.countMax,
    );
  }

  async #writeAll(): Promise<void> {
    // Let the calls of this moment come together in one batch.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      const changes = batch.flatMap((record) =>
        this.#records.append((serial) => ({ serial, ...record })),
      );
      const isWritten = await this.#isWritten(changes);
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

  #tellLost(): void {
    if (this.#lostCount === 0) return;
    const lostCount = this.#lostCount;
    this.#lostCount = 0;
    this.#components.logger.warn({ lostCount }, 'Audit records could not be kept');
    const detail = `${lostCount} records before this one could not be kept`;
    this.record({ caller: '', address: '', method: 'audit-trail', result: 'lost', detail });
  }
}

import type { Component } from '../runtime/component.ts';
import type { KeySpace } from './key-space.ts';
import { joinKey } from './key-space.ts';
import type { RecordStore } from './record-store.ts';
import type { SerialCounter } from './serial-counter.ts';
import type { Change, StateStore } from './state-store.ts';

/** Rows deleted in one batch, so that trimming a long table never holds up other writes. */
const trimBatchCount = 1_000;

/** What a serial table needs. */
export interface SerialTableComponents<Row> {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly space: KeySpace<Row>;
  /** The only counter of the table. */
  readonly counter: SerialCounter;
}

/** How a serial table is tuned. */
export interface SerialTableConfig {
  /** Rows kept; the oldest go first, in the background, so that there may be a few more. */
  readonly rowCountMax: number;
}

/** A table that only grows at its end, with its oldest rows cut off: what happened, in order. */
export class SerialTable<Row extends { readonly serial: number }> implements Component {
  readonly #store: Pick<StateStore, 'records' | 'write'>;
  readonly #records: RecordStore<Row>;
  readonly #counter: SerialCounter;
  readonly #config: SerialTableConfig;
  readonly #stopping = new AbortController();
  #trimming: Promise<void> | undefined;
  #addedCount = 0;

  constructor(components: SerialTableComponents<Row>, config: SerialTableConfig) {
    this.#store = components.store;
    this.#records = components.store.records(components.space);
    this.#counter = components.counter;
    this.#config = config;
  }

  /** Begins to cut off what is over the limit. */
  async start(): Promise<void> {
    this.#trimInBackground();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#trimming;
  }

  /** Put these in a batch and write it in the same turn: serials rise in the order of the writes. */
  append(toRow: (serial: number) => Row): Change[] {
    const { value, change } = this.#counter.next();
    this.#addedCount += 1;
    if (this.#addedCount >= trimBatchCount) this.#trimInBackground();
    return [change, this.#records.put(joinKey(value), toRow(value))];
  }

  /** The newest rows that match, at most so many, oldest of them first. */
  async newest(isWanted: (row: Row) => boolean, countMax: number): Promise<Row[]> {
    const rows: Row[] = [];
    for await (const [, row] of this.#records.list({ reverse: true })) {
      if (rows.length >= countMax) break;
      if (isWanted(row)) rows.push(row);
    }
    return rows.reverse();
  }

  #trimInBackground(): void {
    if (this.#trimming || this.#stopping.signal.aborted) return;
    this.#addedCount = 0;
    // A failure here is a failure of the store, of which every writer hears too.
    this.#trimming = this.#trim();
  }

  async #trim(): Promise<void> {
    const endKey = await this.#firstKeptKey();
    while (endKey !== undefined && !this.#stopping.signal.aborted) {
      const changes: Change[] = [];
      for await (const [key] of this.#records.list({ lt: endKey, limit: trimBatchCount })) {
        changes.push(this.#records.delete(key));
      }
      if (changes.length > 0) await this.#store.write(changes, { sync: false });
      if (changes.length < trimBatchCount) break;
    }
    this.#trimming = undefined;
  }

  /** Serials may have gaps, so this keeps at most as many rows as the limit says. */
  async #firstKeptKey(): Promise<string | undefined> {
    for await (const [, row] of this.#records.list({ reverse: true, limit: 1 })) {
      return joinKey(Math.max(0, row.serial - this.#config.rowCountMax + 1));
    }
    return undefined;
  }
}

import { isErrorWithCode } from '../domain/errors.ts';
import { throwIfAborted } from '../runtime/abort-error.ts';
import type { Component } from '../runtime/component.ts';
import type { KeySpace } from './key-space.ts';
import { joinKey } from './key-space.ts';
import type { RecordStore } from './record-store.ts';
import { SerialCounter } from './serial-counter.ts';
import type { Change, StateStore } from './state-store.ts';

/** Rows deleted in one batch, so that trimming a long table never holds up other writes. */
const trimBatchCount = 1_000;

/** What a serial table needs. */
export interface SerialTableComponents<Row> {
  readonly store: StateStore;
  readonly space: KeySpace<Row>;
  /** What is written in one batch with the end of rows that are cut off, the newest of them given. */
  readonly onCutOff?: (newest: Row) => readonly Change[];
}

/** How a serial table is tuned. */
export interface SerialTableConfig<Row> {
  /** Rows kept; the oldest go first, in the background, so that there may be a few more. */
  readonly rowCountMax: number;
  /** Rows over the limit stay while this says so of the oldest of them. @default all may go */
  readonly mayGo?: (row: Row) => boolean;
  /** Told when rows over the limit stay; again each time that it is looked at. */
  readonly onKeptOver?: () => void;
  /** Serials go on above this one. @default 0 */
  readonly serialsAbove?: number;
}

/** A table that only grows at its end, with its oldest rows cut off: what happened, in order. */
export class SerialTable<Row extends { readonly serial: number }> implements Component {
  readonly #store: StateStore;
  readonly #records: RecordStore<Row>;
  readonly #onCutOff: (newest: Row) => readonly Change[];
  readonly #counter: SerialCounter;
  readonly #config: SerialTableConfig<Row>;
  readonly #stopping = new AbortController();
  #trimming: Promise<void> | undefined;
  #addedCount = 0;

  private constructor(
    components: SerialTableComponents<Row>,
    counter: SerialCounter,
    config: SerialTableConfig<Row>,
  ) {
    this.#store = components.store;
    this.#records = components.store.records(components.space);
    this.#onCutOff = components.onCutOff ?? (() => []);
    this.#counter = counter;
    this.#config = config;
  }

  /** Opens the table; only one object may write to it. */
  static async open<Row extends { readonly serial: number }>(
    components: SerialTableComponents<Row>,
    config: SerialTableConfig<Row>,
  ): Promise<SerialTable<Row>> {
    const { store, space } = components;
    // The rows themselves are asked too: a row is never overwritten, whatever the counter says.
    const newest = await newestRow(store.records(space));
    const atLeast = Math.max(newest?.serial ?? 0, config.serialsAbove ?? 0);
    const counter = await SerialCounter.open(store, space.name, { atLeast });
    return new SerialTable(components, counter, config);
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

  /** The newest row there is. */
  newestRow(): Promise<Row | undefined> {
    return newestRow(this.#records);
  }

  /** All rows there are now, oldest first; those that are added or cut off meanwhile do not matter. */
  async *all(): AsyncGenerator<Row> {
    for await (const [, row] of this.#records.list()) yield row;
  }

  /**
   * The newest rows that match, at most so many, oldest of them first. It may look at all there are.
   *
   * @throws AbortError once nobody waits for them any more
   */
  async newest(
    isWanted: (row: Row) => boolean,
    countMax: number,
    signal?: AbortSignal,
  ): Promise<Row[]> {
    const rows: Row[] = [];
    for await (const [, row] of this.#records.list({ reverse: true })) {
      throwIfAborted(signal);
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
    const { mayGo = () => true } = this.#config;
    while (endKey !== undefined && !this.#stopping.signal.aborted) {
      const changes: Change[] = [];
      let newest: Row | undefined;
      for await (const [key, row] of this.#records.list({ lt: endKey, limit: trimBatchCount })) {
        if (!mayGo(row)) {
          this.#config.onKeptOver?.();
          break;
        }
        changes.push(this.#records.delete(key));
        newest = row;
      }
      if (newest === undefined) break;
      const isWritten = await this.#isWritten([...changes, ...this.#onCutOff(newest)]);
      if (!isWritten || changes.length < trimBatchCount) break;
    }
    this.#trimming = undefined;
  }

  async #isWritten(changes: readonly Change[]): Promise<boolean> {
    try {
      await this.#store.write(changes, { sync: false });
      return true;
    } catch (error) {
      // A full disk: the next trim does what this one could not.
      if (isErrorWithCode(error, 'DISK_FULL')) return false;
      throw error;
    }
  }

  /** Serials may have gaps, so this keeps at most as many rows as the limit says. */
  async #firstKeptKey(): Promise<string | undefined> {
    const newest = await newestRow(this.#records);
    return newest && joinKey(Math.max(0, newest.serial - this.#config.rowCountMax + 1));
  }
}

async function newestRow<Row>(records: RecordStore<Row>): Promise<Row | undefined> {
  for await (const [, row] of records.list({ reverse: true, limit: 1 })) return row;
  return undefined;
}

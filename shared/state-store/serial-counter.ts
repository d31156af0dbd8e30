import { keySpaces } from './key-space.ts';
import type { Change, StateStore } from './state-store.ts';

/** Gives out serial numbers, 1, 2, 3 …; none twice, also after a crash. Gaps are possible. */
export class SerialCounter {
  readonly #store: StateStore;
  readonly #name: string;
  #last: number;

  private constructor(store: StateStore, name: string, last: number) {
    this.#store = store;
    this.#name = name;
    this.#last = last;
  }

  /**
   * One counter for each name and process.
   *
   * @param options.atLeast the highest number known to be used; for tables that can outlive the
   *   counter, such as packages read back from the content library after the store was lost
   */
  static async open(
    store: StateStore,
    name: string,
    options: { atLeast?: number } = {},
  ): Promise<SerialCounter> {
    const last = (await store.records(keySpaces.counters).get(name)) ?? 0;
    const counter = new SerialCounter(store, name, Math.max(last, options.atLeast ?? 0));
    // What made the caller say so may be forgotten at the next start.
    if (counter.#last > last) await store.write([counter.#change()], { sync: true });
    return counter;
  }

  /**
   * The next number; `change` must be in the batch that first uses it.
   *
   * @param options.above the highest number known to be used by now
   */
  next(options: { above?: number } = {}): { readonly value: number; readonly change: Change } {
    this.#last = Math.max(this.#last, options.above ?? 0) + 1;
    return { value: this.#last, change: this.#change() };
  }

  /** Writes the newest number when it is written: batches may come in another order than numbers. */
  #change(): Change {
    const newest = () => this.#last;
    return {
      ...this.#store.records(keySpaces.counters).put(this.#name, this.#last),
      get value() {
        return newest();
      },
    };
  }
}

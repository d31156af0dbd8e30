import type { StateStore, WriteListener } from '../../../shared/state-store/state-store.ts';

const never = new Promise<never>(() => {});

/** A state store for one life of an agent: from its crash on nothing that life writes arrives. */
export class CrashingStore {
  readonly store: StateStore;
  readonly #unsubscribes: (() => void)[] = [];
  readonly #crashAt: number;
  readonly #isLastWritten: boolean;
  #writeCount = 0;
  #hasCrashed = false;

  /** @param crashAt the write at which it crashes, from 1; and whether that write is done */
  constructor(store: StateStore, crashAt = Number.POSITIVE_INFINITY, isLastWritten = false) {
    this.#crashAt = crashAt;
    this.#isLastWritten = isLastWritten;
    const methods: Partial<StateStore> = {
      records: (space) => store.records(space),
      write: (changes, options) =>
        this.#write(() => store.write(changes, { ...options, sync: false })),
      onWritten: (listener: WriteListener) => {
        const unsubscribe = store.onWritten((changes) => {
          if (!this.#hasCrashed) listener(changes);
        });
        this.#unsubscribes.push(unsubscribe);
        return unsubscribe;
      },
      settled: () => store.settled(),
    };
    this.store = methods as StateStore;
  }

  get hasCrashed(): boolean {
    return this.#hasCrashed;
  }

  crash(): void {
    this.#hasCrashed = true;
    for (const unsubscribe of this.#unsubscribes) unsubscribe();
  }

  /** What `work` gives while this life lasts. */
  async whileAlive<T>(work: () => Promise<T>): Promise<T> {
    if (this.#hasCrashed) return never;
    const result = await work();
    return this.#hasCrashed ? never : result;
  }

  async #write(write: () => Promise<void>): Promise<void> {
    if (this.#hasCrashed) return never;
    this.#writeCount += 1;
    if (this.#writeCount < this.#crashAt) return write();
    this.crash();
    if (this.#isLastWritten) await write();
    return never;
  }
}

import type { StateStore } from '../state-store/state-store.ts';

const never = new Promise<never>(() => {});

/**
 * A state store for one life of a program: from its crash on nothing that life writes arrives, and
 * it hears of nothing any more.
 */
export class CrashingStore {
  readonly store: StateStore;
  readonly #unsubscribes: (() => void)[] = [];
  #writesLeft = Number.POSITIVE_INFINITY;
  #isLastWritten = false;
  #hasCrashed = false;

  constructor(store: StateStore) {
    const write: StateStore['write'] = (changes, options) =>
      this.#write(() => store.write(changes, { ...options, sync: false }));
    const onWritten: StateStore['onWritten'] = (listener) => {
      const unsubscribe = store.onWritten((changes, told) => {
        if (!this.#hasCrashed) listener(changes, told);
      });
      this.#unsubscribes.push(unsubscribe);
      return unsubscribe;
    };
    const methods: Partial<StateStore> = {
      records: (space) => store.records(space),
      write,
      onWritten,
      settled: () => store.settled(),
    };
    this.store = methods as StateStore;
  }

  get hasCrashed(): boolean {
    return this.#hasCrashed;
  }

  /** Crashes at the write so many writes from now, which is done or not done. */
  crashAt(writesLeft: number, isLastWritten: boolean): void {
    this.#writesLeft = writesLeft;
    this.#isLastWritten = isLastWritten;
  }

  /** No crash is due any more. */
  spare(): void {
    this.#writesLeft = Number.POSITIVE_INFINITY;
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
    this.#writesLeft -= 1;
    if (this.#writesLeft > 0) return write();
    this.crash();
    if (this.#isLastWritten) await write();
    return never;
  }
}

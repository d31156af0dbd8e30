import { isAbortError } from '../../shared/runtime/abort-error.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/**
 * The rows that changed since somebody last asked, each once: a slow watcher costs one name for
 * each row, not one for each change.
 */
export class ChangedKeys implements Disposable {
  readonly #keys = new Set<string>();
  readonly #wake = new WakeSignal();
  readonly #unsubscribe: () => void;

  /** @param keyOf names the row a change touches; undefined when nobody watches it */
  constructor(store: Pick<StateStore, 'onWritten'>, keyOf: (change: Change) => string | undefined) {
    this.#unsubscribe = store.onWritten((changes) => {
      for (const change of changes) {
        const key = keyOf(change);
        if (key !== undefined) this.add(key);
      }
    });
  }

  /** Counts a row as changed for another reason than a write. */
  add(key: string): void {
    this.#keys.add(key);
    this.#wake.wake();
  }

  /** The rows changed since the last call; waits for the first. None: the signal has fired. */
  async next(signal: AbortSignal): Promise<string[]> {
    try {
      while (this.#keys.size === 0) await this.#wake.wait(signal);
    } catch (error) {
      if (isAbortError(error)) return [];
      throw error;
    }
    const keys = [...this.#keys];
    this.#keys.clear();
    return keys;
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
  }
}

import { AbortError, throwIfAborted } from './abort-error.ts';

/**
 * Wakes a component's loop. Calls before and between waits are kept as one, so that a change that
 * comes while the loop works is never missed.
 */
export class WakeSignal {
  #isSet = false;
  #waiters = new Set<() => void>();

  /** Ends the present wait of everybody, or the next wait of one. */
  wake(): void {
    if (this.#waiters.size === 0) this.#isSet = true;
    for (const resolve of this.#waiters) resolve();
    this.#waiters.clear();
  }

  /**
   * Resolves at once when woken since the last wait, else at the next call of `wake`.
   *
   * @throws AbortError as soon as the signal fires
   */
  async wait(signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    if (this.#isSet) {
      this.#isSet = false;
      return;
    }
    await this.#nextWake(signal);
  }

  #nextWake(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const woken = () => {
        signal?.removeEventListener('abort', aborted);
        resolve();
      };
      const aborted = () => {
        this.#waiters.delete(woken);
        reject(new AbortError(undefined, { cause: signal?.reason }));
      };
      this.#waiters.add(woken);
      signal?.addEventListener('abort', aborted, { once: true });
    });
  }
}

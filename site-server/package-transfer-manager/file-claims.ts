/**
 * Which transfer brings which file to one DP, so that two packages that share a file send it once.
 * In memory: after a restart the DP is inspected again.
 */
export class FileClaims {
  readonly #ownerOf = new Map<string, object>();
  readonly #waiters = new Set<() => void>();

  /** 'mine': this transfer is to send the file, which nobody had in hand before. */
  claim(hash: string, owner: object): 'mine' | 'already-mine' | 'others' {
    const current = this.#ownerOf.get(hash);
    if (current === undefined) {
      this.#ownerOf.set(hash, owner);
      return 'mine';
    }
    return current === owner ? 'already-mine' : 'others';
  }

  /** The transfer ended: whatever it had in hand is free. */
  releaseAll(owner: object): void {
    for (const [hash, current] of this.#ownerOf) {
      if (current === owner) this.#ownerOf.delete(hash);
    }
    this.#wake();
  }

  /**
   * Resolves when a transfer has let go of its files since the call.
   *
   * @throws the signal's reason
   */
  async someReleased(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => {
        this.#waiters.delete(wake);
        reject(signal.reason);
      };
      const wake = () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiters.add(wake);
    });
  }

  #wake(): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }
}

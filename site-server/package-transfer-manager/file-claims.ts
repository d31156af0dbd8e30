/**
 * Which transfer brings which file to one DP, so that two packages that share a file send it once.
 * A file stays claimed until its transfer ends: let go of earlier, one that stands twice in a content,
 * or in another whose DP was asked before, would be sent twice. In memory: after a restart the DP is
 * inspected again.
 */
export class FileClaims {
  /** By the first digits of the hash: see `keyOf`. */
  readonly #ownerOf = new Map<number, object>();
  readonly #waiters = new Set<() => void>();
  #releaseCount = 0;

  /** How many times files were let go of so far. */
  get releaseCount(): number {
    return this.#releaseCount;
  }

  /** 'mine': this transfer is to send the file, which nobody had in hand before. */
  claim(hash: string, owner: object): 'mine' | 'already-mine' | 'others' {
    const key = keyOf(hash);
    const current = this.#ownerOf.get(key);
    if (current === undefined) {
      this.#ownerOf.set(key, owner);
      return 'mine';
    }
    return current === owner ? 'already-mine' : 'others';
  }

  /** The transfer ended: whatever it had in hand is free. */
  releaseAll(owner: object): void {
    for (const [key, current] of this.#ownerOf) {
      if (current === owner) this.#ownerOf.delete(key);
    }
    this.#wake();
  }

  /**
   * Resolves when a transfer has let go of its files since `releaseCount` was this.
   *
   * @throws the signal's reason
   */
  async someReleased(sinceCount: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#releaseCount > sinceCount) return;
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
    this.#releaseCount += 1;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }
}

/**
 * A million claims cost what they weigh: 52 bits are enough to tell files apart, and should two be
 * the same for all that, the DP misses one at the commit, and it is sent then.
 */
function keyOf(hash: string): number {
  return Number.parseInt(hash.slice(0, 13), 16);
}

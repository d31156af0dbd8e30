/** Tells the time one waits for a DP from the time one waits for this side, such as for a limit. */
export class PeerWait {
  #count = 0;
  #isWaiting = false;

  /** Work that is the DP's to do. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#begin();
    try {
      return await work();
    } finally {
      this.#isWaiting = false;
    }
  }

  /** The same messages: the DP is waited for from each one until the next is asked for. */
  async *betweenEach<T>(messages: AsyncIterable<T>): AsyncGenerator<T, void> {
    for await (const message of messages) {
      this.#begin();
      yield message;
      this.#isWaiting = false;
    }
    // For its answer to them all.
    this.#begin();
  }

  /** The same only as long as one wait for the DP goes on. */
  progressCount(): number {
    if (!this.#isWaiting) this.#count += 1;
    return this.#count;
  }

  #begin(): void {
    this.#count += 1;
    this.#isWaiting = true;
  }
}

/** Runs asynchronous work one after another, in the order it was given: one writer at a time. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` when all work given before has ended, and ends as it ends. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    // A failure belongs to its caller; the next work runs all the same.
    this.#last = result.catch(() => {});
    return result;
  }

  /** Resolves when all work given so far has ended. */
  async whenIdle(): Promise<void> {
    await this.#last;
  }
}

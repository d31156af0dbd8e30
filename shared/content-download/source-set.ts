import type { PullSource } from '../domain/pull-source.ts';

/**
 * The sources of one download. Whoever runs it changes them while it runs: the site names more, or
 * an administrator takes one away.
 */
export class SourceSet {
  #sources: readonly PullSource[];
  readonly #listeners = new Set<() => void>();

  constructor(sources: readonly PullSource[]) {
    this.#sources = sources;
  }

  get sources(): readonly PullSource[] {
    return this.#sources;
  }

  /** From now on these. A download that waits for a source goes on; those that only failed count again. */
  set(sources: readonly PullSource[]): void {
    this.#sources = sources;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Calls the listener after each `set`, until the result is called. */
  onChanged(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

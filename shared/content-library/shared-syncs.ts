import type { SyncResult } from './sync-shell.ts';

interface SharedSync {
  readonly result: Promise<SyncResult>;
  /** Its end, well or not. */
  readonly over: Promise<void>;
  hasBegun: boolean;
}

/**
 * One sync of a file system at a time. Those who come while one runs share the next: it begins after
 * all that they have written.
 */
export class SharedSyncs {
  readonly #sync: (directory: string) => Promise<SyncResult>;
  /** By directory: the last one that was asked for and is not over. */
  readonly #last = new Map<string, SharedSync>();

  constructor(sync: (directory: string) => Promise<SyncResult>) {
    this.#sync = sync;
  }

  /** How a sync ended that began after this was called. */
  sync(directory: string): Promise<SyncResult> {
    const last = this.#last.get(directory);
    if (last && !last.hasBegun) return last.result;
    const result = (last?.over ?? Promise.resolve()).then(() => {
      next.hasBegun = true;
      return this.#sync(directory);
    });
    const over = result.then(noop, noop).then(() => {
      if (this.#last.get(directory) === next) this.#last.delete(directory);
    });
    const next: SharedSync = { result, over, hasBegun: false };
    this.#last.set(directory, next);
    return result;
  }
}

function noop(): void {}

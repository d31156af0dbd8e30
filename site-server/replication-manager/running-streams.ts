import { throwIfAborted } from '../../shared/runtime/abort-error.ts';

/** A stream that runs, or is about to. */
interface RunningStream {
  readonly stop: AbortController;
  readonly ended: Promise<void>;
}

/** The streams with neighbours, one with each. */
export class RunningStreams {
  readonly #streams = new Map<string, RunningStream>();

  /** Runs one stream with a neighbour: a newer one ends the older one first. */
  async alone(
    siteCode: string,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    for (let older = this.#streams.get(siteCode); older; older = this.#streams.get(siteCode)) {
      older.stop.abort();
      await older.ended;
    }
    throwIfAborted(signal);
    const stop = new AbortController();
    const running = work(AbortSignal.any([signal, stop.signal]));
    const stream = { stop, ended: running.catch(() => {}) };
    this.#streams.set(siteCode, stream);
    try {
      await running;
    } finally {
      if (this.#streams.get(siteCode) === stream) this.#streams.delete(siteCode);
    }
  }

  /** Ends the streams of sites that are no neighbours any more. */
  endUnless(isNeighbour: (siteCode: string) => boolean): void {
    for (const [siteCode, { stop }] of this.#streams) if (!isNeighbour(siteCode)) stop.abort();
  }

  /** Resolves when all that run have ended. */
  async ended(): Promise<void> {
    await Promise.all([...this.#streams.values()].map(({ ended }) => ended));
  }
}

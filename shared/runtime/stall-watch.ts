import { isAbortError, workIsOver } from './abort-error.ts';

export interface StallWatchOptions {
  readonly signal: AbortSignal;
  /** How long may pass without progress. */
  readonly stallMs: number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** A number that grows whenever something was achieved. */
  readonly progressCount: () => number;
  readonly toFailure: () => Error;
}

/**
 * Runs work that may take for ever as long as it gets on: a stream has no deadline, but a peer that
 * is connected and does nothing must not hold it.
 *
 * @param work ends when its signal fires, with the signal's reason
 */
export async function unlessStalled<T>(
  work: (signal: AbortSignal) => Promise<T>,
  options: StallWatchOptions,
): Promise<T> {
  const stalled = new AbortController();
  const over = new AbortController();
  const watching = watch(options, over.signal, () => stalled.abort(options.toFailure()));
  try {
    return await work(AbortSignal.any([options.signal, stalled.signal]));
  } finally {
    over.abort(workIsOver);
    await watching;
  }
}

async function watch(
  { signal, stallMs, sleep, progressCount }: StallWatchOptions,
  over: AbortSignal,
  onStalled: () => void,
): Promise<void> {
  const either = AbortSignal.any([signal, over]);
  try {
    for (let before = -1; before !== progressCount(); ) {
      before = progressCount();
      await sleep(stallMs, either);
    }
    onStalled();
  } catch (error) {
    if (!isAbortError(error)) throw error;
  }
}

/** Work ended because it was no longer wanted: not logged as an error, never retried. */
export class AbortError extends Error {
  constructor(message = 'The work was aborted', options?: ErrorOptions) {
    super(message, options);
    this.name = 'AbortError';
  }
}

/**
 * A reason for signals that fire at the ordinary end of something, and so thousands of times: the
 * platform's own costs a stack each time.
 */
export const workIsOver = new AbortError('The work is over');

/** Whether this says that work was aborted, ours or the platform's. */
export function isAbortError(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

/** @throws AbortError when the signal has fired, whatever reason it was given */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortError(undefined, { cause: signal.reason });
}

/** For `.catch`: that work was aborted is no failure here; anything else is thrown on. */
export function ignoreAbort(error: unknown): void {
  if (!isAbortError(error)) throw error;
}

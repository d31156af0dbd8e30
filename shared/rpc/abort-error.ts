/** An `AbortError`: somebody on our side wanted the work to end; not a failure. */
export function abortError(cause?: unknown): Error {
  const error = new Error('The call was cancelled', { cause });
  error.name = 'AbortError';
  return error;
}

/** The `AbortError` of a signal that was aborted. */
export function abortErrorOf(signal: AbortSignal): Error {
  const { reason } = signal;
  return reason instanceof Error && reason.name === 'AbortError' ? reason : abortError(reason);
}

/** Whether an error says that work was aborted. */
export function isAbortError(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

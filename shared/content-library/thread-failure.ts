import { type ErrorDetails, WaybillError } from '../domain/errors.ts';
import { AbortError, isAbortError } from '../runtime/abort-error.ts';

/** A failure on its way from one thread to another, where classes do not survive. */
export interface ThreadFailure {
  readonly details?: ErrorDetails;
  readonly isAbort: boolean;
  readonly message: string;
  readonly stack: string;
  /** Of the operating system, such as ENOENT. */
  readonly systemCode?: string;
}

/** What of a failure the other thread has to know. */
export function toThreadFailure(error: unknown): ThreadFailure {
  const cause = error instanceof Error ? error : new Error(String(error));
  const systemCode = (cause as NodeJS.ErrnoException).code;
  return {
    isAbort: isAbortError(cause),
    message: cause.message,
    stack: cause.stack ?? '',
    ...(error instanceof WaybillError
      ? { details: error.details }
      : typeof systemCode === 'string' && { systemCode }),
  };
}

/** The failure again, to be thrown here. */
export function fromThreadFailure(failure: ThreadFailure): Error {
  if (failure.details) return new WaybillError(failure.details);
  if (failure.isAbort) return new AbortError(failure.message);
  const error = new Error(failure.message);
  error.stack = failure.stack;
  return failure.systemCode ? Object.assign(error, { code: failure.systemCode }) : error;
}

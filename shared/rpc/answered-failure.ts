import { status } from '@grpc/grpc-js';
import { WaybillError } from '../domain/errors.ts';
import { isAbortError } from '../runtime/abort-error.ts';
import type { CallStatus } from './call-failure.ts';
import { toErrorTrailers } from './error-detail.ts';
import { grpcStatusOf } from './status-codes.ts';

/** How a call that failed is answered. */
export interface AnsweredFailure {
  /** The error code, for the audit trail. */
  readonly result: string;
  /** What the caller gets. */
  readonly status: Partial<CallStatus>;
}

/** Statuses of calls that were refused by what they asked for: nothing was changed, so no method answers so once it has. */
const refusals: ReadonlySet<status | undefined> = new Set([
  status.PERMISSION_DENIED,
  status.UNAUTHENTICATED,
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.ALREADY_EXISTS,
  status.FAILED_PRECONDITION,
]);

/** Whether a call that failed so may have done what it was for, or some of it: cut short, or without an answer. */
export function mayHaveActed({ status: { code } }: AnsweredFailure): boolean {
  return !refusals.has(code);
}

/**
 * What the caller of a failed call gets: code and facts of a failure that was expected; of a fault of
 * ours, which goes to `onFault`, nothing.
 */
export function toAnsweredFailure(
  error: unknown,
  onFault: (error: unknown) => void,
): AnsweredFailure {
  if (error instanceof WaybillError) {
    const metadata = toErrorTrailers(error);
    const code = grpcStatusOf[error.code];
    return { result: error.code, status: { code, details: error.message, metadata } };
  }
  if (isAbortError(error)) {
    return { result: 'CANCELLED', status: { code: status.CANCELLED, details: 'cancelled' } };
  }
  onFault(error);
  return { result: 'INTERNAL', status: { code: status.INTERNAL, details: 'internal error' } };
}

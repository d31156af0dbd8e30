import { type Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { WaybillError } from '../domain/errors.ts';
import { isCutOff, reasonOfLostConnection } from './connection-failure.ts';
import { fromErrorTrailers } from './error-detail.ts';
import { messageBytesMax } from './rpc-limits.ts';

/** The call a failure belongs to. */
export interface CallFacts {
  /** The peer in words, such as "DP PS1DP1". */
  readonly peer: string;
  readonly address: string;
  /** Full method. */
  readonly method: string;
  /** 0 when the call has none. */
  readonly deadlineMs: number;
}

/** How a call ended, as gRPC says it. */
export interface CallStatus {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

/** Whether an error is gRPC's own account of how a call ended. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'metadata' in error && 'details' in error;
}

/**
 * The failure of a call in our words: the code and facts the peer sent, else what the status alone
 * allows to say. The status text is the peer's, or gRPC's, and is never passed on.
 */
export function toCallFailure(ended: CallStatus, call: CallFacts): WaybillError {
  return fromErrorTrailers(ended.metadata) ?? failureOfStatus(ended, call);
}

/** Whether a call failed since the agent of the peer is of a version that has no such method. */
export function isUnknownMethod(error: unknown): boolean {
  const details = error instanceof WaybillError ? error.details : undefined;
  return details?.code === 'PEER_FAILED' && details.reason.startsWith(unknownMethodReason);
}

const unknownMethodReason = 'it does not know ';

function failureOfStatus(ended: CallStatus, call: CallFacts): WaybillError {
  const { peer, method, deadlineMs } = call;
  if (isCutOff(ended.details)) return unreachable(ended, call);
  switch (ended.code) {
    case status.DEADLINE_EXCEEDED:
      return new WaybillError({ code: 'DEADLINE_EXCEEDED', peer, method, deadlineMs });
    case status.UNAVAILABLE:
    // A server that is stopped by force resets its streams: nobody else cancels a call of ours.
    case status.CANCELLED:
      return unreachable(ended, call);
    case status.RESOURCE_EXHAUSTED:
      return new WaybillError({
        code: 'MESSAGE_INVALID',
        field: `message of ${method}`,
        expected: `at most ${messageBytesMax} bytes`,
        actual: 'more',
      });
    case status.UNIMPLEMENTED:
      return failed(peer, `${unknownMethodReason}${method}; its version may be older or newer`);
    default:
      return failed(peer, `it answered ${method} with ${status[ended.code] ?? 'no status'}`);
  }
}

function unreachable({ details }: CallStatus, { peer, address }: CallFacts): WaybillError {
  const reason = reasonOfLostConnection(details);
  return new WaybillError({ code: 'PEER_UNREACHABLE', peer, address, reason });
}

function failed(peer: string, reason: string): WaybillError {
  return new WaybillError({ code: 'PEER_FAILED', peer, reason });
}

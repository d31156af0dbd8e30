import type { WaitingReason } from '../../shared/domain/distribution-job.ts';
import { type ErrorCode, WaybillError } from '../../shared/domain/errors.ts';

/** What a failed run means for its job. */
export interface JobFailure {
  readonly kind: 'retry' | 'superseded';
  readonly waitingReason: WaitingReason;
  readonly reason: string;
  /** Room the DP needs before the next try makes sense; 0 when that is not the matter. */
  readonly neededBytes: number;
}

const unreachable: readonly ErrorCode[] = [
  'PEER_UNREACHABLE',
  'PEER_IDENTITY_MISMATCH',
  'DEADLINE_EXCEEDED',
];

const contentNotHere: readonly ErrorCode[] = ['CONTENT_NOT_HELD', 'FILE_NOT_HELD'];

/**
 * Classifies what ended a run, whatever it was. Everything may be tried again, except a job the DP has seen a newer
 * one for: whatever was wrong can be put right by somebody, and the job says what it is.
 *
 * @param remainingBytes what the run had still to bring, as far as it came to know
 */
export function toJobFailure(error: unknown, remainingBytes: number): JobFailure {
  const reason = error instanceof Error ? error.message : String(error);
  const failure = { kind: 'retry', reason, neededBytes: 0 } as const;
  const code = error instanceof WaybillError ? error.code : undefined;
  if (code === undefined) return { ...failure, waitingReason: 'retry-at' };
  if (code === 'ACTION_SUPERSEDED') {
    return { ...failure, kind: 'superseded', waitingReason: 'retry-at' };
  }
  if (unreachable.includes(code)) return { ...failure, waitingReason: 'dp-unreachable' };
  if (contentNotHere.includes(code)) return { ...failure, waitingReason: 'content-not-here' };
  if (error instanceof WaybillError && error.details.code === 'DISK_FULL') {
    // A try that only asked for room knows no more than what it asked for.
    const neededBytes = Math.max(remainingBytes, error.details.neededBytes, 1);
    return { ...failure, waitingReason: 'disk-full-at-dp', neededBytes };
  }
  return { ...failure, waitingReason: 'retry-at' };
}

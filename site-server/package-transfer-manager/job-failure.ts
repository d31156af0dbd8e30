import type { WaitingReason } from '../../shared/domain/distribution-job.ts';
import { type ErrorCode, WaybillError } from '../../shared/domain/errors.ts';

/** What a failed run means for its job. */
export interface JobFailure {
  readonly kind: 'retry' | 'superseded';
  readonly waitingReason: WaitingReason;
  readonly reason: string;
}

/** Not DEADLINE_EXCEEDED: that DP is connected, so its return would be seen at once, for ever. */
const unreachable: readonly ErrorCode[] = ['PEER_UNREACHABLE', 'PEER_IDENTITY_MISMATCH'];

const contentNotHere: readonly ErrorCode[] = ['CONTENT_NOT_HELD', 'FILE_NOT_HELD'];

/**
 * Classifies what ended a run, whatever it was. Everything may be tried again, except a job the DP
 * has seen a newer one for: whatever was wrong can be put right by somebody, and the job says what
 * it is.
 */
export function toJobFailure(error: unknown): JobFailure {
  const reason = error instanceof Error ? error.message : String(error);
  const failure = { kind: 'retry', reason } as const;
  const code = error instanceof WaybillError ? error.code : undefined;
  if (code === undefined) return { ...failure, waitingReason: 'retry-at' };
  if (code === 'ACTION_SUPERSEDED') {
    return { ...failure, kind: 'superseded', waitingReason: 'retry-at' };
  }
  if (unreachable.includes(code)) return { ...failure, waitingReason: 'dp-unreachable' };
  if (contentNotHere.includes(code)) return { ...failure, waitingReason: 'content-not-here' };
  if (code === 'PULL_SOURCES_MISSING') return { ...failure, waitingReason: 'no-source' };
  if (code === 'DISK_FULL') return { ...failure, waitingReason: 'disk-full-at-dp' };
  return { ...failure, waitingReason: 'retry-at' };
}

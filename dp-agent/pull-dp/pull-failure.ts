import { type ErrorCode, WaybillError } from '../../shared/domain/errors.ts';
import { toSystemReason } from '../../shared/runtime/system-reason.ts';

/** What the failure of a run means for its job. */
export type PullFailure =
  /** It was aborted or has ended; whoever did that knows why. */
  | { readonly kind: 'over' }
  /** The site has begun something newer with the package. */
  | { readonly kind: 'superseded'; readonly error: WaybillError }
  /** Something here has to be looked at again: a file was lost meanwhile, the agent was restarted. */
  | { readonly kind: 'again'; readonly error: WaybillError }
  /** Somebody has to make room; then it goes on. */
  | { readonly kind: 'wait'; readonly error: WaybillError }
  /** Nobody can mend it but the site, with another job. */
  | { readonly kind: 'failed'; readonly error: WaybillError };

const kinds: Partial<Record<ErrorCode, 'superseded' | 'again' | 'wait'>> = {
  ACTION_SUPERSEDED: 'superseded',
  ACTION_NOT_BEGUN: 'again',
  CONTENT_INCOMPLETE: 'again',
  CONTENT_NOT_HELD: 'again',
  CONTENT_HASH_MISMATCH: 'again',
  MANIFEST_INVALID: 'again',
  FILE_NOT_HELD: 'again',
  FILE_NOT_WANTED: 'again',
  FILE_HASH_MISMATCH: 'again',
  DISK_FULL: 'wait',
  PULL_SOURCES_EXHAUSTED: 'wait',
};

/** Classifies what ended a run that nobody aborted. @throws the error itself when it is a bug */
export function toPullFailure(error: unknown): PullFailure {
  if (error instanceof WaybillError) return { kind: kinds[error.code] ?? 'failed', error };
  if (!isOfSystem(error)) throw error;
  // A disk with a fault: an agent that ended on it would end again and again, and serve nobody.
  const facts = { peer: 'this distribution point', reason: toSystemReason(error) };
  return { kind: 'again', error: new WaybillError({ code: 'PEER_FAILED', ...facts }) };
}

/** Whether the operating system refused something, such as EIO; Node's own codes are ERR_…. */
function isOfSystem(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^E[A-Z0-9]+$/.test(String(error.code));
}

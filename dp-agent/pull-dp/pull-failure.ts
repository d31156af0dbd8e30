import { type ErrorCode, WaybillError } from '../../shared/domain/errors.ts';

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
  if (!(error instanceof WaybillError)) throw error;
  return { kind: kinds[error.code] ?? 'failed', error };
}

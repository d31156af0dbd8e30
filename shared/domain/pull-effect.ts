import type { DistributionJob, WaitingReason } from './distribution-job.ts';
import { type ErrorDetails, WaybillError } from './errors.ts';
import type { PullResponse } from './state-message.ts';

/** What a pull DP said of a job, in a state message or when it was asked; then it has no place. */
export type PullWord = Pick<
  PullResponse,
  | 'jobSerial'
  | 'packageId'
  | 'dpId'
  | 'state'
  | 'doneBytes'
  | 'totalBytes'
  | 'receivedBytes'
  | 'packageHash'
  | 'error'
  | 'source'
  | 'warnings'
> &
  Partial<Pick<PullResponse, 'place'>>;

/** What it means for the job. */
export type PullEffect =
  /** The DP has the job and works on it, or waits and says why. */
  | { readonly kind: 'goes-on'; readonly waitingReason?: WaitingReason; readonly reason: string }
  | { readonly kind: 'complete'; readonly verifiedHash: string }
  /** A try has failed. */
  | { readonly kind: 'failed-try'; readonly error: WaybillError }
  /** The DP does not have the job any more, though it is wanted still. */
  | { readonly kind: 'notify-again' };

/** @param expectedHash of the package, which a success must name; undefined when nobody knows it */
export function pullEffectOf(word: PullWord, expectedHash: string | undefined): PullEffect {
  switch (word.state) {
    case 'started':
    case 'progress':
    case 'downloaded':
      return { kind: 'goes-on', reason: '' };
    case 'warning':
      return warned(word.error);
    case 'failure':
      return { kind: 'failed-try', error: new WaybillError(word.error ?? unexplained(word)) };
    case 'cancelled':
      return { kind: 'notify-again' };
    case 'success':
      return succeeded(word, expectedHash);
  }
}

/** The job's byte counts after what the DP said; what it did not know yet stays. */
export function withBytesOf(job: DistributionJob, word: PullWord): DistributionJob {
  const { totalBytes, doneBytes, receivedBytes } = word;
  const isKnown = totalBytes > 0 && doneBytes <= totalBytes;
  return {
    ...job,
    ...(isKnown && { totalBytes, remainingBytes: totalBytes - doneBytes }),
    bytesSent: Math.max(job.bytesSent, receivedBytes),
  };
}

function warned(error: ErrorDetails | undefined): PullEffect {
  const reason = error ? new WaybillError(error).message : '';
  // A source less is no wait: the others go on.
  if (!error || error.code === 'PULL_SOURCE_LIED') return { kind: 'goes-on', reason };
  return { kind: 'goes-on', waitingReason: waitingReasonOf(error), reason };
}

function waitingReasonOf({ code }: ErrorDetails): WaitingReason {
  if (code === 'DISK_FULL') return 'disk-full-at-dp';
  if (code === 'CONTENT_WINDOW_CLOSED') return 'window-closed';
  return code === 'PULL_SOURCES_EXHAUSTED' ? 'no-source' : 'retry-at';
}

function succeeded(word: PullWord, expectedHash: string | undefined): PullEffect {
  const { packageHash: actualHash, packageId: contentId } = word;
  if (actualHash === expectedHash && actualHash !== '') {
    return { kind: 'complete', verifiedHash: actualHash };
  }
  const facts = { contentId, expectedHash: expectedHash ?? 'one that is not known', actualHash };
  const error = new WaybillError({ code: 'CONTENT_HASH_MISMATCH', ...facts });
  return { kind: 'failed-try', error };
}

function unexplained({ dpId }: PullWord): ErrorDetails {
  return { code: 'PEER_FAILED', peer: `distribution point ${dpId}`, reason: 'it did not say why' };
}

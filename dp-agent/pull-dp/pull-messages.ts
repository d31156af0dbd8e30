import type { ErrorDetails } from '../../shared/domain/errors.ts';
import type { PullJob } from '../../shared/domain/pull-job.ts';
import type { PullState } from '../../shared/domain/state-message.ts';
import type { StateMessageFacts } from '../state-reporter/state-message-outbox.ts';

/** Content bytes of a job, as far as they are known. */
export interface JobBytes {
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly receivedBytes: number;
}

/** How far a job is that nobody works at. */
export function bytesOfRow({ receivedBytes }: PullJob): JobBytes {
  return { doneBytes: 0, totalBytes: 0, receivedBytes };
}

/** Whole percent that are done, 0 while the total is unknown. */
export function percentOf({ doneBytes, totalBytes }: JobBytes): number {
  if (totalBytes <= 0) return 0;
  return Math.max(0, Math.min(100, Math.floor((100 * doneBytes) / totalBytes)));
}

/** What a state message says, besides what every message says. */
export interface MessageExtras {
  readonly packageHash?: string;
  readonly error?: ErrorDetails;
  readonly source?: string;
}

/** A state message on a job. */
export function messageOf(
  job: PullJob,
  state: PullState,
  bytes: JobBytes,
  { packageHash = '', error, source = '' }: MessageExtras = {},
): StateMessageFacts {
  const isDone = state === 'downloaded' || state === 'success';
  return {
    packageId: job.packageId,
    jobSerial: job.jobSerial,
    sourceVersion: job.version.sourceVersion,
    state,
    percent: isDone ? 100 : percentOf(bytes),
    ...bytes,
    packageHash,
    ...(error && { error }),
    source,
  };
}

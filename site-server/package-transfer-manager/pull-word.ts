import { parseHash } from '../../shared/domain/content.ts';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { PullWord } from '../../shared/domain/pull-effect.ts';
import type { PullState } from '../../shared/domain/state-message.ts';
import { fromErrorDetail } from '../../shared/rpc/error-detail.ts';
import type { StateReport__Output } from '../../shared/rpc/generated/waybill/v1/StateReport.ts';

const states: Readonly<Record<string, PullState>> = {
  PULL_JOB_STATE_NOT_STARTED: 'started',
  PULL_JOB_STATE_DOWNLOADING_SIGNATURE: 'progress',
  PULL_JOB_STATE_SIGNATURE_DOWNLOADED: 'progress',
  PULL_JOB_STATE_DOWNLOADING: 'progress',
  PULL_JOB_STATE_DOWNLOADED: 'downloaded',
  PULL_JOB_STATE_SI_APPLIED: 'downloaded',
  PULL_JOB_STATE_SUCCEEDED: 'success',
  PULL_JOB_STATE_FAILED: 'failure',
  PULL_JOB_STATE_CANCELLED: 'cancelled',
};

/**
 * What a pull DP answered when it was asked for a job, as if it had said it by itself; undefined when
 * it says nothing that is known here.
 *
 * @param report undefined when the DP does not know the job
 */
export function toPullWord(
  { jobSerial, packageId, dpId }: DistributionJob,
  report: StateReport__Output | undefined,
): PullWord | undefined {
  const state = report ? stateOf(report) : 'cancelled';
  if (state === undefined) return undefined;
  const error = report?.error ? fromErrorDetail(report.error)?.details : undefined;
  return {
    jobSerial,
    packageId,
    dpId,
    state,
    doneBytes: countOf(report?.doneBytes),
    totalBytes: countOf(report?.totalBytes),
    receivedBytes: countOf(report?.receivedBytes),
    packageHash: parseHash(Buffer.from(report?.packageHash ?? []).toString('hex')) ?? '',
    ...(error && { error }),
    source: '',
    warnings: error && state === 'warning' ? [{ error, source: '' }] : [],
  };
}

/** A DP that works, and says an error with that, waits for something. */
function stateOf(report: StateReport__Output): PullState | undefined {
  const state = Object.hasOwn(states, report.state) ? states[report.state] : undefined;
  const isWorking = state === 'started' || state === 'progress' || state === 'downloaded';
  return isWorking && report.error ? 'warning' : state;
}

/** What cannot be counted is not known. */
function countOf(text: string | undefined): number {
  const count = Number(text ?? 0);
  return Number.isSafeInteger(count) && count >= 0 ? count : 0;
}

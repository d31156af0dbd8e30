/**
 * One run of a validation: asks the DP to read a package again, and hears how far it is, until it reports.
 * Called by the job runner; stores nothing. When this call ends the DP stops, and keeps its place: the
 * next run of the same job goes on there.
 */
import type { ValidationReport } from '../../shared/domain/content-validation.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { invalidMessage } from '../../shared/package-info/package-version.ts';
import { requireReport } from '../../shared/package-info/validation-report-message.ts';
import type { ValidationProgress__Output } from '../../shared/rpc/generated/waybill/v1/ValidationProgress.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { unlessStalled } from '../../shared/runtime/stall-watch.ts';
import type { DistributionPointConnections } from '../distribution-point-connections/distribution-point-connections.ts';
import type { JobRun } from './job-run.ts';

export interface ValidationRunNeeds {
  readonly connections: Pick<DistributionPointConnections, 'channelTo'>;
  readonly clock: Pick<Clock, 'sleep'>;
}

/** A DP tells how far it is every second: one that says nothing for so long is lost. */
const stallMs = 60_000;

/**
 * @returns what the DP found
 * @throws PEER_…, DEADLINE_EXCEEDED when the DP is lost; MESSAGE_INVALID; ACTION_SUPERSEDED; AbortError
 */
export async function validateAtDp(
  { connections, clock }: ValidationRunNeeds,
  { job, dp, progress, signal, onBegun }: JobRun,
): Promise<ValidationReport> {
  const { packageId, jobSerial, dpId, validation } = job;
  const request = {
    action: { packageId, jobSerial },
    bytesPerSecond: validation?.bytesPerSecond ?? 0,
  };
  // What earlier runs have read counts as done already.
  const knownBytes = Math.max(0, job.totalBytes - job.remainingBytes);
  let wordCount = 0;
  const read = async (until: AbortSignal): Promise<ValidationReport> => {
    const words = connections.channelTo(dp).serverStream('validate', request, { signal: until });
    let before = knownBytes;
    for await (const word of words) {
      if (wordCount === 0) await onBegun();
      wordCount += 1;
      if (word.report) return requireReport(word.report);
      if (word.progress) before = tell(word.progress, before);
    }
    throw invalidMessage('body', 'a report, as the last message', 'none');
  };
  const tell = (told: ValidationProgress__Output, before: number): number => {
    const [doneBytes, totalBytes] = [Number(told.doneBytes), Number(told.totalBytes)];
    if (progress.expectedBytes === 0 && totalBytes > 0) progress.expect(totalBytes - knownBytes);
    if (doneBytes > before) progress.acknowledged(doneBytes - before);
    return Math.max(before, doneBytes);
  };
  return await unlessStalled(read, {
    signal,
    stallMs,
    sleep: (ms, until) => clock.sleep(ms, until),
    progressCount: () => wordCount,
    toFailure: () => {
      const peer = `distribution point ${dpId}`;
      return new WaybillError({
        code: 'DEADLINE_EXCEEDED',
        ...{ peer, method: 'Validate', deadlineMs: stallMs },
      });
    },
  });
}

import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { isValidation } from '../../shared/domain/validation-places.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';

/** 8204: the DP has taken the job, sending begins; 2380 of a validation. */
export function beginMessages(status: StatusReporter, job: DistributionJob): Change[] {
  const messageId = isValidation(job) ? 2380 : 8204;
  return status.message({ messageId, insertionStrings: strings(job), ...attributes(job) });
}

/** 8203: a try failed. How a validation goes, its result tells. */
export function retryMessages(status: StatusReporter, job: DistributionJob): Change[] {
  if (isValidation(job)) return [];
  return failure(status, job);
}

/** 8211, 8212: why a job for a pull DP is not handed to it yet. @param limit jobs a pull DP has at most */
export function waitMessages(
  status: StatusReporter,
  job: DistributionJob,
  wait: { readonly reason: 'capacity' | 'no-source'; readonly limit: number },
): Change[] {
  const messageId = wait.reason === 'capacity' ? 8211 : 8212;
  const insertionStrings = [...strings(job), String(wait.limit)];
  return status.message({ messageId, insertionStrings, ...attributes(job) });
}

/** 9003 of a source that lied, 9004 of anything else that a pull DP warns of. */
export function warningMessages(
  status: StatusReporter,
  job: DistributionJob,
  warning: { readonly source: string; readonly reason: string; readonly isLie: boolean },
): Change[] {
  const { source, reason, isLie } = warning;
  const messageId = isLie ? 9003 : 9004;
  const insertionStrings = [...strings(job), ...(isLie ? [source, reason] : [reason])];
  return status.message({ messageId, insertionStrings, ...attributes(job) });
}

/** 8200 and 8210 when content was brought, 8203 when the job has failed for good. */
export function endMessages(status: StatusReporter, job: DistributionJob): Change[] {
  if (isValidation(job)) return [];
  if (job.state === 'failed') return failure(status, job);
  if (job.state !== 'complete' || job.action === 'remove') return [];
  return ([8200, 8210] as const).flatMap((messageId) =>
    status.message({ messageId, insertionStrings: strings(job), ...attributes(job) }),
  );
}

function failure(status: StatusReporter, job: DistributionJob): Change[] {
  const insertionStrings = [...strings(job), job.reason];
  return status.message({ messageId: 8203, insertionStrings, ...attributes(job) });
}

function strings({ packageId, sourceVersion, dpId }: DistributionJob): string[] {
  return [packageId, String(sourceVersion), dpId];
}

function attributes({ packageId, sourceVersion, dpId }: DistributionJob) {
  return { packageId, sourceVersion, dpId };
}

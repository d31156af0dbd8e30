import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';

/** 8204: the DP has taken the job, sending begins. */
export function beginMessages(status: StatusReporter, job: DistributionJob): Change[] {
  return status.message({ messageId: 8204, insertionStrings: strings(job), ...attributes(job) });
}

/** 8203: a try failed. */
export function retryMessages(status: StatusReporter, job: DistributionJob): Change[] {
  return failure(status, job);
}

/** 8200 and 8210 when content was brought, 8203 when the job has failed for good. */
export function endMessages(status: StatusReporter, job: DistributionJob): Change[] {
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

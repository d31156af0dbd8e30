import { type DistributionJob, reporting } from '../../shared/domain/distribution-job.ts';
import type { SteeringVerb } from '../../shared/domain/job-steering.ts';
import { isValidation } from '../../shared/domain/validation-places.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';

/** 8204: the DP has taken the job, sending begins; 2380 of a validation. */
export function beginMessages(status: StatusReporter, job: DistributionJob): Change[] {
  const messageId = isValidation(job) ? 2380 : 8204;
  return status.message({ messageId, insertionStrings: strings(job), ...attributes(job) });
}

/** 8203, or 9048 of a removal: a try failed. How a validation goes, its result tells. */
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

/**
 * What is told of a job whose try failed, and the job that remembers it: 9045 of a `cancel` that its DP has
 * not heard, and 8212 of a job without a source, once; 8203, or 9048, of any other, while that is news.
 */
export function retryReport(
  status: StatusReporter,
  waiting: DistributionJob,
  isNews: boolean,
): { readonly told: DistributionJob; readonly messages: Change[] } {
  if (waiting.action === 'cancel') {
    const report = reporting(waiting, 'unheard');
    return { told: report.job, messages: report.isNews ? unheardMessages(status, waiting) : [] };
  }
  if (waiting.waitingReason !== 'no-source') {
    return { told: waiting, messages: isNews ? retryMessages(status, waiting) : [] };
  }
  const report = reporting(waiting, 'no-source');
  const wait = { reason: 'no-source', limit: 0 } as const;
  return { told: report.job, messages: report.isNews ? waitMessages(status, waiting, wait) : [] };
}

/** 9040 to 9044: what an administrator did to a job. */
export function steeringMessages(
  status: StatusReporter,
  job: DistributionJob,
  verb: SteeringVerb,
): Change[] {
  const messageId = steeringIds[verb];
  const insertionStrings = [...strings(job), String(job.jobSerial)];
  return status.message({ messageId, insertionStrings, ...attributes(job) });
}

/** 9045: the DP of a `cancel` has not heard it yet; it is told when it answers. */
export function unheardMessages(status: StatusReporter, order: DistributionJob): Change[] {
  const insertionStrings = [...strings(order), String(order.cancels ?? 0)];
  return status.message({ messageId: 9045, insertionStrings, ...attributes(order) });
}

/** 9046: the DP has heard that this job was cancelled. */
export function confirmedMessages(status: StatusReporter, job: DistributionJob): Change[] {
  const insertionStrings = [...strings(job), String(job.jobSerial)];
  return status.message({ messageId: 9046, insertionStrings, ...attributes(job) });
}

const steeringIds = {
  move: 9040,
  suspend: 9041,
  resume: 9042,
  run: 9043,
  cancel: 9044,
} as const satisfies Record<SteeringVerb, number>;

/** 8200 and 8210 when content was brought, 8203 or 9048 when the job has failed for good. */
export function endMessages(status: StatusReporter, job: DistributionJob): Change[] {
  if (isValidation(job)) return [];
  if (job.state === 'failed') return failure(status, job);
  if (job.state !== 'complete' || job.action === 'remove' || job.action === 'cancel') return [];
  return ([8200, 8210] as const).flatMap((messageId) =>
    status.message({ messageId, insertionStrings: strings(job), ...attributes(job) }),
  );
}

function failure(status: StatusReporter, job: DistributionJob): Change[] {
  const insertionStrings = [...strings(job), job.reason];
  const messageId = job.action === 'remove' ? 9048 : 8203;
  return status.message({ messageId, insertionStrings, ...attributes(job) });
}

function strings({ packageId, sourceVersion, dpId }: DistributionJob): string[] {
  return [packageId, String(sourceVersion), dpId];
}

function attributes({ packageId, sourceVersion, dpId }: DistributionJob) {
  return { packageId, sourceVersion, dpId };
}

import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { SteeringVerb } from '../../shared/domain/job-steering.ts';
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

/** 9045, 9046: whether the DP has heard that a job was cancelled. */
export function confirmationMessages(status: StatusReporter, job: DistributionJob): Change[] {
  const messageId = job.cancellation?.isConfirmed ? 9046 : 9045;
  const insertionStrings = [...strings(job), String(job.jobSerial)];
  return status.message({ messageId, insertionStrings, ...attributes(job) });
}

const steeringIds = {
  move: 9040,
  suspend: 9041,
  resume: 9042,
  run: 9043,
  cancel: 9044,
} as const satisfies Record<SteeringVerb, number>;

/** 8200 and 8210 when content was brought, 8203 when the job has failed for good. */
export function endMessages(status: StatusReporter, job: DistributionJob): Change[] {
  if (job.state === 'failed') return failure(status, job);
  if (job.state !== 'complete' || job.action === 'remove' || job.action === 'cancel') return [];
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

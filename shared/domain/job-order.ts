import type { DistributionJob } from './distribution-job.ts';

/** What of a job settles its place in the queue. */
export type JobPlace = Pick<DistributionJob, 'priority' | 'dpPriority' | 'order' | 'jobSerial'>;

/**
 * Order of the queue (PTM-3): package priority, DP priority, administrator's order, age.
 * @see the seeds' "Concurrent distribution settings"
 */
export function compareJobs(a: JobPlace, b: JobPlace): number {
  return (
    a.priority - b.priority ||
    a.dpPriority - b.dpPriority ||
    a.order - b.order ||
    a.jobSerial - b.jobSerial
  );
}

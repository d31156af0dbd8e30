import type { DistributionJob } from './distribution-job.ts';
import { compareJobs, type JobPlace } from './job-order.ts';
import { SortedList } from './sorted-list.ts';

/** Jobs in the order of the queue, kept in it change by change. */
export class JobList extends SortedList<DistributionJob, JobPlace> {
  constructor() {
    super(compareJobs);
  }
}

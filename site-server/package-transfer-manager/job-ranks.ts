import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { Priority } from '../../shared/domain/package.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { OpenJobs } from './open-jobs.ts';

type Rows = Pick<StateStore, 'records'>;

/** A DP's place in the queue: pinned, or tuned; undefined when nobody has pinned or met it. */
async function dpPriorityOf(store: Rows, dpId: string): Promise<number | undefined> {
  const point = await store.records(keySpaces.distributionPoints).get(dpId);
  if (point?.pinnedPriority !== undefined) return point.pinnedPriority;
  return (await store.records(keySpaces.distributionPointHealth).get(dpId))?.dpPriority;
}

/** Ranks the open jobs of DPs as these are now. @returns those that stand elsewhere */
export async function reprioritised(
  store: Rows,
  open: Pick<OpenJobs, 'at' | 'set'>,
  dpIds: Iterable<string>,
): Promise<DistributionJob[]> {
  const moved: DistributionJob[] = [];
  for (const dpId of new Set(dpIds)) {
    const dpPriority = await dpPriorityOf(store, dpId);
    for (const job of open.at(dpId)) {
      const next = withRank(job, { dpPriority });
      if (next === job) continue;
      open.set(next);
      moved.push(next);
    }
  }
  return moved;
}

/** What settles where a job stands in the queue, besides what was said of the job itself. */
export interface JobRank {
  readonly priority?: Priority | undefined;
  readonly dpPriority: number | undefined;
}

/** As its package and its DP are now (PTM-3); undefined: nothing is known of them. */
export async function rankOf(store: Rows, { packageId, dpId }: DistributionJob): Promise<JobRank> {
  const sitePackage = await store.records(keySpaces.packages).get(packageId);
  const dpPriority = await dpPriorityOf(store, dpId);
  return { priority: sitePackage?.properties.priority, dpPriority };
}

/** The job with this rank; the very same when it has it. */
export function withRank(job: DistributionJob, rank: JobRank): DistributionJob {
  const { priority = job.priority, dpPriority = job.dpPriority } = rank;
  if (priority === job.priority && dpPriority === job.dpPriority) return job;
  return { ...job, priority, dpPriority };
}

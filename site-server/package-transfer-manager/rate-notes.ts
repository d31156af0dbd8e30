import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { JobTable } from './job-table.ts';

/** What noting a rate needs. */
export interface RateNotesNeeds {
  readonly hierarchy: Pick<HierarchyManager, 'recordTransferRate'>;
  readonly jobs: Pick<JobTable, 'reprioritise'>;
}

/** Less than this says nothing about the rate of a DP. */
const measuredBytesMin = 1_000_000;

/** A transfer went at a rate: the DP's place in the queue is tuned, for its open jobs, too (PTM-3). */
export async function noteRate(
  { hierarchy, jobs }: RateNotesNeeds,
  dpId: string,
  { sizeBytes, durationMs }: { readonly sizeBytes: number; readonly durationMs: number },
): Promise<void> {
  if (sizeBytes < measuredBytesMin || durationMs <= 0) return;
  await hierarchy.recordTransferRate(dpId, Math.round((sizeBytes * 1000) / durationMs));
  await jobs.reprioritise([dpId]);
}

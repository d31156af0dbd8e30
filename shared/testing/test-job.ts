import type { DistributionJob } from '../domain/distribution-job.ts';

/** A job as Distribution Manager makes it, with what a test says of it. */
export function testJob(facts: Partial<DistributionJob> = {}): DistributionJob {
  return {
    jobSerial: 1,
    packageId: 'PS100001',
    sourceVersion: 1,
    dpId: 'PS1DP1',
    action: 'add',
    state: 'pending',
    reason: '',
    priority: 2,
    dpPriority: 200,
    order: 0,
    createdAtMs: 1_000,
    startedAtMs: 0,
    updatedAtMs: 1_000,
    restartAtMs: 0,
    tryCount: 0,
    totalBytes: 0,
    remainingBytes: 0,
    bytesSent: 0,
    endedAtMs: 0,
    ...facts,
  };
}

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type DistributionJob, isRunning, type JobState } from '../domain/distribution-job.ts';
import { JobQueue, type QueuePlace, type QueueSurroundings } from '../domain/job-queue.ts';
import { testJob } from './test-job.ts';

/** When the queues of the tests decide. */
export const nowMs = 1_000_000;

/** Their limits. */
export const limits = { packagesMax: 3, distributionPointsPerPackageMax: 5 };

/** What is decided about these jobs, and where they stand once that is done. */
export function decideQueue(
  jobs: Iterable<DistributionJob>,
  some: typeof limits,
  atMs: number,
  surroundings: Omit<QueueSurroundings, 'limits'> = {},
) {
  const queue = new JobQueue({ limits: some, ...surroundings });
  for (const job of jobs) queue.set(job);
  const decision = queue.decide(atMs);
  for (const job of decision.start) queue.set({ ...job, state: 'started' });
  const waiting = new Map<number, QueuePlace>();
  for (const { jobSerial } of queue.waitingAfter(undefined, queue.waitingCount)) {
    waiting.set(jobSerial, queue.placeOf(jobSerial, atMs) ?? assert.fail());
  }
  return { ...decision, waiting };
}

/** Serials of the jobs that begin. */
export const startsOf = (jobs: DistributionJob[]) =>
  decideQueue(jobs, limits, nowMs).start.map(({ jobSerial }) => jobSerial);

const states: JobState[] = [
  'pending',
  'ready',
  'started',
  'in-progress',
  'pending-restart',
  'suspended',
  'complete',
];

/** Any jobs: not all that runs of them could run at once, see `withoutImpossibleRuns`. */
export const jobsArbitrary = fc
  .array(
    fc.record({
      packageId: fc.constantFrom('PS100001', 'PS100002', 'PS100003', 'PS100004', 'PS100005'),
      dpId: fc.constantFrom('A', 'B', 'C', 'D', 'E', 'F', 'G'),
      state: fc.constantFrom(...states),
      priority: fc.constantFrom(1 as const, 2 as const, 3 as const),
      dpPriority: fc.integer({ min: 1, max: 400 }),
      order: fc.integer({ min: -2, max: 2 }),
      restartAtMs: fc.constantFrom(0, nowMs, nowMs + 1, nowMs + 5_000),
    }),
    { maxLength: 60 },
  )
  .map((facts) => facts.map((fact, index) => testJob({ ...fact, jobSerial: index + 1 })));

/** Running jobs of a sound site: none over the limits, and none twice. */
export function withoutImpossibleRuns(jobs: DistributionJob[]): DistributionJob[] {
  const dpIdsOf = new Map<string, Set<string>>();
  return jobs.map((job) => {
    if (!isRunning(job)) return job;
    const dpIds = dpIdsOf.get(job.packageId) ?? new Set();
    const isNewPackage = dpIds.size === 0 && dpIdsOf.size >= limits.packagesMax;
    if (isNewPackage || dpIds.has(job.dpId) || dpIds.size >= 5) return { ...job, state: 'pending' };
    dpIdsOf.set(job.packageId, dpIds.add(job.dpId));
    return job;
  });
}

import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  decideQueue,
  jobsArbitrary,
  limits,
  nowMs,
  withoutImpossibleRuns,
} from '../testing/decided-queue.ts';
import { testJob } from '../testing/test-job.ts';
import { type DistributionJob, isRunning } from './distribution-job.ts';
import { type Priority, toPackageId } from './package.ts';

describe('job queue', () => {
  describe('when all places are taken', () => {
    const running = (jobSerial: number, priority: Priority, facts: Partial<DistributionJob> = {}) =>
      testJob({
        ...{ jobSerial, packageId: toPackageId('PS1', jobSerial), dpId: 'A', priority },
        ...{ state: 'in-progress', tryCount: 1, ...facts },
      });
    const pending = (jobSerial: number, priority: Priority, facts: Partial<DistributionJob> = {}) =>
      running(jobSerial, priority, { state: 'pending', tryCount: 0, ...facts });
    const giveWayOf = (...jobs: DistributionJob[]) =>
      decideQueue(jobs, limits, nowMs).giveWay.map(({ jobSerial }) => jobSerial);

    it('gives a higher priority the place of the lowest that runs (PTM-3)', () => {
      const jobs = [
        running(1, 2),
        running(2, 3),
        running(3, 3, { dpPriority: 150 }),
        pending(4, 1),
      ];
      const { start, giveWay, waiting } = decideQueue(jobs, limits, nowMs);
      assert.deepEqual([start, giveWay], [[], [jobs[1]]]);
      assert.deepEqual(waiting.get(4), { place: 1, waitingReason: 'slot' });
    });

    it('interrupts nobody for one of the same priority, or while a place is free (PTM-3)', () => {
      assert.deepEqual(giveWayOf(running(1, 1), running(2, 2), running(3, 2), pending(4, 2)), []);
      assert.deepEqual(giveWayOf(running(1, 3), running(2, 3), pending(4, 1)), []);
    });

    it('gives one place for all DPs of a package, and takes all that runs of another', () => {
      const big = ['A', 'B', 'C'].map((dpId, n) =>
        running(10 + n, 3, { packageId: 'PS1FFFFF', dpId }),
      );
      const urgent = ['A', 'B'].map((dpId, n) =>
        pending(20 + n, 1, { packageId: 'PS1FFFFE', dpId }),
      );
      const jobs = [running(1, 2), running(2, 2), ...big, ...urgent];
      assert.deepEqual(giveWayOf(...jobs), [10, 11, 12]);
    });

    it('takes no place for a job that cannot begin, or has tried in vain again and again', () => {
      const full = [running(1, 3), running(2, 3), running(3, 3)];
      const later = { restartAtMs: nowMs + 1, state: 'pending-restart' } as const;
      assert.deepEqual(giveWayOf(...full, pending(4, 1, later)), []);
      assert.deepEqual(giveWayOf(...full, pending(4, 1, { tryCount: 3 })), []);
      assert.deepEqual(giveWayOf(...full, pending(4, 1, { tryCount: 2 })), [3]);
      const opensAtMs = (job: DistributionJob) => (job.jobSerial === 4 ? undefined : nowMs);
      const closed = decideQueue([...full, pending(4, 1)], limits, nowMs, { opensAtMs });
      assert.deepEqual(closed.giveWay, []);
    });

    it('interrupts no removal', () => {
      const removal = { action: 'remove' } as const;
      const jobs = [running(1, 3, removal), running(2, 2), running(3, 3, removal), pending(4, 1)];
      assert.deepEqual(giveWayOf(...jobs), [2]);
    });

    it('comes to rest, with no place lost and nobody interrupted twice for one (PTM-3)', () => {
      fc.assert(
        fc.property(jobsArbitrary, (anyJobs) => {
          let jobs = withoutImpossibleRuns(anyJobs);
          const interrupted = new Set<number>();
          for (let round = 0; ; round++) {
            assert.ok(round < 100, 'it never comes to rest');
            const { start, giveWay } = decideQueue(jobs, limits, nowMs);
            if (start.length === 0 && giveWay.length === 0) return;
            for (const { jobSerial } of giveWay) {
              assert.ok(!interrupted.has(jobSerial), 'ping-pong');
              interrupted.add(jobSerial);
            }
            jobs = jobs.map((job) => {
              if (start.includes(job)) return { ...job, state: 'started' };
              if (!giveWay.includes(job)) return job;
              return { ...job, state: 'pending-restart', restartAtMs: 0 };
            });
            const packages = new Set(jobs.filter(isRunning).map(({ packageId }) => packageId));
            assert.ok(packages.size <= limits.packagesMax);
          }
        }),
      );
    });
  });
});

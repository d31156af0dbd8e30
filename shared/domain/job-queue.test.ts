import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  decideQueue,
  jobsArbitrary,
  limits,
  nowMs,
  startsOf,
  withoutImpossibleRuns,
} from '../testing/decided-queue.ts';
import { testJob } from '../testing/test-job.ts';
import { type DistributionJob, isRunning } from './distribution-job.ts';
import { compareJobs } from './job-order.ts';
import { toPackageId } from './package.ts';

describe('job queue', () => {
  it('orders by package priority, DP priority, order, age (PTM-3)', () => {
    const jobs = [
      testJob({ jobSerial: 1, priority: 3, dpPriority: 1 }),
      testJob({ jobSerial: 2, priority: 2, dpPriority: 300 }),
      testJob({ jobSerial: 3, priority: 2, dpPriority: 100, order: 1 }),
      testJob({ jobSerial: 4, priority: 2, dpPriority: 100 }),
      testJob({ jobSerial: 5, priority: 2, dpPriority: 100 }),
      testJob({ jobSerial: 6, priority: 1, dpPriority: 400 }),
    ];
    const order = jobs.sort(compareJobs).map(({ jobSerial }) => jobSerial);
    assert.deepEqual(order, [6, 4, 5, 3, 2, 1]);
  });

  it('sends three packages at once, each to five DPs (PTM-2)', () => {
    const jobs = ['PS100001', 'PS100002', 'PS100003', 'PS100004'].flatMap((packageId, group) =>
      ['A', 'B', 'C', 'D', 'E', 'F'].map((dpId, index) =>
        testJob({ packageId, dpId, jobSerial: group * 10 + index + 1 }),
      ),
    );
    assert.deepEqual(startsOf(jobs), [1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 21, 22, 23, 24, 25]);
    const { waiting } = decideQueue(jobs, limits, nowMs);
    assert.deepEqual(waiting.get(6), { place: 1, waitingReason: 'slot' });
    assert.deepEqual(waiting.get(36), { place: 9, waitingReason: 'slot' });
  });

  it('says why a job waits and when the next is due', () => {
    const jobs = [
      testJob({ jobSerial: 1, dpId: 'A', state: 'pending-restart', restartAtMs: nowMs + 9 }),
      testJob({
        jobSerial: 2,
        dpId: 'B',
        state: 'pending-restart',
        restartAtMs: nowMs + 7,
        waitingReason: 'dp-unreachable',
      }),
      testJob({ jobSerial: 3, dpId: 'C', state: 'suspended', restartAtMs: nowMs + 1 }),
    ];
    const decision = decideQueue(jobs, limits, nowMs);
    assert.deepEqual(decision.start, []);
    assert.deepEqual(
      [...decision.waiting.values()].map(({ waitingReason }) => waitingReason),
      ['retry-at', 'dp-unreachable', 'suspended'],
    );
    assert.equal(decision.nextDueMs, nowMs + 7);
  });

  it('has no moment to wait for when all that waits, waits for a slot', () => {
    const jobs = [
      testJob({ jobSerial: 1, state: 'started' }),
      testJob({ jobSerial: 2, state: 'pending' }),
    ];
    const decision = decideQueue(jobs, limits, nowMs);
    assert.equal(decision.nextDueMs, undefined);
    assert.deepEqual(decision.waiting.get(2), { place: 1, waitingReason: 'slot' });
  });

  it('never goes over a limit, starts no job twice, and forgets none', () => {
    fc.assert(
      fc.property(jobsArbitrary, (anyJobs) => {
        const jobs = withoutImpossibleRuns(anyJobs);
        const { start, waiting } = decideQueue(jobs, limits, nowMs);
        const active = [...jobs.filter(isRunning), ...start];
        const packageIds = new Set(active.map(({ packageId }) => packageId));
        assert.ok(packageIds.size <= 3);
        for (const packageId of packageIds) {
          const dpIds = active.flatMap((job) => (job.packageId === packageId ? [job.dpId] : []));
          assert.ok(dpIds.length <= 5);
          assert.equal(new Set(dpIds).size, dpIds.length);
        }
        for (const job of start) assert.ok(job.restartAtMs <= nowMs && !isRunning(job));
        const idle = jobs.filter((job) => !isRunning(job) && job.state !== 'complete');
        assert.equal(start.length + waiting.size, idle.length);
        assert.ok(start.every((job) => !waiting.has(job.jobSerial) && job.state !== 'suspended'));
      }),
    );
  });

  it('leaves no slot empty that a due job could have', () => {
    fc.assert(
      fc.property(jobsArbitrary, (anyJobs) => {
        const jobs = withoutImpossibleRuns(anyJobs);
        const { start, waiting, giveWay } = decideQueue(jobs, limits, nowMs);
        const active = [...jobs.filter(isRunning), ...start];
        const again = jobs.map((job) =>
          start.includes(job) ? { ...job, state: 'started' as const } : job,
        );
        assert.deepEqual(decideQueue(again, limits, nowMs).start, []);
        for (const [serial, { waitingReason }] of waiting) {
          if (waitingReason !== 'slot') continue;
          const job = jobs.find(({ jobSerial }) => jobSerial === serial)!;
          // What gives way takes no more places.
          if (giveWay.some(({ packageId }) => packageId === job.packageId)) continue;
          const ofPackage = active.filter(({ packageId }) => packageId === job.packageId);
          const packageCount = new Set(active.map(({ packageId }) => packageId)).size;
          assert.ok(
            ofPackage.length >= 5 ||
              ofPackage.some(({ dpId }) => dpId === job.dpId) ||
              (ofPackage.length === 0 && packageCount >= 3),
          );
        }
      }),
    );
  });

  describe('of ways that are closed', () => {
    const decide = (jobs: DistributionJob[], opensAt: Readonly<Record<string, number>>) =>
      decideQueue(jobs, limits, nowMs, { opensAtMs: ({ dpId }) => opensAt[dpId] });

    it('lets a job wait for the next opening, and no other with it (PTM-5)', () => {
      const jobs = ['A', 'B', 'C'].map((dpId, n) => testJob({ jobSerial: n + 1, dpId }));
      const opensAt = { A: nowMs + 3_600_000, B: nowMs };
      const { start, waiting, nextDueMs } = decide(jobs, opensAt);
      assert.deepEqual(
        start.map(({ dpId }) => dpId),
        ['B'],
      );
      const place = { place: 1, waitingReason: 'window-closed' } as const;
      assert.deepEqual(waiting.get(1), { ...place, opensAtMs: opensAt.A });
      assert.deepEqual(waiting.get(3), { ...place, place: 2 }, 'it never opens');
      assert.equal(nextDueMs, opensAt.A);
    });

    it('asks once for all jobs of a DP and a priority', () => {
      const asked: string[] = [];
      const opensAtMs = ({ dpId, priority }: DistributionJob) => {
        asked.push(`${dpId}/${priority}`);
        return dpId === 'A' ? undefined : nowMs + 1;
      };
      const jobs = Array.from({ length: 40 }, (_, n) => {
        const packageId = toPackageId('PS1', n);
        const priority = n % 4 < 2 ? 1 : 3;
        return testJob({ jobSerial: n + 1, packageId, dpId: n % 2 ? 'A' : 'B', priority });
      });
      const { waiting } = decideQueue(jobs, limits, nowMs, { opensAtMs });
      assert.equal(waiting.size, 40);
      assert.deepEqual(asked.sort(), ['A/1', 'A/3', 'B/1', 'B/3']);
    });

    it('begins a job that an administrator lets run, whatever the hour is (ADM-2)', () => {
      const job = testJob({ jobSerial: 1, dpId: 'A', ignoresWindow: true });
      assert.deepEqual(decide([job], { A: nowMs + 9_000 }).start, [job]);
    });

    it('names the time of the next try first, and lets a removal through', () => {
      const opensAt = { A: nowMs + 9_000 };
      const late = { state: 'pending-restart', restartAtMs: nowMs + 5_000 } as const;
      const removal = testJob({ jobSerial: 2, packageId: 'PS100002', dpId: 'A', action: 'remove' });
      const jobs = [testJob({ jobSerial: 1, dpId: 'A', ...late }), removal];
      const { start, waiting, nextDueMs } = decide(jobs, opensAt);
      assert.deepEqual(start, [removal]);
      assert.equal(waiting.get(1)?.waitingReason, 'retry-at');
      assert.equal(nextDueMs, nowMs + 5_000);
    });
  });
});

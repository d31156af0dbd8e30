import assert from 'node:assert/strict';
import { decideQueue, limits, nowMs } from '../testing/decided-queue.ts';
import { SeededRandom } from '../testing/seeded-random.ts';
import { testJob } from '../testing/test-job.ts';
import { type DistributionJob, isRunning, isWithPullDp } from './distribution-job.ts';
import { type Priority, toPackageId } from './package.ts';

describe('job queue', () => {
  describe('of pull DPs', () => {
    const isPullDp = (dpId: string) => dpId.startsWith('P');
    const pull = { isPullDp, notificationsMax: 20, jobsMax: 50 };
    const withDp = { state: 'in-progress', sendAction: 'PullQueryResultAction' } as const;
    const decide = (jobs: DistributionJob[]) => decideQueue(jobs, limits, nowMs, { pull });

    it('takes no slot of the others, and one notification a DP (PTM-2, PULL-2)', () => {
      const pushes = [1, 2, 3, 4].map((n) =>
        testJob({ jobSerial: n, packageId: `PS10000${n}`, dpId: 'S1' }),
      );
      const pulls = [5, 6].map((n) =>
        testJob({ jobSerial: n, packageId: `PS10000${n}`, dpId: 'P1' }),
      );
      const other = testJob({ jobSerial: 7, packageId: 'PS100009', dpId: 'P2' });
      const { start, waiting } = decide([...pushes, ...pulls, other]);
      assert.deepEqual(
        start.map(({ jobSerial }) => jobSerial),
        [1, 2, 3, 5, 7],
      );
      assert.equal(waiting.get(4)?.waitingReason, 'slot');
      assert.equal(waiting.get(6)?.waitingReason, 'slot');
    });

    it('notifies at most 20 DPs at once', () => {
      const jobs = Array.from({ length: 30 }, (_, n) =>
        testJob({ jobSerial: n + 1, packageId: 'PS100001', dpId: `P${n}` }),
      );
      const { start, waiting } = decide(jobs);
      assert.deepEqual([start.length, waiting.size], [20, 10]);
    });

    it('lets a job wait for capacity, and start as soon as one ends (PULL-2)', () => {
      const held = Array.from({ length: 50 }, (_, n) =>
        testJob({ jobSerial: n + 1, packageId: toPackageId('PS1', n + 1), dpId: 'P1', ...withDp }),
      );
      const next = testJob({ jobSerial: 51, packageId: 'PS1FFFFF', dpId: 'P1' });
      const removal = testJob({ ...next, jobSerial: 52, packageId: 'PS1FFFFE', action: 'remove' });
      const full = decide([...held, next, removal]);
      assert.equal(full.waiting.get(51)?.waitingReason, 'capacity');
      assert.deepEqual(full.start, [removal]);
      assert.equal(full.nextDueMs, undefined);
      assert.equal(full.waiting.size, 1, 'a job the DP has does not wait here');
      const { start } = decide([...held.slice(1), next]);
      assert.deepEqual(start, [next]);
    });

    it('lets jobs that wait for the hours of their DP stand in the way of no urgent one (PTM-5, PULL-2)', () => {
      const held = (count: number, facts: Partial<DistributionJob>) =>
        Array.from({ length: count }, (_, n) => {
          const packageId = toPackageId('PS1', n + 1);
          return testJob({ jobSerial: n + 1, packageId, dpId: 'P1', ...withDp, ...facts });
        });
      const next = { jobSerial: 999, packageId: 'PS1FFFFF', dpId: 'P1' };
      const reasonOf = (jobs: DistributionJob[], priority: Priority) =>
        decide([...jobs, testJob({ ...next, priority })]).waiting.get(999)?.waitingReason;
      const closed = { priority: 2, waitingReason: 'window-closed' } as const;
      assert.equal(reasonOf(held(50, closed), 1), undefined);
      assert.equal(reasonOf(held(50, closed), 2), 'capacity', 'of the same priority');
      assert.equal(reasonOf(held(50, { ...closed, waitingReason: 'no-source' }), 1), 'capacity');
      const urgent = held(49, { priority: 1 });
      assert.equal(reasonOf([...held(50, closed), ...urgent], 1), undefined);
      const filled = [...held(40, closed), ...held(50, { priority: 1 })];
      assert.equal(reasonOf(filled, 1), 'capacity', 'its own kind fills the DP');
      assert.equal(reasonOf(held(100, closed), 1), 'capacity', 'twice as many at most');
    });

    it('never passes any limit, and starves nobody (PULL-2, PTM-3)', () => {
      const random = new SeededRandom(11);
      const small = { isPullDp, notificationsMax: 4, jobsMax: 3 };
      const jobs = new Map<number, DistributionJob>();
      for (let serial = 1; serial <= 200; serial++) {
        const action = random.below(10) === 0 ? 'remove' : 'add';
        const packageId = toPackageId('PS1', serial);
        const priority = random.pick([1, 2, 3] as const);
        const dpId = random.pick(['P1', 'P2', 'P3', 'P4', 'P5', 'P6']);
        jobs.set(serial, testJob({ jobSerial: serial, packageId, dpId, action, priority }));
      }
      for (let step = 0; step < 5_000 && jobs.size > 0; step++) {
        for (const { jobSerial } of decideQueue(jobs.values(), limits, nowMs, { pull: small })
          .start) {
          const job = jobs.get(jobSerial) ?? assert.fail();
          jobs.set(jobSerial, { ...job, state: 'started' });
        }
        const all = [...jobs.values()];
        const running = all.filter(isRunning);
        assert.ok(running.length <= 4);
        for (const dpId of new Set(all.map((job) => job.dpId))) {
          const ofDp = all.filter((job) => job.dpId === dpId && job.action === 'add');
          assert.ok(ofDp.filter((job) => isRunning(job) || isWithPullDp(job)).length <= 3);
          assert.ok(ofDp.filter(isRunning).length <= 1);
        }
        const moving = all.filter((job) => isRunning(job) || isWithPullDp(job));
        assert.ok(moving.length > 0, 'something goes on');
        const job = random.pick(moving);
        if (isRunning(job) && job.action === 'add') jobs.set(job.jobSerial, { ...job, ...withDp });
        else jobs.delete(job.jobSerial);
      }
      assert.equal(jobs.size, 0);
    });

    it('decides about 2,000 jobs on 50 DPs in a moment (PULL-2)', () => {
      const jobs = Array.from({ length: 2_000 }, (_, n) =>
        testJob({ jobSerial: n + 1, packageId: toPackageId('PS1', n + 1), dpId: `P${n % 50}` }),
      );
      const beforeMs = performance.now();
      for (let round = 0; round < 20; round++) decide(jobs);
      const eachMs = (performance.now() - beforeMs) / 20;
      assert.ok(eachMs < 100, `${eachMs} ms`);
    });
  });
});

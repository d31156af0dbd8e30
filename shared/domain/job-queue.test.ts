import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SeededRandom } from '../testing/seeded-random.ts';
import { testJob } from '../testing/test-job.ts';
import {
  type DistributionJob,
  isRunning,
  isWithPullDp,
  type JobState,
} from './distribution-job.ts';
import { compareJobs } from './job-order.ts';
import { JobQueue, type QueuePlace, type QueueSurroundings } from './job-queue.ts';
import { type Priority, toPackageId } from './package.ts';

const nowMs = 1_000_000;
const limits = { packagesMax: 3, distributionPointsPerPackageMax: 5 };

/** What is decided about these jobs, and where they stand once that is done. */
function decideQueue(
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

const startsOf = (jobs: DistributionJob[]) =>
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

const jobsArbitrary = fc
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
function withoutImpossibleRuns(jobs: DistributionJob[]): DistributionJob[] {
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

  it('gives validations places of their own: one on each DP, and none of those that bring content', () => {
    const adding = ['A', 'B', 'C'].map((dpId, index) =>
      testJob({ jobSerial: index + 1, packageId: toPackageId('PS1', index + 1), dpId }),
    );
    const validating = ['A', 'A', 'B'].map((dpId, index) =>
      testJob({
        ...{ jobSerial: index + 10, packageId: toPackageId('PS1', index + 10), dpId },
        ...{ action: 'validate', priority: 3 },
      }),
    );
    assert.deepEqual(startsOf([...adding, ...validating]), [1, 2, 3, 10, 12]);
    const many = Array.from({ length: 30 }, (_, index) =>
      testJob({
        jobSerial: index + 1,
        packageId: 'PS100001',
        dpId: `DP${index}`,
        action: 'validate',
      }),
    );
    assert.equal(startsOf(many).length, 20);
  });

  describe('of words that a job was cancelled', () => {
    const cancelAt = (jobSerial: number, dpId: string, facts: Partial<DistributionJob> = {}) =>
      testJob({
        ...{ jobSerial, dpId, action: 'cancel', packageId: toPackageId('PS1', jobSerial) },
        ...facts,
      });
    const runningAt = (jobSerial: number, dpId: string, tryCount = 1) =>
      cancelAt(jobSerial, dpId, { state: 'started', tryCount });
    const range = (from: number, count: number) =>
      Array.from({ length: count }, (_, index) => from + index);

    it('lets none wait for a DP that is away (PKG-9)', () => {
      const dead = range(1, 100).map((n) => runningAt(n, `D${n % 25}`));
      const more = range(101, 100).map((n) => cancelAt(n, `D${n % 25}`, { dpPriority: 1 }));
      assert.ok(startsOf([...dead, ...more, cancelAt(999, 'LIVE')]).includes(999));
    });

    it('tells one DP of several at once', () => {
      const jobs = [runningAt(1, 'A'), ...range(2, 9).map((n) => cancelAt(n, 'A'))];
      const { start, waiting } = decideQueue(jobs, limits, nowMs);
      assert.equal(start.length, 7);
      assert.deepEqual(waiting.get(10), { place: 2, waitingReason: 'slot' });
    });

    it('tells one that has not answered of one at a time', () => {
      const failed = { state: 'pending-restart', tryCount: 1, restartAtMs: nowMs + 1 } as const;
      const fresh = range(2, 3).map((n) => cancelAt(n, 'A'));
      assert.deepEqual(startsOf([cancelAt(1, 'A', failed), ...fresh]), [2]);
      assert.deepEqual(startsOf([runningAt(1, 'A', 2), ...fresh]), []);
    });

    it('takes no slot of what brings content, and heeds no schedule', () => {
      const jobs = [...range(1, 8).map((n) => cancelAt(n, 'A')), testJob({ jobSerial: 9 })];
      assert.equal(startsOf(jobs).length, 9);
      const opensAtMs = () => undefined;
      assert.deepEqual(decideQueue(jobs.slice(0, 1), limits, nowMs, { opensAtMs }).start.length, 1);
    });
  });
});

import assert from 'node:assert/strict';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { reprioritised } from './job-ranks.ts';
import { OpenJobs } from './open-jobs.ts';

describe('open jobs', () => {
  const jobs = [
    testJob({ jobSerial: 1, packageId: 'PS100001', dpId: 'A', dpPriority: 300 }),
    testJob({ jobSerial: 2, packageId: 'PS100001', dpId: 'B', dpPriority: 200 }),
    testJob({ jobSerial: 3, packageId: 'PS100002', dpId: 'A', dpPriority: 300 }),
  ] as const;
  const serials = (some: readonly DistributionJob[]) => some.map(({ jobSerial }) => jobSerial);
  let open: OpenJobs;

  beforeEach(() => {
    open = new OpenJobs();
    for (const job of jobs) open.set(job);
  });

  it('are found by DP, by package, by what they are for, and in the order of the queue (PTM-3)', () => {
    assert.deepEqual(serials(open.inOrder(9)), [2, 1, 3]);
    assert.deepEqual(serials(open.at('A')), [1, 3]);
    assert.deepEqual(serials(open.ofPackage('PS100001')), [1, 2]);
    open.set({ ...jobs[0], priority: 1, state: 'started' });
    assert.deepEqual(serials(open.inOrder(9)), [1, 2, 3]);
    open.delete(jobs[0]);
    assert.deepEqual(serials(open.inOrder(9)), [2, 3]);
    assert.deepEqual(serials(open.at('A')), [3]);
    assert.deepEqual(serials(open.ofPackage('PS100001')), [2]);
    assert.deepEqual(serials(open.sameTargetAs(jobs[0])), []);
    assert.deepEqual(serials(open.inOrder(1, jobs[1])), [3], 'behind a place');
  });

  it('are told to who follows them: those there are, and each change', () => {
    const told = new Map<number, DistributionJob>();
    open.followedBy({
      set: (job) => told.set(job.jobSerial, job),
      delete: (jobSerial) => told.delete(jobSerial),
    });
    assert.deepEqual([...told.values()], jobs);
    open.set({ ...jobs[0], priority: 1 });
    open.delete(jobs[1]);
    assert.deepEqual([...told.values()], [...open.values()]);
  });

  it('of other DPs are not looked at when one is measured', async () => {
    await using directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    const { store } = await StateStore.open({ directory: directory.path, logger });
    const asked: string[] = [];
    const at = (dpId: string) => {
      asked.push(dpId);
      return open.at(dpId);
    };
    await reprioritised(store, { at, set: (job) => open.set(job) }, ['B', 'B']);
    assert.deepEqual(asked, ['B']);
    await store.close();
  });
});

import assert from 'node:assert/strict';
import { decideQueue, limits, nowMs, startsOf } from '../testing/decided-queue.ts';
import { testJob } from '../testing/test-job.ts';
import type { DistributionJob } from './distribution-job.ts';
import { toPackageId } from './package.ts';

describe('job queue', () => {
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

import assert from 'node:assert/strict';
import { addJob, letters, openBeforeEach, test } from './testing/transfers-ground.ts';

describe('Package Transfer Manager, of the order of jobs', () => {
  openBeforeEach({ standard: letters });

  it('takes jobs by package priority, DP priority, order and age (PTM-3)', async () => {
    await test.makeComponents({ packagesMax: 1, distributionPointsPerPackageMax: 1 });
    await addJob(1, { dpId: 'A', priority: 3 });
    await addJob(2, { dpId: 'B', priority: 2, dpPriority: 250 });
    await addJob(3, { dpId: 'C', priority: 2, dpPriority: 150, order: 1 });
    await addJob(4, { dpId: 'D', priority: 2, dpPriority: 150 });
    await addJob(5, { dpId: 'E', priority: 1, dpPriority: 400 });
    await test.manager.start();
    for (const serial of [5, 4, 3, 2, 1]) {
      await test.untilRunning(serial);
      test.runs.get(serial)?.finish('hash');
      await test.untilState(serial, 'complete');
    }
    assert.deepEqual(test.started, [5, 4, 3, 2, 1]);
  });

  it('puts an open job in its new place when the priority of its package changes (PTM-3)', async () => {
    await test.makeComponents({ packagesMax: 1, distributionPointsPerPackageMax: 1 });
    await addJob(1, { packageId: 'PS100001', dpId: 'A' });
    await addJob(2, { packageId: 'PS100002', dpId: 'B' });
    await addJob(3, { packageId: 'PS100003', dpId: 'C', priority: 3 });
    await test.manager.start();
    await test.untilRunning(1);
    await test.setPriority('PS100003', 1, 3);
    await test.until(() => test.manager.placeOf(3)?.place === 1);
    assert.equal((await test.row(3))?.priority, 1);
    test.runs.get(1)?.finish('hash');
    await test.untilRunning(3);
    assert.deepEqual(test.started, [1, 3]);
  });

  it('puts open jobs in their new place when a DP is measured, or its priority is pinned (PTM-3)', async () => {
    await test.makeComponents({ packagesMax: 1, distributionPointsPerPackageMax: 1 });
    for (const [index, dpId] of ['A', 'B', 'C', 'D'].entries()) await addJob(index + 1, { dpId });
    await test.manager.start();
    await test.untilRunning(1);
    await test.until(() => test.waitingCount === 3);
    await test.hierarchy.set({ dpId: 'D', pinnedPriority: 5 });
    await test.until(() => test.manager.placeOf(4)?.place === 1);
    // What another transfer to it tells.
    await test.hierarchy.recordTransferRate('C', 100_000_000);
    await test.jobs.reprioritise(['C']);
    assert.equal(test.jobs.get(3)?.dpPriority, 185);
    for (const serial of [1, 4, 3, 2]) {
      await test.untilRunning(serial);
      test.runs.get(serial)?.finish('hash');
      await test.untilState(serial, 'complete');
    }
    assert.deepEqual(test.started, [1, 4, 3, 2]);
  });

  it('knows after a restart where open jobs stand by now (PTM-3)', async () => {
    await test.makeComponents({ packagesMax: 1, distributionPointsPerPackageMax: 1 });
    await addJob(1, { dpId: 'A' });
    await addJob(2, { dpId: 'B' });
    await test.manager.start();
    await test.untilRunning(1);
    await test.until(() => test.jobs.get(2) !== undefined);
    await test.hierarchy.recordTransferRate('B', 100_000_000);
    await test.jobs.reprioritise(['B']);
    await test.manager.stop();
    await test.makeComponents({ packagesMax: 1, distributionPointsPerPackageMax: 1 });
    await test.manager.start();
    await test.untilRunning(2);
    assert.equal(test.jobs.get(2)?.dpPriority, 185);
  });
}).timeout(30_000);

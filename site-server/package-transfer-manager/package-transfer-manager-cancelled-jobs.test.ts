import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { peerFailed, siteDiskFull, unreachable } from './testing/test-transfers.ts';
import { addJob, letters, openBeforeEach, running, test } from './testing/transfers-ground.ts';

describe('Package Transfer Manager', () => {
  openBeforeEach({ standard: letters });

  describe('when a newer job takes over', () => {
    it('cancels the older one, waiting or running, and runs the newer', async () => {
      await test.manager.start();
      await addJob(1, { dpId: 'A' });
      await addJob(2, { dpId: 'B' });
      const [first, second] = await test.untilRunning(1, 2);
      second?.fail(peerFailed());
      await test.untilState(2, 'pending-restart');
      await addJob(3, { dpId: 'A', action: 'remove' });
      await addJob(4, { dpId: 'B', sourceVersion: 2 });
      await test.untilRunning(3, 4);
      assert.ok(first?.signal.aborted);
      for (const serial of [1, 2]) {
        const cancelled = await test.untilState(serial, 'cancelled');
        assert.equal(cancelled.reason, 'A newer job took over');
      }
    });

    it('cancels the older one that is heard of last', async () => {
      await addJob(2);
      await test.manager.start();
      await test.untilRunning(2);
      await addJob(1);
      await test.untilState(1, 'cancelled');
      assert.deepEqual(running(), [2]);
    });

    it('cancels the older one after a crash in between', async () => {
      await addJob(1);
      await addJob(2);
      for (const serial of [1, 2]) await dropNotifications(serial);
      await test.manager.start();
      await test.untilState(1, 'cancelled');
      await test.untilRunning(2);
      assert.deepEqual(test.started, [2]);
    });

    it('cancels an older one whose failed try is just being written', async () => {
      await test.manager.start();
      await addJob(1);
      const [run] = await test.untilRunning(1);
      // Writing the result fails at first, so that the withdrawal comes meanwhile.
      test.writeFailures.push(siteDiskFull());
      run?.fail(peerFailed());
      await test.until(() => test.writeFailures.length === 0);
      await addJob(2);
      await test.until(async () => (await test.pending('distribution-job')).length === 0);
      await test.clock.advance(1_000);
      await test.untilState(1, 'cancelled');
      await test.untilRunning(2);
    });

    it('lets the older one be complete that had ended just before', async () => {
      await test.manager.start();
      await addJob(1);
      const [run] = await test.untilRunning(1);
      run?.finish('hash');
      await addJob(2);
      await test.untilState(1, 'complete');
      await test.untilRunning(2);
    });

    it('believes a DP that has seen a newer one', async () => {
      await test.manager.start();
      await addJob(1);
      const [run] = await test.untilRunning(1);
      const facts = { packageId: 'PS100001', jobSerial: 1, newestJobSerial: 9 };
      run?.fail(new WaybillError({ code: 'ACTION_SUPERSEDED', ...facts }));
      await test.untilState(1, 'cancelled');
    });
  });

  it('ends the jobs of a DP that is deleted, running or waiting, and forgets it', async () => {
    await test.manager.start();
    await addJob(1, { packageId: 'PS100001' });
    await addJob(2, { packageId: 'PS100002' });
    const [, second] = await test.untilRunning(1, 2);
    second?.fail(unreachable());
    await test.untilState(2, 'pending-restart');
    await test.hierarchy.delete('A', { deletedBy: 'waybill://admin/full/alice' });
    for (const serial of [1, 2]) {
      assert.equal(
        (await test.untilState(serial, 'cancelled')).reason,
        'The distribution point was deleted',
      );
    }
    assert.ok(test.forgotten.includes('A'));
  });

  it('ends the jobs of a DP that was deleted before a crash', async () => {
    await addJob(1);
    await dropNotifications(1);
    await test.hierarchy.delete('A', { deletedBy: 'waybill://admin/full/alice' });
    await dropNotifications(1);
    await test.manager.start();
    await test.untilState(1, 'cancelled');
  });

  /** As if its notifications had been handled just before a crash. */
  async function dropNotifications(jobSerial: number): Promise<void> {
    const records = test.store.records(keySpaces.packageNotifications);
    for await (const [key] of records.list({ prefix: `distribution-job/${joinKey(jobSerial)}` })) {
      await test.store.write([records.delete(key)], { sync: false });
    }
  }
}).timeout(30_000);

import assert from 'node:assert/strict';
import { peerFailed, siteDiskFull } from './testing/test-transfers.ts';
import { addJob, letters, openBeforeEach, running, test } from './testing/transfers-ground.ts';

describe('Package Transfer Manager', () => {
  openBeforeEach({ standard: letters });

  describe('while the disk of the site is full', () => {
    it('loses no result, and goes on when there is room', async () => {
      await test.manager.start();
      await addJob(1, { dpId: 'A' });
      await addJob(2, { dpId: 'B' });
      const [first, second] = await test.untilRunning(1, 2);
      for (let time = 0; time < 4; time++) test.writeFailures.push(siteDiskFull());
      first?.finish('hash');
      second?.fail(peerFailed());
      await test.until(async () => {
        await test.clock.advance(500);
        return test.manager.progressOf(1) === undefined && (await test.messageIds()).includes(8203);
      });
      assert.equal((await test.history(1))?.state, 'complete');
      assert.equal((await test.row(2))?.endedAtMs, 0);
      assert.deepEqual(await test.pending('transfer-result'), [1]);
    });

    it('says so of each job that does not run, until it is not', async () => {
      await addJob(1);
      await test.manager.start();
      for (let time = 0; time < 3; time++) test.writeFailures.push(siteDiskFull());
      await test.until(() => test.manager.holdReason !== '');
      assert.match(
        test.manager.holdReason,
        /^The site server cannot go on: state has 0 bytes free/,
      );
      await test.until(async () => {
        await test.clock.advance(500);
        return test.runs.has(1);
      });
      await test.until(() => test.manager.holdReason === '');
    });

    it('starts no job, and starts it when there is room', async () => {
      await addJob(1);
      await test.manager.start();
      test.writeFailures.push(siteDiskFull(), siteDiskFull());
      await test.until(() => test.clock.sleeperCount === 1);
      assert.deepEqual(running(), []);
      await test.clock.advance(2_000);
      await test.until(() => test.clock.sleeperCount === 1);
      await test.clock.advance(4_000);
      await test.untilRunning(1);
      assert.equal((await test.row(1))?.tryCount, 1);
    });

    it('does not break a transfer off because its progress cannot be written', async () => {
      await test.manager.start();
      await addJob(1);
      const [run] = await test.untilRunning(1);
      run?.progress.expect(1_000);
      run?.progress.acknowledged(500);
      test.writeFailures.push(siteDiskFull());
      await test.until(() => test.clock.sleeperCount === 1);
      await test.clock.advance(1_000);
      await test.until(() => test.writeFailures.length === 0);
      assert.deepEqual(running(), [1]);
      run?.finish('hash');
      await test.untilState(1, 'complete');
    });
  });
}).timeout(30_000);

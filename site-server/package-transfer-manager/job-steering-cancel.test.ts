import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { pullWord } from './testing/pull-words.ts';
import {
  cancel,
  collected,
  never,
  openSteeredBeforeEach,
  restart,
  runningJob,
  select,
} from './testing/steering-ground.ts';
import { peerFailed, unreachable } from './testing/test-transfers.ts';
import { addJob, test } from './testing/transfers-ground.ts';

const minuteMs = 60_000;

describe('steering of jobs (ADM-2, PKG-9)', () => {
  openSteeredBeforeEach();

  describe('cancel', () => {
    it('ends at once what no DP was told of', async () => {
      await addJob(1);
      await test.jobs.load();
      const [ended] = await cancel({ jobSerials: [1] });
      assert.deepEqual(
        [ended?.state, ended?.cancellation, ended?.reason],
        ['cancelled', { isConfirmed: true }, 'Cancelled by an administrator'],
      );
      assert.deepEqual(await test.pending('transfer-result'), [1]);
      assert.deepEqual([...test.jobs.open()], []);
      assert.deepEqual(await test.messageIds(), [9044]);
    });

    it('stops the run, tells the DP with a higher serial, and is confirmed', async () => {
      const run = await runningJob();
      const cancelling = cancel({ jobSerials: [1] });
      const [order] = await test.untilRunning(1_001);
      assert.equal(run.signal.aborted, true);
      assert.deepEqual([order?.job.action, order?.job.cancels], ['cancel', 1]);
      assert.deepEqual((await test.history(1))?.cancellation, { isConfirmed: false });
      order?.hear({ sourceVersion: 2, packageHash: 'held' });
      const [ended] = await cancelling;
      assert.deepEqual(ended?.cancellation, { isConfirmed: true });
      const told = await test.untilState(1_001, 'complete');
      assert.deepEqual([told.heldVersion, told.verifiedHash], [2, 'held']);
      assert.deepEqual(await test.messageIds(), [8204, 9044, 9046]);
    });

    it('says unconfirmed when the DP does not answer in 5 s, and confirms it later', async () => {
      await runningJob();
      const cancelling = cancel({ jobSerials: [1] });
      const [order] = await test.untilRunning(1_001);
      await test.until(() => test.clock.sleeperCount > 1);
      await test.clock.advance(5_000);
      const [ended] = await cancelling;
      assert.deepEqual([ended?.state, ended?.cancellation], ['cancelled', { isConfirmed: false }]);
      assert.match(ended?.reason ?? '', /A has not confirmed it yet/);
      order?.fail(unreachable());
      await test.untilState(1_001, 'pending-restart');
      await restart();
      await test.until(() => test.watched.has('A'));
      await test.watched.get('A')?.();
      await test.clock.advance(minuteMs);
      const [again] = await test.untilRunning(1_001);
      again?.hear();
      await test.untilState(1_001, 'complete');
      assert.deepEqual((await test.history(1))?.cancellation, { isConfirmed: true });
      assert.match((await test.history(1))?.reason ?? '', /A has confirmed it/);
      const told = (await test.messageIds()).filter((id) => id >= 9044);
      assert.deepEqual(told, [9044, 9045, 9046], 'each once');
    });

    it('is never given up: the word to the DP fails as often as it must', async () => {
      await test.makeComponents({ retryCountMax: 2 });
      await runningJob();
      const cancelling = cancel({ jobSerials: [1] });
      for (let time = 0; time < 5; time++) {
        const [order] = await test.untilRunning(1_001);
        order?.fail(peerFailed());
        const waiting = await test.untilState(1_001, 'pending-restart');
        await test.until(() => test.manager.placeOf(1_001) !== undefined);
        await test.clock.advance(waiting.restartAtMs - test.clock.nowMs());
      }
      assert.equal((await cancelling).length, 1);
    });

    it('is not overwritten by a success that comes late: of a push', async () => {
      const run = await runningJob();
      const cancelling = cancel({ jobSerials: [1] });
      const [order] = await test.untilRunning(1_001);
      await test.jobs.complete(run.job, run.progress, 'hash');
      order?.hear({ sourceVersion: 1, packageHash: 'hash' });
      await cancelling;
      await test.jobs.complete(run.job, run.progress, 'hash');
      const row = await test.history(1);
      assert.deepEqual([row?.state, row?.verifiedHash], ['cancelled', undefined]);
    });

    it('comes too late for what is done', async () => {
      const run = await runningJob();
      const [job] = await select('cancel', { jobSerials: [1] });
      assert.ok(job);
      run.finish('hash');
      await test.untilState(1, 'complete');
      assert.deepEqual(await test.steering.cancel([job], never).next(), {
        done: true,
        value: undefined,
      });
      assert.deepEqual([...test.jobs.open()], []);
    });

    it('is not overwritten by a success that comes late: of a pull', async () => {
      const run = await runningJob({ dpId: 'P' });
      run.handOver();
      await test.until(async () => (await test.row(1))?.sendAction !== undefined);
      const cancelling = cancel({ jobSerials: [1] });
      const [order] = await test.untilRunning(1_001);
      await test.manager.heard(pullWord({ dpId: 'P', state: 'success', packageHash: 'hash' }), []);
      order?.hear();
      await cancelling;
      assert.equal((await test.history(1))?.state, 'cancelled');
    });

    it('takes no slot: it goes while all are taken', async () => {
      await test.makeComponents({ packagesMax: 1, distributionPointsPerPackageMax: 1 });
      await runningJob();
      const cancelling = cancel({ jobSerials: [1] });
      await addJob(2, { packageId: 'PS100002', dpId: 'B' });
      const [order] = await test.untilRunning(1_001, 2);
      order?.hear();
      assert.equal((await cancelling).length, 1);
    });

    it('is confirmed by the DP that lives while 25 others are away, and asks of no job twice (PKG-9)', async function () {
      this.timeout(10_000);
      await test.makeComponents({ distributionPointsPerPackageMax: 50 });
      const dead = Array.from({ length: 25 }, (_, index) => `D${index}`);
      await test.addDistributionPoints(...dead);
      await test.manager.start();
      const jobs = dead.map((dpId, index) => ({ jobSerial: index + 1, dpId }));
      for (const job of jobs) await addJob(job.jobSerial, job);
      await addJob(500);
      await test.untilRunning(500, ...jobs.map(({ jobSerial }) => jobSerial));
      const ended = test.steering.cancel(await select('cancel'), never);
      const first = ended.next();
      const orderFor = (jobSerial: number) =>
        [...test.runs.values()].find(({ job }) => job.cancels === jobSerial);
      // The others' runs last until their DPs are given up: no time passes here.
      await test.until(() => orderFor(500) !== undefined);
      orderFor(500)?.hear();
      const { value: live } = await first;
      assert.deepEqual([live?.dpId, live?.cancellation], ['A', { isConfirmed: true }]);

      await test.until(() => test.runs.size === jobs.length);
      let lookCount = 0;
      const open = test.jobs.open.bind(test.jobs);
      test.jobs.open = () => {
        lookCount += 1;
        return open();
      };
      const others = collected(ended);
      await test.clock.advance(5_000);
      const unconfirmed = (await others).filter(({ cancellation }) => !cancellation?.isConfirmed);
      assert.equal(unconfirmed.length, jobs.length);
      assert.ok(lookCount < 5, `looked through all open jobs ${lookCount} times`);
    });

    it('tells the DP beside a newer job, and counts it as heard when that came first', async () => {
      await runningJob();
      const cancelling = cancel({ jobSerials: [1] });
      const [order] = await test.untilRunning(1_001);
      await addJob(2_000);
      const [newer] = await test.untilRunning(2_000);
      newer?.finish('hash');
      await test.untilState(2_000, 'complete');
      const facts = { packageId: 'PS100001', jobSerial: 1_001, newestJobSerial: 2_000 };
      order?.fail(new WaybillError({ code: 'ACTION_SUPERSEDED', ...facts }));
      await cancelling;
      assert.deepEqual((await test.history(1))?.cancellation, { isConfirmed: true });
      await test.untilState(1_001, 'cancelled');
    });

    it('leaves to a newer job what that is about to take over from (PKG-9)', async () => {
      await runningJob();
      const [job] = await select('cancel', { jobSerials: [1] });
      assert.ok(job);
      await addJob(2);
      const [first] = [await test.steering.cancel([job], never).next()];
      assert.equal(first?.done, true);
      const [newer] = await test.untilRunning(2);
      newer?.finish('hash');
      await test.untilState(2, 'complete');
      assert.match((await test.history(1))?.reason ?? '', /A newer job took over/);
    });

    it('leaves a job that is cancelled whole or not at all when the disk is full', async () => {
      await runningJob();
      const [job] = await select('cancel', { jobSerials: [1] });
      assert.ok(job);
      test.writeFailures.push(unreachable());
      await assert.rejects(() => test.steering.cancel([job], never).next());
      assert.equal(test.jobs.get(1)?.state, 'started');
      assert.equal(await test.row(1_001), undefined);
    });
  });
});

import assert from 'node:assert/strict';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { JobSelection, SteeringVerb } from '../../shared/domain/job-steering.ts';
import { pullWord } from './testing/pull-words.ts';
import {
  cancel,
  openSteeredBeforeEach,
  restart,
  resume,
  runningJob,
  select,
  suspend,
} from './testing/steering-ground.ts';
import { peerFailed } from './testing/test-transfers.ts';
import { addJob, test } from './testing/transfers-ground.ts';

describe('steering of jobs (ADM-2, PKG-9)', () => {
  openSteeredBeforeEach();

  describe('suspend and resume', () => {
    it('stops a run, keeps what it moved, and goes on when it is resumed', async () => {
      const run = await runningJob();
      run.progress.expect(1_000);
      run.progress.sent(600);
      run.progress.acknowledged(400);
      await suspend({ jobSerials: [1] });
      await test.until(() => run.signal.aborted && test.manager.progressOf(1) === undefined);
      const row = await test.row(1);
      assert.deepEqual(
        [row?.state, row?.waitingReason, row?.remainingBytes, row?.bytesSent, row?.tryCount],
        ['suspended', 'suspended', 600, 600, 1],
      );
      assert.equal(test.manager.placeOf(1)?.waitingReason, 'suspended');
      await resume({ jobSerials: [1] });
      const [again] = await test.untilRunning(1);
      again?.finish('hash');
      assert.equal((await test.untilState(1, 'complete')).bytesSent, 600);
      assert.deepEqual(test.started, [1, 1]);
      assert.deepEqual(await test.messageIds(), [8204, 9041, 9042, 8200, 8210]);
    });

    it('tells place and reason as they are once it is done', async () => {
      await test.makeComponents({ packagesMax: 1, distributionPointsPerPackageMax: 1 });
      await runningJob();
      await addJob(2, { packageId: 'PS100002', dpId: 'B' });
      await addJob(3, { packageId: 'PS100002', dpId: 'C' });
      await test.until(
        () => test.manager.placeOf(2) !== undefined && test.manager.placeOf(3) !== undefined,
      );
      const placeOf = (jobSerial: number) => test.manager.placeOf(jobSerial)?.place ?? 0;
      assert.ok(placeOf(2) < placeOf(3));
      await test.steering.move(await select('move', { jobSerials: [3] }), { kind: 'first' });
      assert.ok(placeOf(3) < placeOf(2));
      await suspend({ jobSerials: [2] });
      assert.equal(test.manager.placeOf(2)?.waitingReason, 'suspended');
      await resume({ jobSerials: [2] });
      assert.equal(test.manager.placeOf(2)?.waitingReason, 'slot');
    });

    it('stays suspended over a restart of the site', async () => {
      await runningJob();
      await suspend({ jobSerials: [1] });
      await restart();
      await addJob(2, { dpId: 'B' });
      await test.untilRunning(2);
      assert.equal((await test.row(1))?.state, 'suspended');
      assert.deepEqual(test.started, [1, 2]);
    });

    it('does not run what is suspended while its start is written', async () => {
      const unlisten = test.jobs.onChanged((job) => {
        if (job.state !== 'started') return;
        unlisten();
        void test.steering.suspend([job]);
      });
      await test.manager.start();
      await addJob(1);
      await test.untilState(1, 'suspended');
      await addJob(2, { dpId: 'B' });
      await test.untilRunning(2);
      assert.deepEqual(test.started, [2]);
    });

    it('takes neither place nor slot from others', async () => {
      await test.makeComponents({ packagesMax: 1, distributionPointsPerPackageMax: 1 });
      await runningJob();
      await addJob(2, { packageId: 'PS100002', dpId: 'B' });
      await suspend({ jobSerials: [1] });
      await test.untilRunning(2);
    });

    it('counts what was done just when it was suspended', async () => {
      const run = await runningJob();
      await test.jobs.changed(1, (job) => ({ job: { ...job, state: 'suspended' } }), []);
      run.finish('hash');
      assert.equal((await test.untilState(1, 'complete')).verifiedHash, 'hash');
    });

    it('does not start what is suspended before its turn, and says nothing new of it twice', async () => {
      await addJob(1);
      await test.jobs.load();
      assert.equal((await suspend({})).length, 1);
      assert.equal((await suspend({})).length, 0, 'nothing is left to suspend');
      assert.equal((await suspend({ jobSerials: [1] })).length, 1, 'named: it is so');
      assert.deepEqual(await test.messageIds(), [9041]);
    });

    it('tells a pull DP, also again when that goes on, and takes none of its words meanwhile', async () => {
      const told: number[] = [];
      test.notification.suspend = async ({ job }) => {
        told.push(job.jobSerial);
      };
      const run = await runningJob({ dpId: 'P' });
      run.handOver();
      await test.until(async () => (await test.row(1))?.sendAction !== undefined);
      await suspend({ jobSerials: [1] });
      await test.until(() => told.length === 1);
      await test.manager.heard(pullWord({ dpId: 'P' }), []);
      await test.until(() => told.length === 2);
      await test.manager.heard(pullWord({ dpId: 'P', state: 'success', packageHash: 'hash' }), []);
      assert.equal((await test.row(1))?.state, 'suspended');
      await resume({ jobSerials: [1] });
      await test.untilRunning(1);
    });
  });

  describe('run now', () => {
    it('tries at once what waits for its next try', async () => {
      const run = await runningJob();
      run.fail(peerFailed());
      await test.untilState(1, 'pending-restart');
      await test.steering.runNow(await select('run', { jobSerials: [1] }));
      const [again] = await test.untilRunning(1);
      assert.equal((await test.row(1))?.ignoresWindow, true);
      again?.fail(peerFailed());
      const waiting = await test.untilState(1, 'pending-restart');
      assert.equal(waiting.ignoresWindow, undefined, 'once');
    });

    it('resumes what is suspended', async () => {
      await runningJob();
      await suspend({ jobSerials: [1] });
      await test.until(() => test.manager.progressOf(1) === undefined);
      await test.steering.runNow(await select('run', {}));
      await test.untilRunning(1);
    });
  });

  describe('move', () => {
    it('starts first what was put first (PTM-3)', async () => {
      await test.makeComponents({ packagesMax: 1, distributionPointsPerPackageMax: 1 });
      const run = await runningJob();
      await addJob(2, { dpId: 'B' });
      await addJob(3, { dpId: 'C' });
      await test.until(() => test.waitingCount === 2);
      await test.steering.move(await select('move', { jobSerials: [3] }), { kind: 'first' });
      await test.until(() => test.manager.placeOf(3)?.place === 1);
      run.finish('hash');
      await test.untilRunning(3);
    });

    it('keeps the order over a restart', async () => {
      for (const serial of [1, 2, 3]) await addJob(serial, { packageId: `PS10000${serial}` });
      await test.jobs.load();
      const target = { kind: 'before', jobSerial: 1 } as const;
      await test.steering.move(await select('move', { jobSerials: [3] }), target);
      await test.makeComponents();
      await test.jobs.load();
      const order = (await select('move')).map(({ jobSerial }) => jobSerial);
      assert.deepEqual(order, [3, 1, 2]);
    });

    it('refuses to go before a job of other priorities, one that is not open, or itself', async () => {
      await addJob(1);
      await addJob(2, { dpId: 'B', dpPriority: 100 });
      await test.jobs.load();
      const moved = await select('move', { jobSerials: [1] });
      for (const jobSerial of [2, 7, 1]) {
        await assert.rejects(
          () => test.steering.move(moved, { kind: 'before', jobSerial }),
          (error) => isErrorWithCode(error, 'REQUEST_INVALID'),
        );
      }
    });
  });

  describe('selection', () => {
    beforeEach(async () => {
      await addJob(1, { packageId: 'PS100001', dpId: 'A', createdAtMs: 0 });
      await addJob(2, { packageId: 'PS100002', dpId: 'A', createdAtMs: 50 });
      const failed = { state: 'pending-restart', tryCount: 3, reason: 'no' } as const;
      await addJob(3, {
        packageId: 'PS100001',
        dpId: 'B',
        createdAtMs: test.clock.nowMs() - 1_000,
        ...failed,
      });
      await test.jobs.load();
    });

    const cases: [name: string, selection: JobSelection, expected: number[]][] = [
      ['all', {}, [1, 2, 3]],
      ['a package', { packageId: 'PS100001' }, [1, 3]],
      ['a DP', { dpIds: new Set(['A']) }, [1, 2]],
      ['several conditions', { packageId: 'PS100001', dpIds: new Set(['A', 'C']) }, [1]],
      ['failed tries', { failedOnly: true }, [3]],
      ['age', { olderThanMs: 1_000 }, [1, 2]],
      ['numbers', { jobSerials: [3, 2] }, [2, 3]],
      ['nobody', { dpIds: new Set() }, []],
    ];
    for (const [name, selection, expected] of cases) {
      it(name, async () => {
        const selected = await select('suspend', selection);
        assert.deepEqual(
          selected.map(({ jobSerial }) => jobSerial),
          expected,
        );
      });
    }

    it('refuses numbers of jobs that are not as they must be, and does nothing', async () => {
      await cancel({ jobSerials: [1] });
      const refusals: [SteeringVerb, number, RegExp][] = [
        ['cancel', 1, /Job 1 is cancelled; this needs one that is open/],
        ['suspend', 1, /is cancelled/],
        ['run', 1, /waybill retry/],
        ['resume', 2, /Job 2 is pending; this needs one that is suspended/],
        [
          'cancel',
          77,
          /expected a job of site PS1, got 77\. "waybill jobs --site PS1" lists them$/,
        ],
      ];
      for (const [verb, jobSerial, message] of refusals) {
        await assert.rejects(() => select(verb, { jobSerials: [jobSerial, 3] }), message);
      }
    });
  });
});

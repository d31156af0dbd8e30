import assert from 'node:assert/strict';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { JobSelection, SteeringVerb } from '../../shared/domain/job-steering.ts';
import { pullWord } from './testing/pull-words.ts';
import { type FakeRun, peerFailed, TestTransfers, unreachable } from './testing/test-transfers.ts';

const minuteMs = 60_000;

describe('steering of jobs (ADM-2, PKG-9)', () => {
  let test: TestTransfers;

  beforeEach(async function () {
    this.timeout(10_000);
    test = await TestTransfers.open();
    await test.addDistributionPoints('A', 'B', 'C');
    await test.addPullDistributionPoints('P');
  });
  afterEach(async function () {
    this.timeout(10_000);
    await test[Symbol.asyncDispose]();
  });

  const addJob = (jobSerial: number, facts: Partial<DistributionJob> = {}) =>
    test.addJob({ jobSerial, dpId: 'A', ...facts });
  const select = (verb: SteeringVerb, selection: JobSelection = {}) =>
    test.steering.select(verb, selection);
  const suspend = async (selection: JobSelection) =>
    test.steering.suspend(await select('suspend', selection));
  const resume = async (selection: JobSelection) =>
    test.steering.resume(await select('resume', selection));
  const never = new AbortController().signal;

  async function collected(ended: AsyncIterable<DistributionJob>): Promise<DistributionJob[]> {
    const jobs: DistributionJob[] = [];
    for await (const job of ended) jobs.push(job);
    return jobs;
  }

  /** Cancels, and collects what is answered. */
  const cancel = async (selection: JobSelection) =>
    collected(test.steering.cancel(await select('cancel', selection), never));

  /** A new life of the site after a kill -9. */
  async function restart(): Promise<void> {
    await test.manager.stop();
    await test.makeComponents();
    await test.manager.start();
  }

  async function runningJob(facts: Partial<DistributionJob> = {}): Promise<FakeRun> {
    await test.manager.start();
    await addJob(1, facts);
    const [run] = await test.untilRunning(1);
    await run?.onBegun();
    return run as FakeRun;
  }

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
      assert.equal(test.manager.waiting.get(1)?.waitingReason, 'suspended');
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
      await test.until(() => test.manager.waiting.has(2) && test.manager.waiting.has(3));
      const placeOf = (jobSerial: number) => test.manager.waiting.get(jobSerial)?.place ?? 0;
      assert.ok(placeOf(2) < placeOf(3));
      await test.steering.move(await select('move', { jobSerials: [3] }), { kind: 'first' });
      assert.ok(placeOf(3) < placeOf(2));
      await suspend({ jobSerials: [2] });
      assert.equal(test.manager.waiting.get(2)?.waitingReason, 'suspended');
      await resume({ jobSerials: [2] });
      assert.equal(test.manager.waiting.get(2)?.waitingReason, 'slot');
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
      await test.until(() => test.manager.waiting.size === 2);
      await test.steering.move(await select('move', { jobSerials: [3] }), { kind: 'first' });
      await test.until(() => test.manager.waiting.get(3)?.place === 1);
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
        await test.until(() => test.manager.waiting.has(1_001));
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

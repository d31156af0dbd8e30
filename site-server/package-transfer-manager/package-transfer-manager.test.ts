import assert from 'node:assert/strict';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { peerFailed, siteDiskFull, TestTransfers, unreachable } from './testing/test-transfers.ts';

const minuteMs = 60_000;
const letters = ['A', 'B', 'C', 'D', 'E', 'F', 'G'];

describe('Package Transfer Manager', () => {
  let test: TestTransfers;

  beforeEach(async function () {
    this.timeout(10_000);
    test = await TestTransfers.open();
    await test.addDistributionPoints(...letters);
  });
  afterEach(async function () {
    this.timeout(10_000);
    await test[Symbol.asyncDispose]();
  });

  const addJob = (jobSerial: number, facts: Partial<DistributionJob> = {}) =>
    test.addJob({ jobSerial, dpId: 'A', ...facts });
  const running = () => [...test.runs.keys()].sort((a, b) => a - b);

  it('brings a job from pending to complete, with what that means to others (PTM-1, PTM-8)', async () => {
    await test.manager.start();
    const states: string[] = [];
    test.jobs.onChanged(({ state }) => {
      if (states.at(-1) !== state) states.push(state);
    });
    await addJob(1);
    const [run] = await test.untilRunning(1);
    assert.equal((await test.row(1))?.state, 'started');
    assert.equal(run?.dp.dpId, 'A');
    await run?.onBegun();
    run?.progress.expect(2_000_000);
    run?.progress.sent(2_000_000);
    run?.progress.acknowledged(500_000);
    await test.clock.advance(1_000);
    const inProgress = await test.untilState(1, 'in-progress');
    assert.deepEqual([inProgress.totalBytes, inProgress.remainingBytes], [2_000_000, 1_500_000]);
    assert.equal(test.manager.progressOf(1)?.percent, 25);
    run?.progress.acknowledged(1_500_000);
    run?.finish('hash');
    const ended = await test.untilState(1, 'complete');
    assert.deepEqual(
      [ended.verifiedHash, ended.tryCount, ended.remainingBytes, ended.bytesSent, ended.reason],
      ['hash', 1, 0, 2_000_000, ''],
    );
    assert.equal(ended.startedAtMs, test.clock.nowMs() - 1_000);
    assert.deepEqual(states, ['pending', 'started', 'in-progress', 'complete']);
    assert.deepEqual(await test.pending('transfer-result'), [1]);
    assert.deepEqual(await test.pending('distribution-job'), []);
    assert.deepEqual(await test.messageIds(), [8204, 8200, 8210]);
    await test.until(async () => (await test.hierarchy.healthOf('A')).measuredBytesPerSecond > 0);
    assert.equal((await test.hierarchy.healthOf('A')).measuredBytesPerSecond, 2_000_000);
    assert.equal(test.manager.progressOf(1), undefined);
  });

  it('sends three packages at once, each to five DPs, and goes on when one ends (PTM-2)', async () => {
    await test.manager.start();
    let jobSerial = 0;
    for (const packageId of ['PS100001', 'PS100002', 'PS100003', 'PS100004']) {
      for (const dpId of letters) {
        jobSerial += 1;
        await addJob(jobSerial, { packageId, dpId });
      }
    }
    const first = [1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 15, 16, 17, 18, 19];
    await test.untilRunning(...first);
    await test.until(() => test.waitingCount === 13);
    assert.deepEqual(running(), first);
    assert.deepEqual(test.manager.placeOf(6), { place: 1, waitingReason: 'slot' });
    test.runs.get(2)?.finish('hash');
    await test.untilRunning(6);
    assert.equal(running().length, 15);
  });

  it('begins more at once as soon as its limits are raised, and stops nothing that runs (PTM-2, ADM-3)', async () => {
    await test.makeComponents({ packagesMax: 1, distributionPointsPerPackageMax: 1 });
    await test.manager.start();
    await addJob(1, { dpId: 'A' });
    await addJob(2, { dpId: 'B' });
    await addJob(3, { dpId: 'A', packageId: 'PS100002' });
    await test.untilRunning(1);
    await test.until(() => test.waitingCount === 2);
    Object.assign(test.limits, { packagesMax: 2, distributionPointsPerPackageMax: 2 });
    test.settings.tell();
    await test.untilRunning(2, 3);
    Object.assign(test.limits, { packagesMax: 1, distributionPointsPerPackageMax: 1 });
    test.settings.tell();
    await addJob(4, { dpId: 'B', packageId: 'PS100002' });
    await test.until(() => test.waitingCount === 1);
    assert.deepEqual(running(), [1, 2, 3]);
  });

  it('gives the slot of a dead DP to another (PTM-2)', async () => {
    await test.makeComponents({ packagesMax: 1, distributionPointsPerPackageMax: 1 });
    await test.manager.start();
    await addJob(1, { dpId: 'A' });
    await test.untilRunning(1);
    await addJob(2, { dpId: 'B' });
    test.runs.get(1)?.fail(unreachable());
    await test.untilRunning(2);
    const waiting = await test.row(1);
    assert.deepEqual(
      [waiting?.state, waiting?.waitingReason],
      ['pending-restart', 'dp-unreachable'],
    );
    assert.equal((await test.hierarchy.healthOf('A')).reachability, 'unreachable');
  });

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

  it('tries a hundred times, 5 s to 30 min apart, then fails (PTM-8)', async () => {
    await test.manager.start();
    await addJob(1);
    const waitsMs: number[] = [];
    for (let tryCount = 1; tryCount < 100; tryCount++) {
      const [run] = await test.untilRunning(1);
      await run?.onBegun();
      run?.fail(peerFailed());
      const waiting = await test.untilState(1, 'pending-restart');
      await test.until(() => test.manager.placeOf(1)?.waitingReason === 'retry-at');
      assert.equal(waiting.tryCount, tryCount);
      waitsMs.push(waiting.restartAtMs - test.clock.nowMs());
      await test.clock.advance(waiting.restartAtMs - test.clock.nowMs());
    }
    assert.deepEqual(
      waitsMs.slice(0, 10).map((ms) => ms / 1_000),
      [5, 10, 20, 40, 80, 160, 320, 640, 1_280, 1_800],
    );
    assert.ok(waitsMs.slice(10).every((ms) => ms === 30 * minuteMs));
    const [last] = await test.untilRunning(1);
    last?.fail(peerFailed());
    const failed = await test.untilState(1, 'failed');
    assert.equal(failed.tryCount, 100);
    assert.match(failed.reason, /failed: test/);
    assert.deepEqual(await test.messageIds(), [8204, 8203, 8203], 'the first failure and the last');
    assert.deepEqual(await test.pending('transfer-result'), [1]);
  });

  it('goes on at once when the DP returns, and waits if it only came back to fail (PTM-8)', async () => {
    await test.manager.start();
    await addJob(1);
    for (const waitMs of [100, 200, 400]) {
      const [run] = await test.untilRunning(1);
      run?.fail(unreachable());
      await test.until(() => test.manager.placeOf(1)?.waitingReason === 'dp-unreachable');
      // From then on its return is awaited.
      await test.until(() => test.manager.progressOf(1) === undefined);
      await test.watched.get('A')?.();
      await test.until(
        async () => (await test.row(1))?.restartAtMs === test.clock.nowMs() + waitMs,
      );
      await test.until(() => test.clock.sleeperCount === 1);
      await test.clock.advance(waitMs - 1);
      assert.deepEqual(running(), []);
      await test.clock.advance(1);
    }
    const [run] = await test.untilRunning(1);
    run?.finish('hash');
    await test.untilState(1, 'complete');
  });

  it('wakes nobody who waits for another reason or another DP when one returns', async () => {
    await test.manager.start();
    await addJob(1, { dpId: 'A' });
    await addJob(2, { dpId: 'B' });
    await addJob(3, { dpId: 'A', packageId: 'PS100002' });
    const [first, second, third] = await test.untilRunning(1, 2, 3);
    first?.fail(unreachable());
    second?.fail(unreachable());
    third?.fail(peerFailed());
    for (const serial of [1, 2, 3]) await test.untilState(serial, 'pending-restart');
    const before = [await test.row(2), await test.row(3)];
    await test.until(() => test.watched.has('A') && test.watched.has('B'));
    await test.watched.get('A')?.();
    assert.equal((await test.row(1))?.restartAtMs, test.clock.nowMs() + 100);
    assert.deepEqual([await test.row(2), await test.row(3)], before);
  });

  it('waits for room however long it takes, and asks for it before it tries again', async () => {
    await test.manager.start();
    await addJob(1);
    const facts = { code: 'DISK_FULL', path: 'dp', freeBytes: 10, neededBytes: 64 } as const;
    for (let time = 0; time < 150; time++) {
      const [run] = await test.untilRunning(1);
      assert.equal(run?.wasDiskFull, time > 0);
      run?.fail(new WaybillError(facts));
      const waiting = await test.untilState(1, 'pending-restart');
      assert.deepEqual([waiting.waitingReason, waiting.tryCount], ['disk-full-at-dp', 0]);
      await test.until(() => test.manager.placeOf(1)?.waitingReason === 'disk-full-at-dp');
      const waitMs = waiting.restartAtMs - test.clock.nowMs();
      assert.ok(waitMs >= 1_000 && waitMs <= 30_000);
      await test.clock.advance(waitMs);
    }
    const [run] = await test.untilRunning(1);
    run?.finish('hash');
    await test.untilState(1, 'complete');
  });

  it('runs again after a crash what ran, no job lost or doubled', async () => {
    await test.manager.start();
    for (const [index, dpId] of ['A', 'B', 'C'].entries()) await addJob(index + 1, { dpId });
    const [first, second] = await test.untilRunning(1, 2, 3);
    first?.finish('hash');
    await test.untilState(1, 'complete');
    second?.fail(peerFailed());
    const waiting = await test.untilState(2, 'pending-restart');
    await test.manager.stop();
    assert.equal((await test.row(3))?.state, 'started', 'as a crash leaves it');
    await addJob(4, { dpId: 'D' });

    await test.makeComponents();
    test.started.length = 0;
    await test.manager.start();
    await test.untilRunning(3, 4);
    assert.deepEqual(await test.row(2), waiting);
    assert.equal((await test.row(3))?.tryCount, 1, 'being cut off is no failed try');
    await test.clock.advance(waiting.restartAtMs - test.clock.nowMs());
    await test.untilRunning(2, 3, 4);
    for (const serial of [2, 3, 4]) {
      test.runs.get(serial)?.finish('hash');
      await test.untilState(serial, 'complete');
    }
    assert.deepEqual(test.started.sort(), [2, 3, 4]);
    assert.deepEqual((await test.pending('transfer-result')).sort(), [1, 2, 3, 4]);
  });

  it('stops twice, also before it was started', async () => {
    await test.manager.stop();
    await test.manager.stop();
  });

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

  for (const [name, error] of [
    ['a bug', new TypeError('x is undefined')],
    ['nothing', undefined],
    ['a text', 'no error'],
    ['an abort of somebody else', new DOMException('aborted', 'AbortError')],
  ] as const) {
    it(`tries again when a run fails with ${name}`, async () => {
      await test.manager.start();
      await addJob(1);
      const [run] = await test.untilRunning(1);
      run?.fail(error);
      const waiting = await test.untilState(1, 'pending-restart');
      assert.equal(waiting.waitingReason, 'retry-at');
      await test.until(() => test.manager.placeOf(1) !== undefined);
      await test.clock.advance(waiting.restartAtMs - test.clock.nowMs());
      await test.untilRunning(1);
    });
  }

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

  /** As if its notifications had been handled just before a crash. */
  async function dropNotifications(jobSerial: number): Promise<void> {
    const records = test.store.records(keySpaces.packageNotifications);
    for await (const [key] of records.list({ prefix: `distribution-job/${joinKey(jobSerial)}` })) {
      await test.store.write([records.delete(key)], { sync: false });
    }
  }
}).timeout(30_000);

import assert from 'node:assert/strict';
import { peerFailed, unreachable } from './testing/test-transfers.ts';
import { addJob, letters, openBeforeEach, running, test } from './testing/transfers-ground.ts';

describe('Package Transfer Manager', () => {
  openBeforeEach({ standard: letters });

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
}).timeout(30_000);

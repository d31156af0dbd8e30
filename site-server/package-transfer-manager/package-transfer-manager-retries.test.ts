import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { peerFailed, unreachable } from './testing/test-transfers.ts';
import { addJob, letters, openBeforeEach, running, test } from './testing/transfers-ground.ts';

const minuteMs = 60_000;

describe('Package Transfer Manager, when a run fails', () => {
  openBeforeEach({ standard: letters });

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
}).timeout(30_000);

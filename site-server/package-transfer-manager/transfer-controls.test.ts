import assert from 'node:assert/strict';
import { HourOfWeek } from '../../shared/domain/hour-of-week.ts';
import {
  hoursOfWeek,
  type TransferControls,
  type WindowLevel,
} from '../../shared/domain/transfer-controls.ts';
import { peerFailed } from './testing/test-transfers.ts';
import { addJob, openBeforeEach, test } from './testing/transfers-ground.ts';

const hourMs = 3_600_000;

describe('Package Transfer Manager, where controls are set', () => {
  openBeforeEach({ standard: ['A', 'B', 'C'] });

  const waitingReasonOf = (jobSerial: number) => test.manager.placeOf(jobSerial)?.waitingReason;

  /** A grid of one level from the present hour on, for so many hours, and open else. */
  function closedFor(hours: number, level: WindowLevel = 'closed'): TransferControls {
    const now = new HourOfWeek('UTC').at(test.clock.nowMs());
    const grid = Array.from({ length: hoursOfWeek }, (): WindowLevel => 'open');
    for (let hour = 0; hour < hours; hour++) grid[(now + hour) % hoursOfWeek] = level;
    return { schedule: { timeZone: 'UTC', hours: grid } };
  }

  const untilNextHourMs = () => hourMs - (test.clock.nowMs() % hourMs);

  /** Time goes on in steps, as it does beside somebody who looks at the clock now and then. */
  async function pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 30_000) await test.clock.advance(Math.min(left, 30_000));
  }

  it('begins a job of a closed window when that opens, and others at once (PTM-5)', async () => {
    await test.manager.start();
    await test.setControls('A', closedFor(1));
    await addJob(1, { dpId: 'A' });
    await addJob(2, { dpId: 'B' });
    await test.untilRunning(2);
    await test.until(() => waitingReasonOf(1) === 'window-closed');
    const opensInMs = untilNextHourMs();
    assert.equal(test.manager.placeOf(1)?.opensAtMs, test.clock.nowMs() + opensInMs);
    await pass(opensInMs - 1);
    assert.deepEqual(test.started, [2]);
    await test.clock.advance(1);
    await test.untilRunning(1);
  });

  it('says why jobs wait as it is now, after each decision, and writes no row for it (ADM-2, PTM-5)', async () => {
    await test.makeComponents({ packagesMax: 1, distributionPointsPerPackageMax: 1 });
    await test.manager.start();
    await addJob(1, { dpId: 'A' });
    await test.untilRunning(1);
    await addJob(2, { dpId: 'B' });
    await test.until(() => waitingReasonOf(2) === 'slot');
    const told: (string | undefined)[] = [];
    const changed: number[] = [];
    test.manager.onDecided(() => told.push(waitingReasonOf(2)));
    test.jobs.onChanged(({ jobSerial }) => changed.push(jobSerial));
    await test.setControls('B', closedFor(1));
    await test.until(() => told.includes('window-closed'));
    await test.setControls('B', {});
    await test.until(() => told.at(-1) === 'slot');
    assert.deepEqual(changed, []);
  });

  it('begins it at once when its window is opened by hand, or its priority raised (PTM-5)', async () => {
    await test.manager.start();
    await test.setControls('A', closedFor(hoursOfWeek));
    await test.setControls('B', closedFor(hoursOfWeek, 'high-only'));
    await addJob(1, { dpId: 'A' });
    await addJob(2, { dpId: 'B', packageId: 'PS100002' });
    await test.until(() => waitingReasonOf(2) === 'window-closed');
    assert.equal(waitingReasonOf(1), 'window-closed');
    assert.equal(test.manager.placeOf(1)?.opensAtMs, undefined, 'never by itself');
    await test.setControls('A', {});
    await test.untilRunning(1);
    await test.setPriority('PS100002', 1, 2);
    await test.untilRunning(2);
  });

  it('begins jobs of open windows though the clock goes on while it decides (PTM-5)', async () => {
    const { clock } = test;
    const nowMs = clock.nowMs.bind(clock);
    let lookCount = 0;
    // As with thousands of jobs: from one look to the next a millisecond has passed.
    clock.nowMs = () => nowMs() + lookCount++;
    await test.manager.start();
    await addJob(1);
    await test.untilRunning(1);
  });

  it('notices within half a minute that the clock was set (PTM-5)', async () => {
    let offsetMs = 0;
    const { clock } = test;
    const nowMs = clock.nowMs.bind(clock);
    clock.nowMs = () => nowMs() + offsetMs;
    await test.manager.start();
    await test.setControls('A', closedFor(20));
    await addJob(1);
    await test.until(() => waitingReasonOf(1) === 'window-closed');
    offsetMs = 20 * hourMs;
    await pass(31_000);
    await test.untilRunning(1);
  });

  it('takes a job whose window closes back into the queue, and goes on when it opens (PTM-5)', async () => {
    await test.manager.start();
    await addJob(1, { tryCount: 7 });
    const [run] = await test.untilRunning(1);
    run?.progress.expect(100);
    await test.setControls('A', closedFor(1));
    run?.onWindowClosed();
    await test.until(() => waitingReasonOf(1) === 'window-closed');
    const row = await test.row(1);
    assert.deepEqual([row?.state, row?.tryCount, row?.totalBytes], ['pending-restart', 7, 100]);
    await pass(untilNextHourMs());
    const [again] = await test.untilRunning(1);
    again?.finish('hash');
    await test.untilState(1, 'complete');
    assert.deepEqual(await test.messageIds(), [8200, 8210], 'it was no failure');
  });

  it('lets a package of higher priority take a place, and goes on after it (PTM-3)', async () => {
    await test.makeComponents({ packagesMax: 1 });
    await test.manager.start();
    await addJob(1, { priority: 3 });
    const [run] = await test.untilRunning(1);
    run?.progress.expect(100);
    run?.progress.acknowledged(40);
    await addJob(2, { priority: 1, dpId: 'B', packageId: 'PS100002' });
    const [urgent] = await test.untilRunning(2);
    assert.equal(run?.signal.aborted, true);
    const row = await test.row(1);
    assert.deepEqual(
      [row?.state, row?.waitingReason, row?.tryCount, row?.remainingBytes],
      ['pending-restart', 'slot', 0, 60],
    );
    assert.match(row?.reason ?? '', /higher priority/);
    await addJob(3, { priority: 1, dpId: 'C', packageId: 'PS100003' });
    await test.until(() => test.waitingCount === 2);
    urgent?.finish('hash');
    const [next] = await test.untilRunning(3);
    next?.finish('hash');
    await test.untilRunning(1);
    assert.deepEqual(test.started, [1, 2, 3, 1]);
  });

  it('takes no place again and again for a job that fails (PTM-3)', async () => {
    await test.makeComponents({ packagesMax: 1 });
    await test.manager.start();
    await addJob(1, { priority: 3 });
    await test.untilRunning(1);
    await addJob(2, { priority: 1, dpId: 'B', packageId: 'PS100002' });
    for (let tryCount = 1; tryCount <= 3; tryCount++) {
      const [urgent] = await test.untilRunning(2);
      urgent?.fail(peerFailed());
      await test.untilState(2, 'pending-restart');
      await test.untilRunning(1);
      await pass(20_000);
    }
    await test.until(() => waitingReasonOf(2) === 'slot');
    assert.deepEqual(test.started, [1, 2, 1, 2, 1, 2, 1]);
  });

  it('ends a job that is withdrawn while it gives way', async () => {
    await test.makeComponents({ packagesMax: 1 });
    await test.manager.start();
    await addJob(1, { priority: 3 });
    const [run] = await test.untilRunning(1);
    run?.onWindowClosed();
    await addJob(4, { priority: 3 });
    await test.untilRunning(4);
    const ended = await test.untilState(1, 'cancelled');
    assert.match(ended.reason, /newer job/);
  });

  it('lets a push that runs go by the new priority of its package (PTM-3)', async () => {
    await test.manager.start();
    const job = await addJob(1);
    await test.untilRunning(1);
    const permit = test.permits.open(job, () => {});
    await test.setPriority('PS100001', 1, 1);
    await test.until(() => permit.priority === 1);
  });
});

import assert from 'node:assert/strict';
import type { TransferControls } from '../../shared/domain/transfer-controls.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';
import type { TransferPermit } from '../../shared/transfer-arbiter/transfer-permit.ts';
import { TransferPermits } from './transfer-permits.ts';

const never = new AbortController().signal;
const limit = (bytesPerSecond: number): TransferControls => ({
  limit: { kind: 'rate', bytesPerSecond },
});
const closed: TransferControls = {
  schedule: { timeZone: 'UTC', hours: Array.from({ length: 168 }, () => 'closed') },
};

describe('transfer permits', () => {
  let clock: FakeClock;
  let arbiter: TransferArbiter;
  let permits: TransferPermits;
  let link: string | undefined;
  let tell: () => void;

  beforeEach(() => {
    clock = new FakeClock();
    arbiter = new TransferArbiter(clock);
    link = undefined;
    tell = () => {};
    const transferControls = {
      passagesToDp: (dpId: string) => [`dp/${dpId}`, ...(link ? [`link/${link}`] : [])],
      onChanged: (listener: () => void) => {
        tell = listener;
        return () => {};
      },
    };
    permits = new TransferPermits({ arbiter, transferControls });
  });

  const job = (jobSerial: number, dpId: string, priority: 1 | 2 | 3 = 2) =>
    testJob({ jobSerial, dpId, priority });

  /** Takes part after part until one has to wait. @returns resolves when that one has left */
  async function untilItWaits(permit: TransferPermit): Promise<() => Promise<unknown>> {
    for (;;) {
      const taken = permit.takePart(2 ** 20, never);
      await clock.advance(0);
      if (permit.isAsking) return () => taken;
    }
  }

  it('say in words what holds a push back, for a moment after it has (PTM-6)', async () => {
    link = 'london';
    arbiter.setControls('dp/A', limit(100_000));
    const permit = permits.open(job(1, 'A'), () => {});
    assert.equal(permits.hindranceOf(1), undefined);
    const waiting = await untilItWaits(permit);
    assert.equal(permits.hindranceOf(1), 'The limit of A holds it back');
    await clock.advance(200);
    await waiting();
    assert.equal(permits.hindranceOf(1), 'The limit of A holds it back');
    await clock.advance(1_000);
    assert.equal(permits.hindranceOf(1), undefined);
    arbiter.setControls('link/london', limit(4_096));
    const slower = await untilItWaits(permit);
    assert.equal(permits.hindranceOf(1), 'The limit of the link london holds it back');
    const urgent = permits.open(job(2, 'A', 1), () => {});
    let hasLeft = false;
    const first = urgent.takePart(2 ** 20, never).then(() => {
      hasLeft = true;
    });
    while (!hasLeft) await clock.advance(20);
    await first;
    assert.equal(permits.hindranceOf(1), 'A package of higher priority uses the way');
    permits.close(2);
    await clock.advance(3_000);
    await slower();
    permits.close(1);
    assert.equal(permits.hindranceOf(1), undefined);
    assert.equal(clock.sleeperCount, 0);
  });

  it('count what has left, of all pushes, and not what waits (ADM-7)', async () => {
    const first = permits.open(job(1, 'A'), () => {});
    await first.takePart(1_000, never);
    await permits.open(job(2, 'B'), () => {}).take(500, never);
    permits.close(1);
    permits.close(2);
    arbiter.setControls('dp/A', limit(100_000));
    const waiting = await untilItWaits(permits.open(job(3, 'A'), () => {}));
    const sentBytes = permits.sentBytes;
    assert.ok(sentBytes > 1_500);
    await clock.advance(1_000);
    await waiting();
    assert.ok(permits.sentBytes > sentBytes);
    permits.close(3);
  });

  it('tell when the window of a push closes, once (PTM-5)', async () => {
    let closedCount = 0;
    const permit = permits.open(job(1, 'A'), () => {
      closedCount += 1;
    });
    arbiter.setControls('dp/A', closed);
    assert.equal(closedCount, 0, 'it has nothing to send now');
    const gone = new AbortController();
    const taken = [1, 2].map(() => assert.rejects(permit.takePart(9, gone.signal)));
    await clock.advance(5_000);
    assert.equal(closedCount, 1);
    gone.abort();
    await Promise.all(taken);
  });

  it('let a push take the way over a link that its DP joins, at once (PTM-6)', async () => {
    let toldCount = 0;
    permits.onChanged(() => {
      toldCount += 1;
    });
    arbiter.setControls('link/london', closed);
    const permit = permits.open(job(1, 'A'), () => {});
    await permit.takePart(2 ** 20, never);
    link = 'london';
    tell();
    assert.equal(toldCount, 1);
    assert.equal(permits.opensAtMs(job(1, 'A'), clock.nowMs()), undefined);
    const waiting = permit.takePart(2 ** 20, never);
    await clock.advance(5_000);
    assert.equal(permit.isAsking, true);
    link = undefined;
    tell();
    await clock.advance(0);
    assert.equal(await waiting, 2 ** 20);
  });

  it('heed no schedule for a job that an administrator lets run, also while it waits (ADM-2)', async () => {
    arbiter.setControls('dp/A', closed);
    const free = permits.open({ ...job(1, 'A'), ignoresWindow: true }, () => {});
    await free.takePart(9, never);
    const permit = permits.open(job(2, 'A'), () => {});
    const waiting = permit.takePart(9, never);
    await clock.advance(5_000);
    assert.equal(permit.isAsking, true);
    permits.heed({ ...job(2, 'A'), ignoresWindow: true });
    await clock.advance(0);
    assert.equal(await waiting, 9);
  });

  it('follow the priority of a job', () => {
    const permit = permits.open(job(1, 'A', 3), () => {});
    permits.heed(job(1, 'A', 1));
    permits.heed(job(2, 'A', 2));
    assert.equal(permit.priority, 1);
  });
});

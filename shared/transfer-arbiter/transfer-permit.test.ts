import assert from 'node:assert/strict';
import type { RateLimit } from '../domain/transfer-controls.ts';
import { workIsOver } from '../runtime/abort-error.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { TransferArbiter } from './transfer-arbiter.ts';
import type { TransferPermit } from './transfer-permit.ts';

const mib = 2 ** 20;
const passage = 'dp/PS1DP1';
const signal = new AbortController().signal;

describe('messages that leave as one, or not yet (PTM-6)', () => {
  const clock = new FakeClock(Date.UTC(2026, 2, 16));
  let arbiter: TransferArbiter;
  let leftBytes: number;

  beforeEach(() => {
    arbiter = new TransferArbiter(clock);
    leftBytes = 0;
  });

  const limit = (bytesPerSecond: number) => set({ kind: 'rate', bytesPerSecond });
  const set = (one: RateLimit) => arbiter.setControls(passage, { limit: one });
  const open = () =>
    arbiter.open([passage], 2, {
      onLeft: (bytes) => {
        leftBytes += bytes;
      },
    });

  /** One after another, until one has to wait. */
  function takeAll(permit: TransferPermit): void {
    while (!permit.isAsking) void permit.takeWhole(mib, signal);
  }

  /** What came of it within so many milliseconds; undefined: nothing yet. */
  async function within(ms: number, taking: Promise<number>): Promise<number | undefined> {
    let bytes: number | undefined;
    void taking.then((value) => {
      bytes = value;
    });
    await clock.advance(ms);
    return bytes;
  }

  it('leave as one at their turn, and count', async () => {
    limit(20 * mib);
    const permit = open();
    takeAll(permit);
    const before = leftBytes;
    const last = permit.takeWhole(mib, signal);
    assert.equal(await within(60, last), undefined);
    await clock.advance(50);
    assert.equal(await last, mib);
    assert.equal(leftBytes - before, 2 * mib);
  });

  it('do not leave, and count for nothing, once a limit would cut them', async () => {
    limit(20 * mib);
    const permit = open();
    takeAll(permit);
    const waiting = [permit.takeWhole(mib, signal), permit.takeWhole(mib, signal)];
    const [before, grantedAtMs] = [leftBytes, permit.grantedAtMs];
    await clock.advance(5);
    limit(mib);
    await clock.advance(1);
    assert.deepEqual(await Promise.all(waiting), [0, 0]);
    assert.equal(await permit.takeWhole(mib, signal), 0);
    assert.deepEqual([leftBytes, permit.grantedAtMs], [before, grantedAtMs]);
    assert.ok(((await within(0, permit.takePart(mib, signal))) ?? 0) > 0, 'the way is free');
  });

  it('of one transfer do not all have their turn before those of another', async () => {
    limit(20 * mib);
    const permits = [open(), open()] as const;
    takeAll(permits[0]);
    const order: number[] = [];
    for (const index of [0, 0, 1, 1]) {
      void permits[index as 0 | 1].takeWhole(mib, signal).then(() => order.push(index));
    }
    await clock.advance(5);
    limit(mib);
    await clock.advance(1);
    assert.deepEqual(order.toSorted(), [0, 0, 1, 1]);
    assert.equal(new Set(order.slice(0, 2)).size, 2, `${order}`);
  });

  it('are not cut by the end of a block, which the next one pays for', async () => {
    set({ kind: 'pulse', blockBytes: 2.5 * mib, delayMs: 1_000 });
    const permit = open();
    const taken = Array.from({ length: 5 }, () => permit.takeWhole(mib, signal));
    await clock.advance(0);
    assert.equal(leftBytes, 3 * mib);
    await clock.advance(1_000);
    assert.deepEqual(await Promise.all(taken), Array(5).fill(mib));
  });

  it('wait no more once aborted', async () => {
    limit(20 * mib);
    const permit = open();
    const ending = new AbortController();
    takeAll(permit);
    const waiting = permit.takeWhole(mib, ending.signal);
    ending.abort(workIsOver);
    await assert.rejects(waiting, { name: 'AbortError' });
  });
});

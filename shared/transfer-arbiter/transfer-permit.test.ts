import assert from 'node:assert/strict';
import { workIsOver } from '../runtime/abort-error.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { TransferArbiter } from './transfer-arbiter.ts';

const mib = 2 ** 20;
const passage = 'dp/PS1DP1';

describe('messages that leave as one, or not yet (PTM-6)', () => {
  const clock = new FakeClock(Date.UTC(2026, 2, 16));
  let arbiter: TransferArbiter;
  const limit = (bytesPerSecond: number) =>
    arbiter.setControls(passage, { limit: { kind: 'rate', bytesPerSecond } });

  beforeEach(() => {
    arbiter = new TransferArbiter(clock);
  });

  it('leave as one at their turn, and count', async () => {
    limit(20 * mib);
    const permit = arbiter.open([passage], 2);
    const signal = new AbortController().signal;
    while (!permit.isAsking) void permit.takeWhole(mib, signal);
    const last = permit.takeWhole(mib, signal);
    await clock.advance(200);
    assert.equal(await last, mib);
  });

  it('do not leave, and count for nothing, once a limit would cut them', async () => {
    limit(20 * mib);
    const permit = arbiter.open([passage], 2);
    const signal = new AbortController().signal;
    while (!permit.isAsking) void permit.takeWhole(mib, signal);
    const waiting = [permit.takeWhole(mib, signal), permit.takeWhole(mib, signal)];
    limit(mib);
    await clock.advance(0);
    assert.deepEqual(await Promise.all(waiting), [0, 0]);
    assert.equal(await permit.takeWhole(mib, signal), 0);
    const part = permit.takePart(mib, signal);
    await clock.advance(0);
    assert.ok((await part) > 0, 'the way is free');
  });

  it('wait no more once aborted', async () => {
    limit(20 * mib);
    const permit = arbiter.open([passage], 2);
    const [signal, ending] = [new AbortController().signal, new AbortController()];
    while (!permit.isAsking) void permit.takeWhole(mib, signal);
    const waiting = permit.takeWhole(mib, ending.signal);
    ending.abort(workIsOver);
    await assert.rejects(waiting, { name: 'AbortError' });
  });
});

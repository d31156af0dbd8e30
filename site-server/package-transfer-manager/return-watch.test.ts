import assert from 'node:assert/strict';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { testDistributionPoint as dp } from '../../shared/testing/test-distribution-point.ts';
import { ReturnWatch } from './return-watch.ts';

const settled = async () => {
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
};

describe('return watch', () => {
  let log: CapturedLog;
  let waits: { address: string; answer: (isBack: boolean) => void; fail: (error: Error) => void }[];
  let forgotten: string[];
  let returns: number;
  let controller: AbortController;
  let watch: ReturnWatch;

  const onReturn = async () => {
    returns += 1;
  };

  beforeEach(() => {
    log = new CapturedLog();
    waits = [];
    forgotten = [];
    returns = 0;
    controller = new AbortController();
    const connections = {
      reachable: ({ address }: DistributionPoint, signal: AbortSignal) =>
        new Promise<boolean>((resolve, reject) => {
          signal.addEventListener('abort', () => resolve(false), { once: true });
          waits.push({ address, answer: resolve, fail: reject });
        }),
      forget: (dpId: string) => forgotten.push(dpId),
    };
    watch = new ReturnWatch({ connections, logger: log.logger });
  });

  it('waits once for a DP, however many ask, and tells once', async () => {
    for (let time = 0; time < 3; time++) watch.watch(dp(), controller.signal, onReturn);
    assert.equal(waits.length, 1);
    waits[0]?.answer(true);
    await settled();
    assert.equal(returns, 1);
    assert.deepEqual(log.messages(), ['Distribution point can be reached again']);
    watch.watch(dp(), controller.signal, onReturn);
    assert.equal(waits.length, 2, 'it may be lost again');
  });

  it('waits at the new address when it changes, and not at the old one', async () => {
    watch.watch(dp('a:1'), controller.signal, onReturn);
    watch.watch(dp('b:1'), controller.signal, onReturn);
    waits[0]?.answer(true);
    await settled();
    assert.equal(returns, 0);
    watch.watch(dp('b:1'), controller.signal, onReturn);
    assert.deepEqual(
      waits.map(({ address }) => address),
      ['a:1', 'b:1'],
    );
    waits[1]?.answer(true);
    await settled();
    assert.equal(returns, 1);
  });

  it('tells nothing when it is stopped', async () => {
    watch.watch(dp(), controller.signal, onReturn);
    controller.abort();
    await settled();
    assert.equal(returns, 0);
  });

  it('forgets a DP and its connection', async () => {
    watch.watch(dp(), controller.signal, onReturn);
    watch.forget('PS1DP1');
    await settled();
    assert.equal(returns, 0);
    assert.deepEqual(forgotten, ['PS1DP1']);
    watch.watch(dp(), controller.signal, onReturn);
    assert.equal(waits.length, 2);
  });

  it('outlives failures of both sides, and says so', async () => {
    watch.watch(dp(), controller.signal, onReturn);
    waits[0]?.fail(new Error('a bug'));
    await settled();
    watch.watch(dp(), controller.signal, async () => {
      throw new Error('disk full');
    });
    waits[1]?.answer(true);
    await settled();
    assert.equal(log.messages(40).length, 2);
    watch.watch(dp(), controller.signal, onReturn);
    assert.equal(waits.length, 3);
  });
});

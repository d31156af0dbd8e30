import assert from 'node:assert/strict';
import { FakeClock } from '../testing/fake-clock.ts';
import { ServiceNotices, serviceNoticesFor, watchdogMsOf } from './service-notices.ts';

describe('ServiceNotices', () => {
  function made(config: { watchdogMs?: number } = {}) {
    const clock = new FakeClock();
    const said: string[] = [];
    const notices = new ServiceNotices(
      { clock, line: { say: (state) => said.push(state) } },
      { watchdogMs: config.watchdogMs, startingIntervalMs: 20_000 },
    );
    return { clock, said, notices };
  }

  it('says all through a long start that it goes on', async () => {
    const { clock, said, notices } = made();
    notices.starting();
    await clock.advance(60_000);
    assert.deepEqual(
      said,
      Array.from({ length: 4 }, () => 'EXTEND_TIMEOUT_USEC=120000000'),
    );
  });

  it('is ready once, and gives signs of life four times as often as asked', async () => {
    const { clock, said, notices } = made({ watchdogMs: 120_000 });
    notices.starting();
    notices.ready();
    await clock.advance(60_000);
    assert.deepEqual(said.slice(1), ['READY=1', 'WATCHDOG=1', 'WATCHDOG=1', 'WATCHDOG=1']);
  });

  it('shows what a start waits for until it is ready', () => {
    const { said, notices } = made();
    notices.starting();
    notices.waiting('The disk is full:\nmake room');
    notices.ready();
    assert.deepEqual(said.slice(1), ['STATUS=The disk is full: make room', 'STATUS=', 'READY=1']);
  });

  it('gives no signs of life when nobody asked for them', async () => {
    const { clock, said, notices } = made();
    notices.starting();
    notices.ready();
    await clock.advance(600_000);
    assert.deepEqual(said.slice(1), ['READY=1']);
    assert.equal(clock.sleeperCount, 0);
  });

  it('says nothing more once it stops, whether it was ready or not', async () => {
    for (const wasReady of [true, false]) {
      const { clock, said, notices } = made({ watchdogMs: 1_000 });
      notices.starting();
      if (wasReady) notices.ready();
      notices.stopping();
      await clock.advance(600_000);
      assert.equal(said.at(-1), 'STOPPING=1');
      assert.equal(clock.sleeperCount, 0);
    }
  });

  it('is there only for whoever is to be told', () => {
    const needs = { clock: new FakeClock(), processId: 7 };
    assert.equal(serviceNoticesFor({}, needs), undefined);
    assert.equal(serviceNoticesFor({ NOTIFY_SOCKET: '' }, needs), undefined);
    assert(serviceNoticesFor({ NOTIFY_SOCKET: '/run/systemd/notify' }, needs));
  });
});

describe('watchdogMsOf', () => {
  const cases: [environment: Record<string, string>, watchdogMs: number | undefined][] = [
    [{}, undefined],
    [{ WATCHDOG_USEC: '120000000' }, 120_000],
    [{ WATCHDOG_USEC: '120000000', WATCHDOG_PID: '7' }, 120_000],
    [{ WATCHDOG_USEC: '120000000', WATCHDOG_PID: '8' }, undefined],
    [{ WATCHDOG_USEC: '0' }, undefined],
    [{ WATCHDOG_USEC: 'soon' }, undefined],
  ];
  for (const [environment, watchdogMs] of cases) {
    it(`is ${watchdogMs} with ${JSON.stringify(environment)}`, () => {
      assert.equal(watchdogMsOf(environment, 7), watchdogMs);
    });
  }
});

import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { TransferControls } from '../../shared/domain/transfer-controls.ts';
import { AbortError, throwIfAborted } from '../../shared/runtime/abort-error.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { testDistributionPoint } from '../../shared/testing/test-distribution-point.ts';
import { ControlsTeller } from './controls-teller.ts';

const limit = (bytesPerSecond: number): TransferControls => ({
  limit: { kind: 'rate', bytesPerSecond },
});
const bare = (dpId = 'PS1DP1') => testDistributionPoint('a:1', dpId);
const limited = (bytesPerSecond = 4096): DistributionPoint => ({
  ...bare(),
  serveControls: limit(bytesPerSecond),
});
const pulling: DistributionPoint = {
  ...bare(),
  kind: 'pull',
  pull: { sources: [], allowFallback: true, packagesMax: 3 },
  controls: limit(2048),
};

/** The DPs of a site, as its connections see them. */
class FakeDps {
  readonly told: { dpId: string; request: Record<string, unknown> }[] = [];
  callCount = 0;
  isUp = true;
  failure: WaybillError | undefined;
  #changed = new WakeSignal();

  set up(isUp: boolean) {
    this.isUp = isUp;
    this.#changed.wake();
  }

  get last(): Record<string, unknown> | undefined {
    return this.told.at(-1)?.request;
  }

  channelTo({ dpId }: DistributionPoint) {
    return {
      unary: async (method: string, request: Record<string, unknown>) => {
        assert.equal(method, 'setControls');
        this.callCount += 1;
        if (this.failure) throw this.failure;
        if (!this.isUp) throw unreachable();
        this.told.push({ dpId, request });
        return {};
      },
    };
  }

  async reachable(_: DistributionPoint, signal: AbortSignal): Promise<boolean> {
    while (!this.isUp) await this.#changed.wait(signal);
    return true;
  }

  async lost(_: DistributionPoint, signal: AbortSignal): Promise<void> {
    try {
      while (this.isUp) await this.#changed.wait(signal);
    } catch (error) {
      throwIfAborted(signal);
      if (!(error instanceof AbortError)) throw error;
    }
  }
}

const unreachable = () =>
  new WaybillError({ code: 'PEER_UNREACHABLE', peer: 'DP', address: 'a:1', reason: 'gone' });

describe('controls teller (PULL-10)', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let clock: FakeClock;
  let dps: FakeDps;
  let teller: ControlsTeller;
  let log: CapturedLog;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
    clock = new FakeClock();
    dps = new FakeDps();
    await start();
  });
  afterEach(async () => {
    await teller.stop();
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  async function start(): Promise<void> {
    log = new CapturedLog();
    const { logger } = log;
    const connections = dps as never;
    teller = new ControlsTeller({ store, connections, clock, random: () => 0.5, logger });
    await teller.start();
  }

  const points = () => store.records(keySpaces.distributionPoints);
  const put = (point: DistributionPoint) =>
    store.write([points().put(point.dpId, point)], { sync: false });
  const toldHash = (dpId = 'PS1DP1') => store.records(keySpaces.toldControls).get(dpId);

  async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    for (let turn = 0; !(await condition()); turn++) {
      assert.ok(turn < 100_000, `never: ${condition}`);
      await nextTurn();
    }
  }
  /** So much was told, and nothing more. */
  async function toldTimes(count: number): Promise<void> {
    await until(async () => dps.told.length >= count && (await toldHash()) !== undefined);
    await clock.advance(2_000);
    assert.equal(dps.told.length, count);
  }

  it('tells a DP what is set for what it serves, at once when that changes', async () => {
    await put(limited(4096));
    await toldTimes(1);
    assert.deepEqual(dps.last, { fetching: {}, serving: { limit: { bytesPerSecond: 4096 } } });
    await put(limited(8192));
    await toldTimes(2);
    assert.deepEqual(dps.last?.serving, { limit: { bytesPerSecond: 8192 } });
    await put(bare());
    await toldTimes(3);
    assert.deepEqual(dps.last, { fetching: {}, serving: {} });
  });

  it('tells a pull DP what it may fetch, and how much at once; a standard one is sent what it gets', async () => {
    await put(pulling);
    await toldTimes(1);
    const settings = { packagesMax: 3 };
    const fetching = { limit: { bytesPerSecond: 2048 } };
    assert.deepEqual(dps.last, { fetching, serving: {}, settings });
    await put({ ...pulling, kind: 'standard' });
    await toldTimes(2);
    assert.deepEqual(dps.last, { fetching: {}, serving: {} });
  });

  it('tells nothing when something else of the DP changes', async () => {
    await put(limited());
    await toldTimes(1);
    await put({ ...limited(), description: 'another one' });
    await toldTimes(1);
  });

  it('tells a DP anew that was away: it may have lost what it was told', async () => {
    await put(limited());
    await toldTimes(1);
    dps.up = false;
    await clock.advance(60_000);
    dps.up = true;
    await toldTimes(2);
  });

  it('tells a DP that comes back what has changed meanwhile, and only that', async () => {
    dps.up = false;
    await put(limited(4096));
    await put(limited(8192));
    await clock.advance(600_000);
    dps.up = true;
    await toldTimes(1);
    assert.deepEqual(dps.last?.serving, { limit: { bytesPerSecond: 8192 } });
  });

  it('tries again with growing pauses while a DP refuses', async () => {
    dps.failure = new WaybillError({ code: 'PEER_FAILED', peer: 'DP', reason: 'too old' });
    await put(limited());
    await clock.advance(3_600_000);
    assert.equal(await toldHash(), undefined, 'nobody knows what it has');
    dps.failure = undefined;
    await clock.advance(60_000);
    await toldTimes(1);
  });

  it('says once why a DP could not be told, and quietly when it is only not there', async () => {
    const failures = () =>
      log.lines
        .filter(({ msg }) => msg === 'Distribution point could not be told')
        .map(({ level, err }) => [level, (err as Error).message]);
    const triedAgain = async () => {
      const enough = dps.callCount + 3;
      await until(async () => {
        await clock.advance(60_000);
        return dps.callCount >= enough;
      });
    };
    const away = [20, 'DP at a:1 cannot be reached: gone'];
    const refusing = [30, 'DP failed: too old'];
    dps.failure = unreachable();
    await put(bare());
    await triedAgain();
    await put({ ...bare(), description: 'another one' });
    await triedAgain();
    assert.deepEqual(failures(), [away]);
    dps.failure = new WaybillError({ code: 'PEER_FAILED', peer: 'DP', reason: 'too old' });
    await triedAgain();
    assert.deepEqual(failures(), [away, refusing]);
    dps.failure = undefined;
    await clock.advance(60_000);
    await toldTimes(1);
    dps.failure = unreachable();
    await put(limited());
    await until(() => failures().length > 2);
    assert.deepEqual(failures(), [away, refusing, away]);
  });

  it('tells after a restart those for which something is set, and those that were not told', async () => {
    await put(limited());
    await put(bare('PS1DP2'));
    await until(async () => (await toldHash('PS1DP2')) !== undefined);
    await toldTimes(2);
    await teller.stop();
    await store.write([store.records(keySpaces.toldControls).delete('PS1DP2')], { sync: false });
    dps.told.length = 0;
    await start();
    await toldTimes(1);
    assert.equal(dps.told[0]?.dpId, 'PS1DP1');
    await clock.advance(60_000);
    await until(() => dps.told.length === 2);
    assert.equal(dps.told[1]?.dpId, 'PS1DP2');
    await teller.stop();
    dps.told.length = 0;
    await start();
    await clock.advance(120_000);
    await toldTimes(1);
  });

  it('forgets a DP that is deleted, and tells it anew when it is added again', async () => {
    await put(limited());
    await toldTimes(1);
    await store.write([points().delete('PS1DP1')], { sync: false });
    await until(async () => (await toldHash()) === undefined);
    dps.up = false;
    dps.up = true;
    await clock.advance(60_000);
    assert.equal(dps.told.length, 1);
    await put(bare());
    await toldTimes(2);
    assert.deepEqual(dps.last?.serving, {});
  });
});

import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import {
  type DistributionPointHealth,
  type Reachability,
  unmeasured,
} from '../../shared/domain/distribution-point-health.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { AbortError, throwIfAborted } from '../../shared/runtime/abort-error.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { testDistributionPoint } from '../../shared/testing/test-distribution-point.ts';
import { ArrivalWatch } from './arrival-watch.ts';

const there = 'dp.example:8531';
const failure = { waitingReason: 'dp-unreachable', reason: 'it is of another site' } as const;

describe('watch for distribution points that arrive', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let clock: FakeClock;
  let watch: ArrivalWatch;
  /** Addresses at which a DP answers. */
  let up: Set<string>;
  /** Answers of DPs that have something wrong. */
  let wrong: Map<string, typeof failure | Error>;
  let checked: string[];
  /** How often a connection was waited for. */
  let waitCount: number;
  let changed: WakeSignal;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
    clock = new FakeClock();
    up = new Set();
    wrong = new Map();
    checked = [];
    waitCount = 0;
    changed = new WakeSignal();
    await start();
  });
  afterEach(async () => {
    await watch.stop();
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  const points = () => store.records(keySpaces.distributionPoints);
  const healths = () => store.records(keySpaces.distributionPointHealth);
  const healthOf = async (dpId: string) => (await healths().get(dpId)) ?? unmeasured(dpId);

  async function put(point: DistributionPoint): Promise<void> {
    await store.write([points().put(point.dpId, point)], { sync: false });
  }

  async function found(dpId: string, reachability: Reachability): Promise<DistributionPointHealth> {
    const health = { ...(await healthOf(dpId)), reachability };
    await store.write([healths().put(dpId, health)], { sync: false });
    return health;
  }

  async function start(): Promise<void> {
    const { logger } = new CapturedLog();
    watch = new ArrivalWatch({
      ...{ store, clock, logger, random: () => 1, hierarchy: { healthOf } },
      connections: {
        reachable: async ({ address }, signal) => {
          waitCount += 1;
          while (!up.has(address)) await changed.wait(signal).catch(() => throwIfAborted(signal));
          return true;
        },
      },
      checker: {
        check: async ({ dpId, address }) => {
          checked.push(dpId);
          const answer = wrong.get(address);
          if (answer instanceof Error) throw answer;
          const health = await found(dpId, answer ? 'unreachable' : 'reachable');
          return { health, ...(answer && { failure: answer }) };
        },
      },
    });
    await watch.start();
  }

  async function begins(address = there): Promise<void> {
    up.add(address);
    changed.wake();
  }

  async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    for (let turn = 0; !(await condition()); turn++) {
      assert.ok(turn < 100_000, `never: ${condition}`);
      await nextTurn();
    }
  }

  const isKnown = async (dpId = 'PS1DP1') => (await healthOf(dpId)).reachability === 'reachable';

  /** Whatever could still happen has, and it was asked no more than this. */
  async function checkedTimes(count: number): Promise<void> {
    await until(() => checked.length >= count);
    await clock.advance(120_000);
    assert.equal(checked.length, count);
  }

  it('looks at a DP that was added as soon as it is there, and then no more', async () => {
    await put(testDistributionPoint(there));
    await clock.advance(3_600_000);
    assert.deepEqual(checked, []);
    await begins();
    await until(() => isKnown());
    await checkedTimes(1);
  });

  it('looks at those that were not known when the site was killed, and at no others', async () => {
    await put(testDistributionPoint(there));
    await put(testDistributionPoint('b:1', 'PS1DP2'));
    await put(testDistributionPoint('c:1', 'PS1DP3'));
    await found('PS1DP2', 'reachable');
    await found('PS1DP3', 'unreachable');
    await watch.stop();
    for (const address of [there, 'b:1', 'c:1']) up.add(address);
    await start();
    await until(() => isKnown('PS1DP1'));
    await clock.advance(25);
    await until(() => isKnown('PS1DP3'));
    await checkedTimes(2);
    assert.deepEqual(checked.toSorted(), ['PS1DP1', 'PS1DP3']);
  });

  it('begins with one after the other at the start, however many there are', async () => {
    await watch.stop();
    const all = Array.from({ length: 100 }, (_, at) => testDistributionPoint(there, `DP${at}`));
    await store.write(
      all.map((point) => points().put(point.dpId, point)),
      { sync: false },
    );
    waitCount = 0;
    await start();
    for (const [seconds, count] of [
      [0, 1],
      [1, 41],
      [1, 81],
      [1, 100],
    ] as const) {
      await clock.advance(seconds * 1_000);
      await until(() => waitCount === count);
    }
    // One that is added now is begun with at once.
    await put(testDistributionPoint(there, 'NEW1'));
    await until(() => waitCount === 101);
  });

  it('notices that one is back that could not be reached', async () => {
    await put(testDistributionPoint(there));
    await begins();
    await until(() => isKnown());
    up.clear();
    await found('PS1DP1', 'unreachable');
    await begins();
    await until(() => isKnown());
    await checkedTimes(2);
  });

  it('looks where it is now when it was given another address', async () => {
    await put(testDistributionPoint('old:1'));
    await put({ ...testDistributionPoint(there), description: 'moved' });
    await begins('old:1');
    await clock.advance(120_000);
    assert.deepEqual(checked, []);
    await begins();
    await until(() => isKnown());
    await put({ ...testDistributionPoint(there), description: 'another one' });
    await checkedTimes(1);
  });

  it('asks one that does not pass again, less and less often', async () => {
    wrong.set(there, failure);
    await begins();
    await put(testDistributionPoint(there));
    for (const [at, seconds] of [1, 2, 4, 8, 16, 32, 60, 60].entries()) {
      await until(() => checked.length === at + 1 && clock.sleeperCount === 1);
      await clock.advance(seconds * 1_000 - 1);
      assert.equal(checked.length, at + 1);
      await clock.advance(1);
    }
    wrong.delete(there);
    await until(() => clock.sleeperCount === 1);
    await clock.advance(60_000);
    await until(() => isKnown());
  });

  it('goes on after a full disk, and after its channel was closed', async () => {
    await begins();
    for (const error of [
      new WaybillError({ code: 'DISK_FULL', path: '/var', freeBytes: 0, neededBytes: 1 }),
      new AbortError('The channel was closed'),
    ]) {
      checked = [];
      await store.write([points().delete('PS1DP1'), healths().delete('PS1DP1')], { sync: false });
      wrong.set(there, error);
      await put(testDistributionPoint(there));
      await until(() => checked.length === 1 && clock.sleeperCount === 1);
      wrong.delete(there);
      await clock.advance(1_000);
      await until(() => isKnown());
    }
  });

  it('watches for nobody who was deleted, and for nothing once stopped', async () => {
    await put(testDistributionPoint(there));
    await put(testDistributionPoint('b:1', 'PS1DP2'));
    await store.write([points().delete('PS1DP1')], { sync: false });
    await watch.stop();
    await begins();
    await begins('b:1');
    await checkedTimes(0);
  });
});

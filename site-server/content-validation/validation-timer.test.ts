import assert from 'node:assert/strict';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { PackageServer } from '../../shared/domain/site-package.ts';
import { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { ValidationTimer } from './validation-timer.ts';

const hourMs = 3_600_000;
const packageIds = Array.from(
  { length: 24 },
  (_, index) => `PS1000${String(index).padStart(2, '0')}`,
);

describe('The timer of validations (PKG-8)', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let clock: FakeClock;
  let points: DistributionPoint[];
  let timer: ValidationTimer | undefined;
  const log = new CapturedLog();

  const point = (dpId: string, everyHours: number): DistributionPoint => ({
    ...{ dpId, address: 'a:1', kind: 'standard', description: '', siteCode: 'PS1' },
    ...(everyHours > 0 && { validation: { everyHours, bytesPerSecond: 2_048 } }),
  });

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = log;
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
    clock = new FakeClock();
    points = [point('DP1', 24), point('DP2', 0)];
    const servers = store.records(keySpaces.packageServers);
    const rows = packageIds.flatMap((packageId) =>
      points.map(({ dpId }) => {
        const server: PackageServer = {
          ...{ packageId, dpId, intent: 'installed', action: 'none', changedAtMs: 0 },
        };
        return servers.put(joinKey(packageId, dpId), server);
      }),
    );
    await store.write(rows, { sync: false });
  });
  afterEach(async () => {
    await timer?.stop();
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  async function begin(): Promise<void> {
    await timer?.stop();
    timer = new ValidationTimer({
      ...{ store, clock, logger: log.logger, notifier: new ChangeNotifier({ store }) },
      packages: { servers: store.records(keySpaces.packageServers) },
      hierarchy: {
        list: async function* () {
          yield* points;
        },
      },
    });
    await timer.start();
  }

  async function pass(hours: number): Promise<void> {
    for (let passed = 0; passed < hours * 6; passed++) {
      // Its look works on the disk: it is waited for until it sleeps again.
      await asleep();
      await clock.advance(hourMs / 6);
    }
    await asleep();
  }

  async function asleep(): Promise<void> {
    while (clock.sleeperCount === 0) await new Promise((resolve) => setImmediate(resolve));
  }

  async function wished(): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for await (const [key, { wishedAtMs }] of store
      .records(keySpaces.ownValidationRequests)
      .list()) {
      found.set(key, wishedAtMs);
    }
    return found;
  }

  it('asks for each package of a DP with a schedule once in its period, spread over it', async () => {
    await begin();
    await pass(12);
    const half = (await wished()).size;
    assert.ok(half > 4 && half < 20, `${half} of 24 in half of the time`);
    await pass(12.5);
    const first = await wished();
    assert.deepEqual(
      [...first.keys()],
      packageIds.map((id) => `${id}/DP1`),
    );
    const rows = store.records(keySpaces.ownValidationRequests);
    const row = await rows.get(`${packageIds[0]}/DP1`);
    assert.deepEqual([row?.repair, row?.bytesPerSecond], [true, 2_048]);
    await pass(24);
    for (const [key, ms] of await wished()) assert.ok(ms > (first.get(key) ?? 0), key);
  });

  it('knows after a restart since when it is set, and asks once for what was missed', async () => {
    await begin();
    await pass(1);
    await timer?.stop();
    await clock.advance(10 * 24 * hourMs);
    await begin();
    await asleep();
    const all = await wished();
    assert.equal(all.size, packageIds.length);
    await pass(0.5);
    const isAgain = [...(await wished())].filter(([key, ms]) => all.get(key) !== ms);
    assert.ok(isAgain.length <= 2, 'nobody is asked for twice');
  });

  it('reads the rows of what has become due only, however much has a schedule', async () => {
    await begin();
    await pass(48);
    let readCount = 0;
    const { records } = store;
    Object.assign(store, {
      records: (space: Parameters<typeof records>[0]) => {
        const rows = records.call(store, space);
        if (space !== keySpaces.ownValidationRequests) return rows;
        const get = (key: string) => {
          readCount += 1;
          return rows.get(key);
        };
        const put: typeof rows.put = (key, row) => rows.put(key, row);
        return { get, put };
      },
    });
    await pass(24);
    assert.ok(readCount >= 24 && readCount <= 30, `${readCount} reads for 24 that became due`);
  });

  it('asks for nothing any more once the schedule is taken away', async () => {
    await begin();
    await pass(1);
    points = [point('DP1', 0), point('DP2', 0)];
    await pass(0.2);
    const before = (await wished()).size;
    await pass(30);
    assert.equal((await wished()).size, before);
    assert.equal(await store.records(keySpaces.validationSchedules).get('DP1'), undefined);
  });
});

import assert from 'node:assert/strict';
import { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { until } from '../despooler/testing/test-receiver.ts';
import { PackageEnd } from '../distribution-manager/package-end.ts';
import { PrestagedHolds } from './prestaged-holds.ts';

const packageId = 'CS100001';
const version = { packageId, sourceVersion: 2 };

describe('imported content that nobody is to have (PKG-12)', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let clock: FakeClock;
  let holds: PrestagedHolds;
  let notifier: ChangeNotifier;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
    clock = new FakeClock();
    notifier = new ChangeNotifier({ store });
    holds = new PrestagedHolds(
      { store, notifier, clock, logger },
      { keptMs: 10_000, sweepIntervalMs: 1_000 },
    );
  });
  afterEach(async () => {
    await holds.stop();
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  async function woken(): Promise<string[]> {
    const subjects: string[] = [];
    for await (const { subject } of notifier.pending('package')) subjects.push(subject);
    return subjects;
  }

  it('is kept until its time is over, then looked at again', async () => {
    await store.write([holds.newHold(version).change], { sync: false });
    await holds.sweep();
    assert.equal(await holds.isKept(packageId), true);
    assert.deepEqual(await woken(), []);
    await clock.advance(10_000);
    assert.equal(await holds.isKept(packageId), false);
    await holds.sweep();
    assert.deepEqual(await woken(), [packageId]);
    assert.equal(await store.records(keySpaces.prestagedPackages).get(packageId), undefined);
    assert.equal(await holds.isKept('CS100002'), false);
  });

  it('is looked for at the start and now and then', async () => {
    await store.write([holds.newHold(version).change], { sync: false });
    await holds.start();
    await until(async () => {
      await clock.advance(1_000);
      return (await woken()).length > 0;
    });
    assert.deepEqual(await woken(), [packageId]);
  });

  for (const [isKept, isDeleted, remains] of [
    [true, false, true],
    [false, false, false],
    [true, true, false],
  ] as const) {
    const when = isDeleted ? 'when it is deleted' : isKept ? 'while it is kept' : 'afterwards';
    it(`${remains ? 'stays' : 'goes'} ${when}`, async () => {
      const removed: string[] = [];
      const row = { packageId, sourceVersion: 2, state: isDeleted ? 'deleting' : 'published' };
      const packages = {
        packages: { get: async () => row },
        serversOf: async () => [],
        turn: async () => {},
      };
      const end = new PackageEnd({
        packages,
        hierarchyPackages: { isOwn: () => false, assignmentsOf: async () => [] },
        library: {
          getPackage: async () => undefined,
          removePackage: async (id: string) => void removed.push(id),
        },
        prestaged: { isKept: async () => isKept },
      } as unknown as ConstructorParameters<typeof PackageEnd>[0]);
      await end.run(packageId);
      assert.deepEqual(removed, remains ? [] : [packageId]);
    });
  }
});

import assert from 'node:assert/strict';
import { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import type { KeySpace } from '../../shared/state-store/key-space.ts';
import type { KeyRange, RecordStore } from '../../shared/state-store/record-store.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { ContentDpMap } from './content-dp-map.ts';

const packageId = 'PS100001';

describe('content DP map', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let map: ContentDpMap;
  /** Rows the map has read, one after another. */
  let readCount: number;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.join('state'), logger }));
    readCount = 0;
    const records = <V>(space: KeySpace<V>) => counting(store.records(space));
    const notifier = new ChangeNotifier({ store });
    map = new ContentDpMap({ store: { records }, notifier, clock: new FakeClock() });
  });
  afterEach(async () => {
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  function counting<V>(rows: RecordStore<V>): RecordStore<V> {
    const counted: Partial<RecordStore<V>> = {
      get: (key) => {
        readCount += 1;
        return rows.get(key);
      },
      getMany: (keys) => {
        readCount += keys.length;
        return rows.getMany(keys);
      },
      list: async function* (range?: KeyRange) {
        for await (const row of rows.list(range)) {
          readCount += 1;
          yield row;
        }
      },
      put: (key, value) => rows.put(key, value),
      delete: (key) => rows.delete(key),
    };
    return counted as RecordStore<V>;
  }

  async function put(
    state: 'held' | 'arriving',
    dpId: string,
    version: number,
    names = [packageId],
  ) {
    const contentIds = names.map((name) => `${name}.${version}`);
    const located = { packageId, dpId, sourceVersion: version, contentIds };
    await store.write(await map[state](located), { sync: false });
  }

  it('takes away nothing of another package, whatever a site calls the contents of its own (SEC-1)', async () => {
    await put('held', 'P1', 3);
    await put('arriving', 'P2', 3);
    const theirs = { packageId: 'PS200001', names: [packageId] };
    assert.deepEqual(await map.allGone(theirs), []);
    assert.deepEqual(await map.gone('P1', theirs), []);
    assert.deepEqual(await map.notArriving({ dpId: 'P2', sourceVersion: 9 }, theirs), []);
    const taken = { packageId: 'PS200001', dpId: 'P1', sourceVersion: 4 };
    await store.write(await map.held({ ...taken, contentIds: [`${packageId}.3`] }), {
      sync: false,
    });
    assert.equal((await map.locationsOf(`${packageId}.3`)).get('P1')?.packageId, packageId);
    assert.equal((await map.allGone({ packageId, names: [packageId] })).length, 2);
  });

  it('knows the versions of a content apart, and from contents of other names (PULL-2)', async () => {
    const names = [packageId, `${packageId}.a`, `${packageId}-b`, `${packageId}.1`];
    for (const version of [1, 2, 9, 10, 11]) await put('arriving', 'P1', version, names);
    for (const dpId of ['P0', 'P2']) await put('held', dpId, 10, names);
    await put('held', 'P1', 9);
    assert.equal(await map.olderContentAt(`${packageId}.12`, 'P1'), `${packageId}.9`);
    assert.equal(await map.olderContentAt(`${packageId}.12`, 'P2'), `${packageId}.10`);
    assert.equal(await map.olderContentAt(`${packageId}.a.12`, 'P1'), '');
    await put('arriving', 'P1', 10);
    await put('held', 'P1', 11);
    for (const version of [1, 2, 9, 10]) {
      const found = await map.locationsOf(`${packageId}.${version}`);
      assert.equal(found.has('P1'), false, `version ${version}`);
      assert.equal(found.has('P2'), version === 10);
      assert.equal((await map.locationsOf(`${packageId}.a.${version}`)).has('P1'), true);
    }
    await store.write(
      await map.notArriving(
        { dpId: 'P1', sourceVersion: 9 },
        { packageId, names: [`${packageId}.a`] },
      ),
      {
        sync: false,
      },
    );
    const left = [];
    for (const version of [1, 2, 9, 10, 11]) {
      if ((await map.locationsOf(`${packageId}.a.${version}`)).has('P1')) left.push(version);
    }
    assert.deepEqual(left, [10, 11]);
  });

  it('reads no more for one DP when very many have the content (PULL-2, PULL-11)', async function () {
    this.timeout(10_000);
    const costOf = async (dpId: string) => {
      readCount = 0;
      await map.olderContentAt(`${packageId}.3`, dpId);
      await put('arriving', dpId, 3);
      await map.notArriving({ dpId, sourceVersion: 3 }, { packageId, names: [packageId] });
      await put('held', dpId, 3);
      return readCount;
    };
    const few = await costOf('P1');
    for (let n = 1; n <= 300; n++)
      for (const version of [1, 2]) await put('held', `Q${n}`, version);
    await put('held', 'R', 1);
    const many = await costOf('P2');
    assert.ok(many <= few + 20, `${few} rows beside nobody, ${many} beside 300 DPs`);
  });
});

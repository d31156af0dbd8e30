import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import {
  notificationOf,
  packageId,
  refusedWith,
  source,
  TestPullDp,
  testVersion,
  until,
} from './testing/test-pull-dp.ts';

const diskFull = () =>
  new WaybillError({ code: 'DISK_FULL', path: '/', freeBytes: 1, neededBytes: 2 });

describe('notification of a pull DP (PULL-2)', () => {
  let directory: TemporaryDirectory;
  let test: TestPullDp;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    test = await TestPullDp.open(directory.path);
    await test.start();
  });
  afterEach(async () => {
    await test.close();
    await directory[Symbol.asyncDispose]();
  });

  it('needs the bundle it names, the very bytes of it', async () => {
    const version = testVersion();
    const notify = () => test.pullDp.notify(notificationOf(version, 1));
    await assert.rejects(notify(), refusedWith('ACTION_NOT_BEGUN'));
    const info = { packageId, jobSerial: 1, version, manifests: [] };
    test.pullDp.putPackageInfo({ ...info, bundleHash: 'cd'.repeat(32) });
    await assert.rejects(notify(), refusedWith('PACKAGE_INFO_MISMATCH'));
    assert.equal(test.jobs.size, 0);
    assert.deepEqual(test.receiver.begun, []);
  });

  const others: [string, Partial<ReturnType<typeof notificationOf>>][] = [
    ['another version', { sourceVersion: 2 }],
    ['another size', { sizeBytes: 999 }],
    ['other contents', { contents: [{ contentId: 'PS100001.9', relatedContentId: '' }] }],
    ['no contents', { contents: [] }],
  ];
  for (const [what, changes] of others) {
    it(`is refused with ${what} than the bundle's, before anything is done`, async () => {
      const call = test.notify(testVersion(), 1, changes);
      await assert.rejects(call, refusedWith('MESSAGE_INVALID'));
      assert.deepEqual(test.receiver.begun, []);
    });
  }

  it('is refused when the receiver refuses the action', async () => {
    const facts = { packageId, offered: 1, held: 2 };
    test.receiver.beginFailures.push(new WaybillError({ code: 'VERSION_DOWNGRADE', ...facts }));
    await assert.rejects(test.notify(testVersion(), 1), refusedWith('VERSION_DOWNGRADE'));
    test.receiver.newest.set(packageId, 9);
    await assert.rejects(test.notify(testVersion(), 8), refusedWith('ACTION_SUPERSEDED'));
    assert.equal(test.jobs.size, 0);
    assert.deepEqual(await test.messages(), []);
  });

  it('that comes again brings other sources and begins nothing anew', async () => {
    test.hold();
    await test.notify(testVersion(), 1);
    await until(() => test.fetcher.running.length === 1);
    const sources = [source('PS1DP2'), source('PS1DP3', 2)];
    // Without a bundle: the job has it.
    await test.pullDp.notify(notificationOf(testVersion(), 1, { sources, priority: 1 }));
    assert.deepEqual(test.fetcher.sourcesSet, [sources]);
    assert.deepEqual(test.jobs.get(packageId)?.sources, sources);
    assert.deepEqual(test.fetcher.running, [packageId]);
    assert.deepEqual(await test.told(), [`${packageId}:1 started`]);
    const other = notificationOf(testVersion(), 1, { bundleHash: 'cd'.repeat(32) });
    await assert.rejects(test.pullDp.notify(other), refusedWith('PACKAGE_INFO_MISMATCH'));
  });

  it('of a newer job cancels the older one, which is told once (PULL-8)', async () => {
    test.hold();
    await test.notify(testVersion(1), 1);
    await until(() => test.fetcher.running.length === 1);
    test.fetcher.scripts.clear();
    await test.notify(testVersion(2), 2);
    await test.done();
    const told = await test.told();
    assert.deepEqual(
      told.filter((one) => !one.endsWith('progress')),
      [
        `${packageId}:1 started`,
        `${packageId}:1 cancelled`,
        `${packageId}:2 started`,
        `${packageId}:2 downloaded`,
        `${packageId}:2 success`,
      ],
    );
    await assert.rejects(test.notify(testVersion(1), 1), refusedWith('ACTION_SUPERSEDED'));
  });

  it('is taken when there is no room for its manifests: the job waits', async () => {
    test.receiver.beginFailures.push(diskFull());
    await test.notify(testVersion(), 1);
    await test.done();
    assert.equal((await test.told()).at(-1), `${packageId}:1 success`);
  });

  it('tells where the management point is, and how many packages to fetch (PULL-10)', async () => {
    let changes = 0;
    test.settings.managementPointAddress.onChanged(() => {
      changes += 1;
    });
    assert.equal(test.settings.managementPointAddress.get(), undefined);
    await test.notify(testVersion(), 1, { managementPoint: 'ps1:1', packagesMax: 2 });
    assert.equal(changes, 1);
    await test.done();
    await test.stop();
    await test.start();
    assert.equal(test.settings.managementPointAddress.get(), 'ps1:1');
    assert.equal(test.settings.packagesMax, 2);
  });
}).timeout(10_000);

import assert from 'node:assert/strict';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { openTestMachine, type TestMachine, TestSite } from './testing/test-site.ts';

describe('where content is', () => {
  let machine: TestMachine;
  let site: TestSite;

  beforeEach(async () => {
    machine = await openTestMachine();
    site = await TestSite.start(machine);
    await site.addDistributionPoint('S1');
    const pull = { sources: [{ dpId: 'S1', rank: 1 }], allowFallback: false, packagesMax: 5 };
    await site.hierarchy.add({
      ...{ dpId: 'P1', address: 'P1:8531', kind: 'pull', description: '', pull },
    });
  });
  afterEach(async () => {
    await site[Symbol.asyncDispose]();
    await machine[Symbol.asyncDispose]();
  });

  const locations = async () => {
    const found: string[] = [];
    for await (const [key, { state }] of machine.store.records(keySpaces.contentDpMap).list()) {
      found.push(`${key} ${state}`);
    }
    return found;
  };
  const newsCount = () => site.pendingCount(['content-location']);

  async function distributed(...dpIds: string[]): Promise<string> {
    const packageId = await site.createPackage('v1');
    await site.distributionCommands.distribute({ packageId, dpIds });
    await site.settled();
    return packageId;
  }

  /** P1 fetches a version, as Package Transfer Manager writes it. */
  async function arriving(packageId: string, sourceVersion: number): Promise<void> {
    const contentIds = [`${packageId}.${sourceVersion}`];
    const version = { packageId, dpId: 'P1', sourceVersion, contentIds };
    const changes = await site.contentMap.arriving(version);
    await machine.store.write(changes, { sync: false });
  }

  it('asks no pull DP before its job (DM-4)', async () => {
    const packageId = await distributed('S1', 'P1');
    assert.deepEqual(machine.checkedDpIds, ['S1']);
    assert.equal((await site.requireJob(packageId, 'P1')).reason, '');
  });

  it('follows from results, older versions go, and each row brings its news (DM-5, PULL-2)', async () => {
    const packageId = await distributed('S1');
    await site.complete(packageId, 'S1');
    assert.deepEqual(await locations(), [`${packageId}.1/S1 held`]);
    assert.equal(await newsCount(), 1);
    machine.sources.directories.set('/source', 'v2');
    await site.packageCommands.update(packageId);
    await site.settled();
    assert.deepEqual(await locations(), [`${packageId}.1/S1 held`], 'until the update is there');
    await site.complete(packageId, 'S1');
    assert.deepEqual(await locations(), [`${packageId}.2/S1 held`]);
    assert.equal(await newsCount(), 2);
    await site.distributionCommands.remove({ packageId, dpIds: ['S1'] });
    await site.settled();
    await site.complete(packageId, 'S1');
    assert.deepEqual(await locations(), []);
  });

  it('what was arriving does so no more when its job fails or is cancelled (PULL-11)', async () => {
    const packageId = await distributed('P1');
    for (const state of ['failed', 'cancelled'] as const) {
      await arriving(packageId, 1);
      assert.deepEqual(await locations(), [`${packageId}.1/P1 arriving`]);
      await site.endJob(await site.requireJob(packageId, 'P1'), { state });
      await site.settled();
      assert.deepEqual(await locations(), []);
      const all = { packageId: undefined, dpId: undefined, failedOnly: false };
      await site.distributionCommands.retryFailed(all);
      await site.settled();
    }
  });

  it('what a DP holds it goes on holding when a repair of it fails (PKG-6, PULL-11)', async () => {
    const packageId = await distributed('P1');
    await site.complete(packageId, 'P1');
    await site.distributionCommands.redistribute({ packageId, dpIds: ['P1'] });
    await site.settled();
    await arriving(packageId, 1);
    await site.endJob(await site.requireJob(packageId, 'P1'), { state: 'failed' });
    await site.settled();
    assert.deepEqual(await locations(), [`${packageId}.1/P1 held`]);
  });

  it('tells nothing of a job that a newer one has taken over from (PULL-11)', async () => {
    const packageId = await distributed('P1');
    const older = await site.requireJob(packageId, 'P1');
    await arriving(packageId, 1);
    machine.sources.directories.set('/source', 'v2');
    await site.packageCommands.update(packageId);
    await site.settled();
    await arriving(packageId, 2);
    await site.endJob(older, { state: 'cancelled' });
    await site.settled();
    assert.deepEqual(await locations(), [
      `${packageId}.1/P1 arriving`,
      `${packageId}.2/P1 arriving`,
    ]);
    await site.complete(packageId, 'P1');
    assert.deepEqual(await locations(), [`${packageId}.2/P1 held`]);
  });

  it('what a removal has taken over from arrives no more, though it fails (PKG-7, PULL-11)', async () => {
    const packageId = await distributed('P1');
    const older = await site.requireJob(packageId, 'P1');
    await arriving(packageId, 1);
    await site.distributionCommands.remove({ packageId, dpIds: ['P1'] });
    await site.settled();
    await site.endJob(older, { state: 'cancelled' });
    await site.endJob(await site.requireJob(packageId, 'P1'), { state: 'failed' });
    await site.settled();
    assert.deepEqual(await locations(), []);
  });

  it('goes with the package (PKG-7)', async () => {
    const packageId = await distributed('S1', 'P1');
    for (const dpId of ['S1', 'P1']) await site.complete(packageId, dpId);
    await site.packageCommands.delete(packageId);
    await site.settled();
    for (const dpId of ['S1', 'P1']) await site.complete(packageId, dpId);
    await site.until(async () => (await site.getPackage(packageId)) === undefined);
    assert.deepEqual(await locations(), []);
  });
});

import assert from 'node:assert/strict';
import { joinKey } from '../../shared/state-store/key-space.ts';
import { openTestMachine, type TestMachine, TestSite } from './testing/test-site.ts';

describe('Distribution Manager deletes a package', () => {
  let machine: TestMachine;
  let site: TestSite;

  beforeEach(async () => {
    machine = await openTestMachine();
    site = await TestSite.start(machine);
    await site.addDistributionPoint('DP1');
    await site.addDistributionPoint('DP2');
  });

  afterEach(async () => {
    await site[Symbol.asyncDispose]();
    await machine[Symbol.asyncDispose]();
  });

  function distribute(packageId: string, ...dpIds: string[]): Promise<string[]> {
    return site.distributionCommands.distribute({ packageId, dpIds });
  }

  async function createInstalled(...dpIds: string[]): Promise<string> {
    const packageId = await site.createPackage('v1');
    await distribute(packageId, ...dpIds);
    await site.settled();
    for (const dpId of dpIds) await site.complete(packageId, dpId);
    return packageId;
  }

  it('removes it from every DP, then from the site (PKG-7)', async () => {
    const packageId = await createInstalled('DP1', 'DP2');
    await site.packageCommands.delete(packageId);
    await site.settled();
    await site.complete(packageId, 'DP1');
    assert.equal((await site.getPackage(packageId))?.state, 'deleting');
    assert.ok(machine.sources.packages.has(packageId));
    await site.complete(packageId, 'DP2');
    assert.equal(await site.getPackage(packageId), undefined);
    assert.equal(machine.sources.packages.has(packageId), false);
    assert.equal(await site.getStatus(packageId, ''), undefined);
  });

  it('does not read the source to its end', async () => {
    machine.sources.hold();
    const packageId = await site.createPackage('v1');
    await site.until(() => machine.sources.snapshotCount === 1);
    await site.packageCommands.delete(packageId);
    await site.settled();
    assert.equal(await site.getPackage(packageId), undefined);
  });

  it('does not wait for a DP that was taken out of the site', async () => {
    const packageId = await createInstalled('DP1');
    await site.packageCommands.delete(packageId);
    await site.settled();
    const { jobSerial } = await site.requireJob(packageId, 'DP1');
    await site.hierarchy.delete('DP1', { deletedBy: 'waybill://admin/full/alice' });
    await site.settled();
    assert.equal(await site.getPackage(packageId), undefined);
    assert.equal(await site.getStatus(packageId, 'DP1'), undefined);
    const subjects: string[] = [];
    for await (const { subject } of site.notifier.pending('distribution-job')) {
      subjects.push(subject);
    }
    assert.ok(subjects.includes(joinKey(jobSerial)), 'Package Transfer Manager is told');
  });
});

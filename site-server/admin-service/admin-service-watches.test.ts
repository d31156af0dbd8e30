import assert from 'node:assert/strict';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { Package } from '../../shared/rpc/generated/waybill/v1/Package.ts';
import type { PackageStatus } from '../../shared/rpc/generated/waybill/v1/PackageStatus.ts';
import type { TestMachine, TestSite } from '../distribution-manager/testing/test-site.ts';
import { AskedSite } from './testing/asked-site.ts';
import { until } from './testing/quiet-parts.ts';

describe('Watches of the admin service', () => {
  let asked: AskedSite;
  let machine: TestMachine;
  let site: TestSite;
  let admin: Conversation<'Admin'>;
  let context: CallContext;

  beforeEach(async () => {
    asked = await AskedSite.open();
    ({ machine, site, admin, context } = asked);
  });

  afterEach(() => asked[Symbol.asyncDispose]());

  it('watches a package from its snapshot to its end', async () => {
    const release = machine.sources.hold();
    const packageId = await asked.create();
    const watch = admin.watchPackage({ packageId }, context)[Symbol.asyncIterator]();
    const reading = await until(watch, ({ snapshotFiles }) => snapshotFiles === 1);
    assert.equal(reading.state, 'PACKAGE_STATE_SNAPSHOT');
    release();
    const published = await until(watch, ({ state }) => state === 'PACKAGE_STATE_PUBLISHED');
    assert.equal(published.handledRequestCount, 1);
    await admin.deletePackage({ packageId }, context);
    await until(watch, ({ state }) => state === 'PACKAGE_STATE_DELETED');
    assert.equal((await watch.next()).done, true);
  });

  it('tells a slow watcher the newest state, not every one', async () => {
    const packageId = await asked.create();
    await site.settled();
    const watch = admin.watchPackage({ packageId }, context)[Symbol.asyncIterator]();
    await watch.next();
    for (let count = 0; count < 20; count++) {
      await admin.updatePackage({ packageId }, context);
      await site.settled();
    }
    const next = (await watch.next()).value as Package;
    assert.equal(next.handledRequestCount, 21);
  });

  it('ends a watch when its caller goes', async () => {
    const packageId = await asked.create();
    await site.settled();
    const watch = admin.watchPackage({ packageId }, context)[Symbol.asyncIterator]();
    await watch.next();
    const ended = watch.next();
    asked.leave();
    assert.equal((await ended).done, true);
    const unknown = admin.watchPackage({ packageId: 'PS1FFFFF' }, context);
    await assert.rejects(unknown[Symbol.asyncIterator]().next(), { code: 'PACKAGE_UNKNOWN' });
  });

  it('watches package status, removal included', async () => {
    await asked.addDistributionPoint('DP1');
    const packageId = await asked.create();
    const filter = { packageId, dpId: 'DP1', failedOnly: false, siteCode: '', groupName: '' };
    const watch = admin.watchPackageStatus(filter, context)[Symbol.asyncIterator]();
    const targets = { packageId, dpIds: ['DP1'], allDps: false, siteCodes: [], groupNames: [] };
    const installing = until(watch, ({ state }) => state === 'PACKAGE_STATUS_STATE_INSTALLED');
    await admin.distributePackage(targets, context);
    await site.settled();
    await site.complete(packageId, 'DP1');
    const installed = await installing;
    assert.equal(installed.installedVersion, 1);
    assert.equal(installed.percent, 100);
    await admin.removePackage(targets, context);
    await site.settled();
    await site.complete(packageId, 'DP1');
    const removed = await until(watch, ({ state }) => state === 'PACKAGE_STATUS_STATE_REMOVED');
    assert.equal(removed.dpId, 'DP1');
  });

  it('tells a watcher of failures when one is mended', async () => {
    await asked.addDistributionPoint('DP1');
    const packageId = await asked.create();
    await admin.distributePackage(
      { packageId, dpIds: ['DP1'], allDps: false, siteCodes: [], groupNames: [] },
      context,
    );
    await site.settled();
    await site.endJob(await site.requireJob(packageId, 'DP1'), { state: 'failed', reason: 'x' });
    await site.settled();
    const filter = { packageId: '', dpId: '', failedOnly: true, siteCode: '', groupName: '' };
    const watch = admin.watchPackageStatus(filter, context)[Symbol.asyncIterator]();
    const first = (await watch.next()).value as PackageStatus;
    assert.equal(first.state, 'PACKAGE_STATUS_STATE_INSTALL_FAILED');
    assert.deepEqual(await admin.retryFailed({ ...filter, failedOnly: false }, context), {
      dpIds: ['DP1'],
      packageIds: [],
      siteCodes: [],
      siteDpIds: [],
    });
    const second = (await watch.next()).value as PackageStatus;
    assert.equal(second.state, 'PACKAGE_STATUS_STATE_INSTALL_PENDING');
  });
});

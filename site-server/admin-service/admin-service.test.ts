import assert from 'node:assert/strict';
import { callPolicy } from '../../shared/rpc/call-policy.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import type { TestMachine, TestSite } from '../distribution-manager/testing/test-site.ts';
import { conversationOf } from './testing/admin-conversation.ts';
import { AskedSite, noControls, testProperties } from './testing/asked-site.ts';
import { all } from './testing/quiet-parts.ts';

describe('Admin service', () => {
  let asked: AskedSite;
  let machine: TestMachine;
  let site: TestSite;
  let source: TemporaryDirectory;
  let admin: Conversation<'Admin'>;
  let context: CallContext;

  beforeEach(async () => {
    asked = await AskedSite.open();
    ({ machine, site, source, admin, context } = asked);
  });

  afterEach(() => asked[Symbol.asyncDispose]());

  it('answers every method of the proto with an own function', () => {
    for (const answer of Object.values(admin)) assert.equal(typeof answer, 'function');
    const paths = [...callPolicy.keys()].filter((path) => path.startsWith('/waybill.v1.Admin/'));
    assert.equal(Object.keys(admin).length, paths.length);
  });

  it('defines a package durably before it answers (PKG-1)', async () => {
    let isSynced = false;
    const { write } = machine.store;
    machine.store.write = async (changes, options) => {
      if (changes.some(({ space }) => space === 'packages')) isSynced ||= options.sync;
      await write.call(machine.store, changes, options);
    };
    const request = { properties: testProperties, sourceDirectories: [source.path] };
    const created = await admin.createPackage(request, context);
    assert.ok(isSynced);
    assert.equal(created.packageId, 'PS100001');
    assert.equal(created.state, 'PACKAGE_STATE_PENDING');
    assert.equal(created.acceptedRequestCount, 1);
    assert.equal(await asked.create(), 'PS100002');
  });

  it('never gives out a package ID again (PKG-1)', async () => {
    const packageId = await asked.create();
    await admin.deletePackage({ packageId }, context);
    await site.settled();
    await assert.rejects(admin.getPackage({ packageId }, context), { code: 'PACKAGE_UNKNOWN' });
    await asked.restart();
    assert.equal(await asked.create(), 'PS100002');
  });

  it('writes nothing of a package whose source is wrong', async () => {
    const request = { properties: testProperties, sourceDirectories: [source.join('absent')] };
    await assert.rejects(admin.createPackage(request, context), { code: 'SOURCE_MISSING' });
    assert.deepEqual(await all(admin.listPackages({}, context)), []);
  });

  it('changes properties and source without a new version', async () => {
    const packageId = await asked.create();
    await site.settled();
    const patch = { priority: 'PRIORITY_HIGH', programs: null, icon: null, name: 'New' } as const;
    await using other = await TemporaryDirectory.create();
    const sourceDirectories = [other.path];
    const request = { packageId, properties: patch, sourceDirectories };
    const changed = await admin.setPackage(request, context);
    assert.equal(changed.properties?.name, 'New');
    assert.equal(changed.properties.priority, 'PRIORITY_HIGH');
    assert.deepEqual(changed.properties.icon, testProperties.icon);
    assert.deepEqual(changed.sourceDirectories, sourceDirectories);
    assert.equal(changed.sourceVersion, 1);
    const two = { ...request, properties: null, sourceDirectories: [other.path, source.path] };
    await assert.rejects(admin.setPackage(two, context), { code: 'REQUEST_INVALID' });
    const none = { packageId, properties: null, sourceDirectories: [] };
    await assert.rejects(admin.setPackage(none, context), { code: 'REQUEST_INVALID' });
  });

  it('tells of a new priority, and of nothing else, whoever ranks jobs and sends (PTM-3)', async () => {
    await asked.addDistributionPoint('DP1');
    const packageId = await asked.create();
    await admin.distributePackage(
      { packageId, dpIds: ['DP1'], allDps: false, siteCodes: [], groupNames: [] },
      context,
    );
    await site.settled();
    const before = await site.pendingCount(['distribution-job']);
    const set = (priority: 'PRIORITY_NORMAL' | 'PRIORITY_HIGH') => {
      const patch = { name: 'New', priority, programs: null, icon: null };
      return admin.setPackage({ packageId, sourceDirectories: [], properties: patch }, context);
    };
    const sends = ['mini-job'] as const;
    const delivery = { ...{ packageId, siteCode: 'PS2', jobId: 'PS1-1', sourceVersion: 1 } };
    const row = { ...delivery, baseVersion: 0, wishes: {}, repeatCount: 0 };
    const key = joinKey(packageId, 'PS2');
    const put = machine.store.records(keySpaces.siteDeliveries).put(key, row);
    await machine.store.write([put], { sync: false });
    await set('PRIORITY_NORMAL');
    assert.equal(await site.pendingCount(['distribution-job']), before);
    assert.equal(await site.pendingCount(sends), 0);
    await set('PRIORITY_HIGH');
    assert.equal(await site.pendingCount(['distribution-job']), before + 1);
    assert.equal(await site.pendingCount(sends), 1);
  });

  it('lists and watches no jobs of what is not there; the history may tell of it', async () => {
    const filter = { packageId: '', dpId: '', history: false, limit: 0 };
    const refusals = [
      [{ ...filter, dpId: 'NOPE' }, { code: 'DISTRIBUTION_POINT_UNKNOWN' }],
      [{ ...filter, packageId: 'PS1000FF' }, { code: 'PACKAGE_UNKNOWN' }],
      [{ ...filter, packageId: 'no ID' }, { code: 'REQUEST_INVALID' }],
    ] as const;
    for (const [asked, refusal] of refusals) {
      await assert.rejects(all(admin.listJobs(asked, context)), refusal);
      await assert.rejects(all(admin.watchJobs(asked, context)), refusal);
      assert.deepEqual(await all(admin.listJobs({ ...asked, history: true }, context)), []);
    }
    await asked.addDistributionPoint('DP1');
    const known = { ...filter, dpId: 'DP1', packageId: await asked.create() };
    assert.deepEqual(await all(admin.watchJobs(known, context)), []);
  });

  it('refuses work on a package that is being deleted', async () => {
    await asked.addDistributionPoint('DP1');
    const packageId = await asked.create();
    const targets = { packageId, dpIds: ['DP1'], allDps: false, siteCodes: [], groupNames: [] };
    await admin.distributePackage(targets, context);
    await site.settled();
    await admin.deletePackage({ packageId }, context);
    const conflict = { code: 'PACKAGE_STATE_CONFLICT' };
    await assert.rejects(admin.updatePackage({ packageId }, context), conflict);
    await assert.rejects(admin.distributePackage(targets, context), conflict);
    const again = await admin.deletePackage({ packageId }, context);
    assert.equal(again.state, 'PACKAGE_STATE_DELETING');
  });

  it('tells for which distribution points something will happen (PKG-4, PKG-6, PKG-7)', async () => {
    for (const dpId of ['DP1', 'DP2']) await asked.addDistributionPoint(dpId);
    const packageId = await asked.create();
    const all = { packageId, dpIds: [], allDps: true, siteCodes: [], groupNames: [] };
    const one = { packageId, dpIds: ['DP1'], allDps: false, siteCodes: [], groupNames: [] };
    const unknown = { ...one, dpIds: ['DP1', 'DP9'] };
    const refused = { code: 'DISTRIBUTION_POINT_UNKNOWN' };
    await assert.rejects(admin.distributePackage(unknown, context), refused);
    await assert.rejects(admin.redistributePackage(one, context), { code: 'REQUEST_INVALID' });
    assert.deepEqual(await admin.removePackage(one, context), { dpIds: [] });
    assert.deepEqual(await admin.distributePackage(one, context), { dpIds: ['DP1'] });
    assert.deepEqual(await admin.distributePackage(all, context), { dpIds: ['DP2'] });
    assert.deepEqual(await admin.distributePackage(all, context), { dpIds: [] });
    assert.deepEqual(await admin.redistributePackage(all, context), { dpIds: ['DP1', 'DP2'] });
    assert.deepEqual(await admin.removePackage(all, context), { dpIds: ['DP1', 'DP2'] });
    assert.deepEqual(await admin.redistributePackage(all, context), { dpIds: [] });
    assert.deepEqual(await admin.distributePackage(one, context), { dpIds: ['DP1'] });
  });

  it('closes the channel to a distribution point that is deleted', async () => {
    const forgotten: string[] = [];
    const connections = { forget: (dpId: string) => void forgotten.push(dpId) };
    asked.admin = await conversationOf(site, source, { connections });
    for (const dpId of ['DP1', 'DP2']) await asked.addDistributionPoint(dpId);
    await asked.admin.deleteDistributionPoint({ dpId: 'DP1' }, context);
    assert.deepEqual(forgotten, ['DP1']);
  });

  it('counts the distribution points of a package', async () => {
    for (const dpId of ['DP1', 'DP2', 'DP3']) await asked.addDistributionPoint(dpId);
    const packageId = await asked.create();
    await admin.distributePackage(
      { packageId, dpIds: [], allDps: true, siteCodes: [], groupNames: [] },
      context,
    );
    await site.settled();
    await site.complete(packageId, 'DP1');
    await site.endJob(await site.requireJob(packageId, 'DP2'), { state: 'failed', reason: 'x' });
    await site.settled();
    const { counts } = await admin.getPackage({ packageId }, context);
    assert.deepEqual(counts, { targeted: 3, installed: 1, retrying: 0, failed: 1 });
    const [dp1] = await all(admin.listDistributionPoints({ siteCode: '' }, context));
    assert.equal(dp1?.packageCount, 1);
  });

  it('lists and watches packages without their icons', async () => {
    const packageId = await asked.create();
    await site.settled();
    const [listed] = await all(admin.listPackages({}, context));
    assert.equal(listed?.properties?.icon?.length, 0);
    assert.equal(listed.properties.iconName, 'i.ico');
    assert.equal((await admin.getPackage({ packageId }, context)).properties?.icon?.length, 4);
  });

  it('reads a refused source again when failures are retried (ADM-1)', async () => {
    const packageId = await asked.create();
    await site.settled();
    machine.sources.directories.delete(source.path);
    await admin.updatePackage({ packageId }, context);
    await site.settled();
    machine.sources.directories.set(source.path, 'v2');
    const filter = { packageId: '', dpId: '', failedOnly: false, siteCode: '', groupName: '' };
    assert.deepEqual(await admin.retryFailed(filter, context), {
      dpIds: [],
      packageIds: [packageId],
      siteCodes: [],
      siteDpIds: [],
    });
    await site.settled();
    assert.equal((await admin.getPackage({ packageId }, context)).sourceVersion, 2);
  });

  it('answers with what a distribution point says, or that it does not', async () => {
    await asked.addDistributionPoint('DP1');
    const good = await admin.checkDistributionPoint({ dpId: 'DP1' }, context);
    assert.equal(good.reachability, 'DISTRIBUTION_POINT_REACHABILITY_REACHABLE');
    assert.equal(good.freeBytes, 1e9);
    machine.answers.set('DP1', 'unreachable');
    const bad = await admin.checkDistributionPoint({ dpId: 'DP1' }, context);
    assert.equal(bad.reachability, 'DISTRIBUTION_POINT_REACHABILITY_UNREACHABLE');
    assert.match(bad.reason ?? '', /connection refused/);
    const kind = 'DISTRIBUTION_POINT_KIND_PULL';
    const facts = { dpId: 'DP2', address: 'a:1', siteCode: '', ...noControls };
    const pull = { ...facts, kind, pull: null } as const;
    await assert.rejects(admin.addDistributionPoint(pull, context), {
      message:
        'pull.sources: expected at least one source for a pull distribution point, or fallback allowed, got neither',
    });
    const sources = [{ dpId: 'DP1', rank: 7 }];
    const told = { sources, allowFallback: true, packagesMax: 0 };
    const added = await admin.addDistributionPoint({ ...pull, pull: told }, context);
    assert.equal(added.kind, kind);
    assert.deepEqual(added.pull, { ...told, packagesMax: 5 });
  });

  it('takes limits and schedules, and says what was expected of those that cannot be (ADM-3)', async () => {
    await asked.addDistributionPoint('DP1');
    const settings = {
      ...{ dpId: 'DP1', address: '', siteCode: '', pull: null, ...noControls },
      kind: 'DISTRIBUTION_POINT_KIND_UNSPECIFIED' as const,
    };
    const limit = { kind: 'bytesPerSecond', bytesPerSecond: '2048' } as const;
    const set = await admin.setDistributionPoint({ ...settings, controls: { limit } }, context);
    assert.deepEqual(set.controls, { limit: { bytesPerSecond: 2048 } });
    assert.equal(set.serveControls, undefined);
    const slow = { limit: { ...limit, bytesPerSecond: '1023' } };
    const refused = admin.setDistributionPoint({ ...settings, serveControls: slow }, context);
    const expected = 'serve_controls.limit: expected 1024 to 1000000000000, got 1023';
    await assert.rejects(refused, { message: expected });
    const hours = Array<'WINDOW_LEVEL_CLOSED'>(167).fill('WINDOW_LEVEL_CLOSED');
    const short = { schedule: { timeZone: 'UTC', hours } };
    const message = /controls\.schedule\.hours: expected 168 values/;
    const cut = admin.setDistributionPoint({ ...settings, controls: short }, context);
    await assert.rejects(cut, { message });
    const cleared = { ...settings, controls: { noLimit: true } };
    assert.equal((await admin.setDistributionPoint(cleared, context)).controls, undefined);
  });

  it('lists status messages as sentences, and refuses a limit that is too high', async () => {
    const packageId = await asked.create();
    await site.settled();
    const filter = { packageId, dpId: '', sinceMs: '0', limit: 1, messageId: 0, siteCode: '' };
    const severity = 'SEVERITY_UNSPECIFIED';
    const [message] = await all(admin.listStatusMessages({ ...filter, severity }, context));
    assert.equal(message?.text, `Processed package ${packageId}.`);
    assert.equal(message.severity, 'SEVERITY_INFORMATION');
    const tooMany = admin.listStatusMessages({ ...filter, severity, limit: 10_001 }, context);
    await assert.rejects(all(tooMany), { code: 'REQUEST_INVALID' });
  });
});

import assert from 'node:assert/strict';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import {
  openTestMachine,
  type TestMachine,
  TestSite,
} from '../distribution-manager/testing/test-site.ts';
import type { NewDistributionPoint } from './distribution-point-settings.ts';

const good: NewDistributionPoint = {
  dpId: 'PS1DP1',
  address: 'dp1.example.org:8531',
  kind: 'standard',
  description: '',
};

describe('Hierarchy Manager', () => {
  let machine: TestMachine;
  let site: TestSite;

  beforeEach(async () => {
    machine = await openTestMachine();
    site = await TestSite.start(machine);
  });

  afterEach(async () => {
    await site[Symbol.asyncDispose]();
    await machine[Symbol.asyncDispose]();
  });

  it('adds, changes, lists and deletes distribution points (ADM-3)', async () => {
    const { hierarchy } = site;
    const added = await hierarchy.add(good);
    assert.deepEqual(added, { ...good, siteCode: 'PS1' });
    const changed = await hierarchy.set({ dpId: 'PS1DP1', description: 'in the cellar' });
    assert.deepEqual(changed, { ...added, description: 'in the cellar' });
    await hierarchy.add({ ...good, dpId: 'PS1DP0' });
    const names: string[] = [];
    for await (const { dpId } of hierarchy.list()) names.push(dpId);
    assert.deepEqual(names, ['PS1DP0', 'PS1DP1']);
    await hierarchy.delete('PS1DP1');
    assert.equal(await hierarchy.get('PS1DP1'), undefined);
  });

  it('refuses what exists and what does not', async () => {
    const { hierarchy } = site;
    await hierarchy.add(good);
    const exists = { details: { code: 'DISTRIBUTION_POINT_EXISTS', dpId: 'PS1DP1' } };
    await assert.rejects(hierarchy.add(good), exists);
    for (const act of [hierarchy.delete('DP9'), hierarchy.set({ dpId: 'DP9' })]) {
      await assert.rejects(act, { details: { code: 'DISTRIBUTION_POINT_UNKNOWN', dpId: 'DP9' } });
    }
  });

  const bad: [string, Partial<NewDistributionPoint>][] = [
    ['dp_id', { dpId: '' }],
    ['dp_id', { dpId: '-dp' }],
    ['dp_id', { dpId: 'dp/1' }],
    ['dp_id', { dpId: 'x'.repeat(64) }],
    ['address', { address: 'dp1' }],
    ['address', { address: 'dp1:0' }],
    ['address', { address: 'dp1:65536' }],
    ['address', { address: '::1:80' }],
    ['kind', { kind: 'pull' }],
    ['description', { description: 'x'.repeat(4_097) }],
  ];
  for (const [field, wrong] of bad) {
    it(`refuses ${JSON.stringify(wrong).slice(0, 60)}, naming the field`, async () => {
      await assert.rejects(site.hierarchy.add({ ...good, ...wrong }), (error) => {
        return isErrorWithCode(error, 'REQUEST_INVALID') && hasField(error.details, field);
      });
      assert.equal(await site.hierarchy.get(wrong.dpId ?? good.dpId), undefined);
    });
  }

  it('takes all that was assigned to a deleted DP with it', async () => {
    await site.hierarchy.add(good);
    await site.hierarchy.add({ ...good, dpId: 'PS1DP2' });
    const packageId = await site.createPackage('v1');
    const dpIds = ['PS1DP1', 'PS1DP2'];
    await site.distributionCommands.distribute({ packageId, dpIds });
    await site.settled();
    await site.hierarchy.delete('PS1DP1');
    assert.equal(await site.packages.getServer(packageId, 'PS1DP1'), undefined);
    assert.equal(await site.getStatus(packageId, 'PS1DP1'), undefined);
    assert.equal((await site.getStatus(packageId, 'PS1DP2'))?.state, 'install-pending');
    const health = machine.store.records(keySpaces.distributionPointHealth);
    assert.equal(await health.get('PS1DP1'), undefined);
  });

  it('lets jobs be looked at again when an address changes', async () => {
    await site.hierarchy.add(good);
    const packageId = await site.createPackage('v1');
    await site.distributionCommands.distribute({ packageId, dpIds: ['PS1DP1'] });
    await site.settled();
    const { jobSerial } = await site.requireJob(packageId, 'PS1DP1');
    for await (const notification of site.notifier.pending('distribution-job')) {
      await machine.store.write([site.notifier.handled(notification)], { sync: false });
    }
    await site.hierarchy.set({ dpId: 'PS1DP1', address: 'elsewhere:8531' });
    const subjects: string[] = [];
    for await (const { subject } of site.notifier.pending('distribution-job'))
      subjects.push(subject);
    assert.deepEqual(subjects, [joinKey(jobSerial)]);
  });

  it('tunes the place of a DP in the queue from measured rates (PTM-3)', async () => {
    const { hierarchy } = site;
    await hierarchy.add(good);
    assert.equal((await hierarchy.healthOf('PS1DP1')).dpPriority, 200);
    const first = await hierarchy.recordTransferRate('PS1DP1', 100_000_000);
    assert.equal(first.dpPriority, 150);
    const second = await hierarchy.recordTransferRate('PS1DP1', 0);
    assert.equal(second.measuredBytesPerSecond, 70_000_000, 'one slow transfer is not the whole');
  });

  it('keeps measurements of several at once, and none of a DP that is gone', async () => {
    const { hierarchy } = site;
    await hierarchy.add(good);
    await Promise.all([
      hierarchy.recordTransferRate('PS1DP1', 1_000),
      hierarchy.recordReachability('PS1DP1', 'no route'),
    ]);
    const health = await hierarchy.healthOf('PS1DP1');
    assert.equal(health.measuredBytesPerSecond, 1_000);
    assert.equal(health.reachability, 'unreachable');
    assert.equal(health.reason, 'no route');
    await hierarchy.delete('PS1DP1');
    await hierarchy.recordReachability('PS1DP1');
    assert.equal((await hierarchy.healthOf('PS1DP1')).reachability, 'unknown');
  });
});

function hasField(details: object, field: string): boolean {
  return 'field' in details && details.field === field;
}

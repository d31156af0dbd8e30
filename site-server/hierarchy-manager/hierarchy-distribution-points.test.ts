import assert from 'node:assert/strict';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { DistributionPointCommands } from '../admin-service/distribution-point-commands.ts';
import { TestHierarchy } from '../distribution-manager/testing/test-hierarchy.ts';
import type { TestSite } from '../distribution-manager/testing/test-site.ts';
import type { OwnSite } from './site-directory.ts';

const parent = { siteCode: 'CS1', address: 'CS1:8530' };
const sites: readonly OwnSite[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent },
  { siteCode: 'PS2', kind: 'primary', parent },
];
const settings = { address: 'dp:8531', kind: 'standard', description: '' } as const;

describe('Distribution points of a hierarchy (ADM-3, ROLE-4)', () => {
  let hierarchy: TestHierarchy;
  let cs1: TestSite;
  let ps1: TestSite;
  let atTop: DistributionPointCommands;

  beforeEach(async () => {
    hierarchy = await TestHierarchy.open(sites);
    cs1 = hierarchy.of('CS1').site;
    ps1 = hierarchy.of('PS1').site;
    atTop = new DistributionPointCommands(cs1);
  });

  afterEach(() => hierarchy[Symbol.asyncDispose]());

  it('are added, changed and deleted at any site', async () => {
    await atTop.add({ dpId: 'PS1DP1', ...settings }, 'PS1');
    await hierarchy.rest();
    assert.deepEqual(await ps1.hierarchy.get('PS1DP1'), {
      ...{ dpId: 'PS1DP1', siteCode: 'PS1' },
      ...settings,
    });
    await atTop.set({ dpId: 'PS1DP1', address: 'other:8531' });
    await hierarchy.rest();
    assert.equal((await ps1.hierarchy.require('PS1DP1')).address, 'other:8531');
    const packageId = await cs1.createPackage('v1');
    await hierarchy.rest();
    await cs1.distributionCommands.distribute({ packageId, dpIds: ['PS1DP1'] });
    await hierarchy.rest();
    await atTop.delete('PS1DP1', 'waybill://admin/full/alice');
    await hierarchy.rest();
    assert.equal(await ps1.hierarchy.get('PS1DP1'), undefined);
    const revocations = cs1.store.records(keySpaces.revocations);
    assert.equal((await revocations.get('CS1/dp/PS1DP1'))?.revokedBy, 'waybill://admin/full/alice');
    assert.deepEqual(await ps1.packages.serversOf(packageId), []);
    assert.deepEqual(await cs1.hierarchyPackages.assignmentsOf(packageId), []);
    assert.equal(ps1.machine.sources.packages.has(packageId), false);
  });

  it('have limits and schedules that are set, and taken away, at any site (PTM-5, PTM-6)', async () => {
    const limit = { kind: 'rate', bytesPerSecond: 10_000_000 } as const;
    const schedule = { timeZone: 'Europe/Madrid', hours: Array<'closed'>(168).fill('closed') };
    await atTop.add({ dpId: 'PS1DP1', ...settings, controls: { limit } }, 'PS1');
    await atTop.set({ dpId: 'PS1DP1', serveControls: { schedule } });
    await hierarchy.rest();
    const there = await ps1.hierarchy.require('PS1DP1');
    assert.deepEqual([there.controls, there.serveControls], [{ limit }, { schedule }]);
    await atTop.set({ dpId: 'PS1DP1', controls: { limit: 'none', schedule } });
    await atTop.set({ dpId: 'PS1DP1', serveControls: { schedule: 'none' } });
    await hierarchy.rest();
    const facts = { dpId: 'PS1DP1', siteCode: 'PS1', ...settings };
    assert.deepEqual(await ps1.hierarchy.get('PS1DP1'), { ...facts, controls: { schedule } });
  });

  it('are deleted, and given an address, at their own site or above it alone (SEC-1)', async () => {
    await ps1.addDistributionPoint('PS1DP1');
    await hierarchy.rest();
    const ps2 = hierarchy.of('PS2').site;
    const atPs2 = new DistributionPointCommands(ps2);
    const refusal = { code: 'SITE_HAS_NO_SAY', message: /PS1DP1 is of site PS1/ };
    await assert.rejects(atPs2.delete('PS1DP1', 'waybill://admin/full/bob'), refusal);
    await assert.rejects(atPs2.set({ dpId: 'PS1DP1', address: 'evil:1' }), refusal);
    await atPs2.set({ dpId: 'PS1DP1', description: 'asked at PS2' });
    await hierarchy.rest();
    assert.equal((await ps1.hierarchy.require('PS1DP1')).description, 'asked at PS2');
  });

  it('that a site adds itself are known everywhere', async () => {
    await ps1.addDistributionPoint('PS1DP1');
    await hierarchy.rest();
    const ps2 = hierarchy.of('PS2').site;
    assert.equal((await ps2.hierarchy.requireAnywhere('PS1DP1')).siteCode, 'PS1');
    const taken = { code: 'DISTRIBUTION_POINT_EXISTS' };
    await assert.rejects(ps2.addDistributionPoint('PS1DP1'), taken);
    await assert.rejects(atTop.add({ dpId: 'PS1DP1', ...settings }, 'PS2'), taken);
  });

  it('have no names that differ by case alone, wherever they are', async () => {
    await ps1.addDistributionPoint('PS1DP1');
    await hierarchy.rest();
    const there = new DistributionPointCommands(ps1);
    const details = { code: 'DISTRIBUTION_POINT_EXISTS', dpId: 'PS1DP1' };
    await assert.rejects(there.add({ dpId: 'ps1dp1', ...settings }), { details });
    await assert.rejects(atTop.add({ dpId: 'Ps1Dp1', ...settings }, 'PS2'), { details });
    await atTop.delete('PS1DP1', 'waybill://admin/full/alice');
    await atTop.add({ dpId: 'ps1dp1', ...settings }, 'PS2');
  });

  for (const [what, siteCode, expected] of [
    ['the top', undefined, /a central administration site, which has no distribution points/],
    ['the top by its code', 'CS1', /a primary or secondary site \(PS1, PS2\)/],
    ['nowhere', 'XXX', /There is no site XXX/],
  ] as const) {
    it(`are not added to ${what}`, async () => {
      await assert.rejects(atTop.add({ dpId: 'X', ...settings }, siteCode), expected);
    });
  }

  it('fetch from DPs of their own site only', async () => {
    await atTop.add({ dpId: 'PS2DP1', ...settings }, 'PS2');
    const pull = { sources: [{ dpId: 'PS2DP1', rank: 1 }], allowFallback: false, packagesMax: 5 };
    const pulling = { dpId: 'PS1DP1', ...settings, kind: 'pull', pull } as const;
    await hierarchy.rest();
    const there = new DistributionPointCommands(ps1);
    for (const adding of [atTop.add(pulling, 'PS1'), there.add(pulling)]) {
      await assert.rejects(adding, {
        code: 'REQUEST_INVALID',
        message:
          /distribution points of site PS1, .* got PS2DP1 of site PS2\. .*--site PS1" lists them/,
      });
    }
    await assert.rejects(atTop.set({ dpId: 'NOPE' }), { code: 'DISTRIBUTION_POINT_UNKNOWN' });
    await assert.rejects(atTop.set({ dpId: 'PS2DP1' }, 'PS1'), /PS2, the site it is of/);
    await assert.rejects(atTop.add({ dpId: 'X', ...settings, address: 'no' }, 'PS1'), /address/);
  });

  it('that cannot be are reported, and the rest goes on', async () => {
    const pull = { sources: [{ dpId: 'PS1DP1', rank: 1 }], allowFallback: false, packagesMax: 5 };
    const { store } = cs1.machine;
    const points = store.records(keySpaces.hierarchyDistributionPoints);
    const facts = { ...settings, siteCode: 'PS1' };
    const put = (point: DistributionPoint) =>
      store.write([points.put(point.dpId, point)], { sync: false });
    await put({ ...facts, dpId: 'PS1DP2', kind: 'pull', pull });
    await put({ ...facts, dpId: 'PS1DP3', address: 'nonsense' });
    await put({ ...facts, dpId: 'PS1DP4' });
    await hierarchy.rest();
    assert.equal(await ps1.hierarchy.get('PS1DP2'), undefined);
    assert.equal(await ps1.hierarchy.get('PS1DP3'), undefined);
    assert.ok(await ps1.hierarchy.get('PS1DP4'));
    assert.deepEqual(
      (await ps1.messageIds()).filter((id) => id === 9006),
      [9006, 9006],
    );
    await put({ ...facts, dpId: 'PS1DP1' });
    await hierarchy.rest();
    assert.equal((await ps1.hierarchy.get('PS1DP2'))?.kind, 'pull', 'once its source is there');
  });

  it('go where another site has the name, as the later word has it', async () => {
    await ps1.addDistributionPoint('X');
    const ps2 = hierarchy.of('PS2').site;
    await ps2.addDistributionPoint('X');
    await hierarchy.rest();
    assert.equal(await ps1.hierarchy.get('X'), undefined);
    assert.equal((await ps2.hierarchy.get('X'))?.siteCode, 'PS2');
    const [told] = await ps1.status.query({ countMax: 1 });
    assert.equal(told?.messageId, 9006);
    assert.match(told.insertionStrings[1] ?? '', /of site PS2 now/);
  });

  it('have nothing any more that was wanted before they were deleted and added again', async () => {
    await atTop.add({ dpId: 'PS1DP1', ...settings }, 'PS1');
    const packageId = await cs1.createPackage('v1');
    await hierarchy.rest();
    await cs1.distributionCommands.distribute({ packageId, dpIds: ['PS1DP1'] });
    await hierarchy.rest();
    await atTop.delete('PS1DP1', 'waybill://admin/full/alice');
    await atTop.add({ dpId: 'PS1DP1', ...settings }, 'PS1');
    await hierarchy.rest();
    assert.ok(await ps1.hierarchy.get('PS1DP1'));
    assert.deepEqual(await ps1.packages.serversOf(packageId), []);
    assert.equal(await ps1.getStatus(packageId, 'PS1DP1'), undefined);
    assert.equal(ps1.machine.sources.packages.has(packageId), false);
  });

  it('get what was wanted for them at the site they were of before', async () => {
    await atTop.add({ dpId: 'DP1', ...settings }, 'PS2');
    const packageId = await cs1.createPackage('v1');
    await hierarchy.rest();
    await cs1.distributionCommands.distribute({ packageId, dpIds: ['DP1'] });
    const points = cs1.machine.store.records(keySpaces.hierarchyDistributionPoints);
    const moved = points.put('DP1', { dpId: 'DP1', siteCode: 'PS1', ...settings });
    await cs1.machine.store.write([moved], { sync: false });
    await hierarchy.rest();
    const ps2 = hierarchy.of('PS2').site;
    assert.equal((await ps1.getStatus(packageId, 'DP1'))?.state, 'installed');
    assert.equal(ps2.machine.sources.packages.has(packageId), false);
    assert.equal(await ps2.hierarchyPackages.ownContent(packageId), undefined);
  });

  for (const writes of [1, 2, 3, 4]) {
    it(`get what was wanted before they were known, though the site crashes at write ${writes}`, async () => {
      const packageId = await cs1.createPackage('v1');
      await hierarchy.rest();
      const wish = { packageId, dpId: 'PS1DP1', siteCode: 'PS1', wishId: 'w', wishedAtMs: 1 };
      const wanted = { ...wish, intent: 'installed', action: 'add' } as const;
      const { store } = cs1.machine;
      await store.write([cs1.hierarchyPackages.putAssignment(wanted)], { sync: false });
      await hierarchy.rest();
      await atTop.add({ dpId: 'PS1DP1', ...settings }, 'PS1');
      hierarchy.of('PS1').life.crashAt(writes, true);
      await hierarchy.rest();
      const { site } = hierarchy.of('PS1');
      assert.equal((await site.getStatus(packageId, 'PS1DP1'))?.state, 'installed');
    });
  }

  it('tell other sites when a source of theirs has gone', async () => {
    await ps1.addDistributionPoint('PS1DP1');
    const pull = { sources: [{ dpId: 'PS1DP1', rank: 1 }], allowFallback: true, packagesMax: 5 };
    await ps1.hierarchy.add({ dpId: 'PS1DP2', ...settings, kind: 'pull', pull });
    await hierarchy.rest();
    await atTop.delete('PS1DP1', 'waybill://admin/full/alice');
    await hierarchy.rest();
    assert.deepEqual((await ps1.hierarchy.require('PS1DP2')).pull?.sources, []);
    const seen = await cs1.hierarchy.requireAnywhere('PS1DP2');
    assert.deepEqual(seen.pull?.sources, []);
  });
});

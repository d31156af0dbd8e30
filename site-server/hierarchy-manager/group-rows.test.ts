import assert from 'node:assert/strict';
import type { RecordStore } from '../../shared/state-store/record-store.ts';
import { DistributionPointCommands } from '../admin-service/distribution-point-commands.ts';
import type { RequestedTargets } from '../admin-service/package-requests.ts';
import { SiteCommands } from '../admin-service/site-commands.ts';
import { assertNothingOf, TestHierarchy } from '../distribution-manager/testing/test-hierarchy.ts';
import type { TestSite } from '../distribution-manager/testing/test-site.ts';
import type { OwnSite } from './site-directory.ts';

const parent = { siteCode: 'CS1', address: 'CS1:8530' };
const sites: readonly OwnSite[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent },
  { siteCode: 'PS2', kind: 'primary', parent },
];
const dpIds = ['PS1DP1', 'PS1DP2', 'PS2DP1'];
const group = { groupName: 'Offices', description: '' };

describe('Groups of distribution points, over several sites (PKG-4, PKG-7, ADM-3)', () => {
  let hierarchy: TestHierarchy;
  let cs1: TestSite;
  let ps1: TestSite;
  let ps2: TestSite;
  let packageId: string;

  beforeEach(async () => {
    hierarchy = await TestHierarchy.open(sites);
    cs1 = hierarchy.of('CS1').site;
    ps1 = hierarchy.of('PS1').site;
    ps2 = hierarchy.of('PS2').site;
    for (const dpId of dpIds) await hierarchy.of(dpId.slice(0, 3)).site.addDistributionPoint(dpId);
    packageId = await cs1.createPackage('v1');
    await hierarchy.rest();
    await cs1.groupCommands.add(group, ['PS1DP1', 'PS2DP1']);
    await hierarchy.rest();
  });

  afterEach(() => hierarchy[Symbol.asyncDispose]());

  const toGroup = (): RequestedTargets => {
    return { packageId, dpIds: [], groupNames: ['Offices'] };
  };
  const holders = async () => {
    const having: string[] = [];
    for (const dpId of dpIds) {
      const { site } = hierarchy.of(dpId.slice(0, 3));
      if ((await site.getStatus(packageId, dpId))?.state === 'installed') having.push(dpId);
    }
    return having;
  };

  it('get what is distributed to them, whatever site their DPs are of', async () => {
    const accepted = await cs1.distributionCommands.distribute(toGroup());
    assert.deepEqual(accepted, ['PS1DP1', 'PS2DP1']);
    await hierarchy.rest();
    assert.deepEqual(await holders(), ['PS1DP1', 'PS2DP1']);
    assert.deepEqual(await cs1.distributionCommands.distribute(toGroup()), []);
  });

  it('give what they have to whoever joins, whatever site says so', async () => {
    await ps1.distributionCommands.distribute(toGroup());
    await hierarchy.rest();
    await ps2.groupCommands.join('Offices', ['PS1DP2', 'PS1DP1']);
    await hierarchy.rest();
    assert.deepEqual(await holders(), dpIds);
    const seen = await cs1.groupCommands.get('Offices');
    assert.deepEqual([seen.dpIds, seen.packageIds], [dpIds, [packageId]]);
  });

  it('give it also when who is in, and what they have, was said at two sites apart', async () => {
    await ps1.groupCommands.join('Offices', ['PS1DP2']);
    await ps2.distributionCommands.distribute(toGroup());
    await ps2.groupCommands.leave('Offices', ['PS1DP1']);
    await hierarchy.rest();
    assert.deepEqual(await holders(), ['PS1DP2', 'PS2DP1']);
  });

  it('let those that leave keep what they have, updates included', async () => {
    await cs1.distributionCommands.distribute(toGroup());
    await hierarchy.rest();
    await cs1.groupCommands.leave('Offices', ['PS1DP1']);
    await hierarchy.rest();
    assert.deepEqual(await holders(), ['PS1DP1', 'PS2DP1']);
    hierarchy.of('CS1').machine.sources.directories.set('/source', 'v2');
    await cs1.packageCommands.update(packageId);
    await hierarchy.rest();
    assert.equal((await ps1.getStatus(packageId, 'PS1DP1'))?.installedVersion, 2);
    await cs1.groupCommands.delete('Offices');
    await hierarchy.rest();
    assert.deepEqual(await holders(), ['PS1DP1', 'PS2DP1'], 'a group that is gone deletes nothing');
    assert.ok(hierarchy.of('PS2').machine.sources.packages.has(packageId));
  });

  it('refuse that one leaves that is not in it, with nothing changed', async () => {
    await assert.rejects(cs1.groupCommands.leave('Offices', ['PS1DP1', 'PS1DP2']), {
      message: 'dp_ids: expected distribution points that are in group Offices, got PS1DP2',
    });
    assert.deepEqual((await cs1.groupCommands.get('Offices')).dpIds, ['PS1DP1', 'PS2DP1']);
  });

  it('are deleted while nobody else concludes anything of their packages', async () => {
    await cs1.distributionCommands.distribute(toGroup());
    await hierarchy.rest();
    let isOver = false;
    let end = () => {};
    const turn = ps1.packages.turn(packageId, () => new Promise<void>((done) => (end = done)));
    const deleted = ps1.groupCommands.delete('Offices').then(() => {
      isOver = true;
    });
    await new Promise((next) => setImmediate(next));
    assert.equal(isOver, false, 'what is concluded meanwhile is not overwritten');
    end();
    await Promise.all([turn, deleted]);
    await hierarchy.rest();
    assert.deepEqual(await holders(), ['PS1DP1', 'PS2DP1']);
  });

  it('take it off those that leave and are to drop it, but what another group has', async () => {
    await cs1.groupCommands.add({ groupName: 'North', description: '' }, ['PS2DP1']);
    await cs1.distributionCommands.distribute({ ...toGroup(), groupNames: ['Offices', 'North'] });
    await hierarchy.rest();
    const isDropping = true;
    await ps2.groupCommands.leave('Offices', ['PS1DP1', 'PS2DP1'], { isDropping });
    await hierarchy.rest();
    assert.deepEqual(await holders(), ['PS2DP1']);
    await cs1.groupCommands.leave('North', ['PS2DP1'], { isDropping });
    await hierarchy.rest();
    assert.deepEqual(await holders(), []);
  });

  it('drop what was given elsewhere before they left, once that is known', async () => {
    await ps1.distributionCommands.distribute(toGroup());
    await hierarchy.settled();
    await hierarchy.rest();
    await ps2.groupCommands.leave('Offices', ['PS1DP1'], { isDropping: true });
    await hierarchy.rest();
    assert.deepEqual(await holders(), ['PS2DP1']);
  });

  it('lose what is taken off them, but those of another group that has it', async () => {
    await cs1.groupCommands.add({ groupName: 'North', description: '' }, ['PS2DP1']);
    await cs1.distributionCommands.distribute({ ...toGroup(), groupNames: ['Offices', 'North'] });
    await hierarchy.rest();
    assert.deepEqual(await ps1.distributionCommands.remove(toGroup()), ['PS1DP1']);
    await hierarchy.rest();
    assert.deepEqual(await holders(), ['PS2DP1']);
    await cs1.groupCommands.join('Offices', ['PS1DP2']);
    await hierarchy.rest();
    assert.deepEqual(await holders(), ['PS2DP1'], 'who joins later gets what it has then');
  });

  for (const how of ['leaves', 'is deleted'] as const) {
    it(`keep what another group has lost before, when the one that gave it ${how}`, async () => {
      await cs1.groupCommands.add({ groupName: 'North', description: '' }, ['PS2DP1']);
      await cs1.distributionCommands.distribute({ ...toGroup(), groupNames: ['Offices', 'North'] });
      await hierarchy.rest();
      await ps1.distributionCommands.remove(toGroup());
      await hierarchy.rest();
      if (how === 'leaves') await cs1.groupCommands.leave('North', ['PS2DP1']);
      else await cs1.groupCommands.delete('North');
      await hierarchy.rest();
      assert.deepEqual(await holders(), ['PS2DP1']);
    });
  }

  it('do not bring back what was taken off a DP by name since, until they are given it again', async () => {
    await cs1.distributionCommands.distribute(toGroup());
    await hierarchy.rest();
    await ps2.distributionCommands.remove({ packageId, dpIds: ['PS1DP1'] });
    await hierarchy.rest();
    await cs1.groupCommands.join('Offices', ['PS1DP2']);
    await cs1.groupCommands.set({ groupName: 'Offices', description: 'other' });
    await cs1.packageCommands.update(packageId);
    await hierarchy.tellAgain(packageId);
    await hierarchy.rest();
    assert.deepEqual(await holders(), ['PS1DP2', 'PS2DP1']);
    const accepted = await cs1.distributionCommands.distribute(toGroup());
    assert.deepEqual(accepted, ['PS1DP1']);
    await hierarchy.rest();
    assert.deepEqual(await holders(), dpIds);
  });

  it('heed a removal by name that comes to the DP only after the group was acted on', async () => {
    await ps2.distributionCommands.distribute(toGroup());
    await hierarchy.replicate('PS2', 'CS1');
    await hierarchy.settled();
    await cs1.distributionCommands.remove({ packageId, dpIds: ['PS1DP1'] });
    await hierarchy.replicate('PS2', 'PS1');
    await hierarchy.settled();
    assert.equal((await ps1.packages.getServer(packageId, 'PS1DP1'))?.intent, 'installed');
    await hierarchy.rest();
    assert.deepEqual(await holders(), ['PS2DP1']);
  });

  it('count by what was known, not by a clock that is ahead', async () => {
    await hierarchy.of('PS1').machine.clock.advance(300_000);
    await ps1.distributionCommands.distribute(toGroup());
    await hierarchy.rest();
    await cs1.distributionCommands.remove({ packageId, dpIds: ['PS1DP1'] });
    await hierarchy.rest();
    assert.deepEqual(await holders(), ['PS2DP1'], 'removed after the group was given it');
    await ps1.distributionCommands.remove({ packageId, dpIds: ['PS2DP1'] });
    await hierarchy.rest();
    await ps2.distributionCommands.distribute(toGroup());
    await hierarchy.rest();
    assert.deepEqual(await holders(), ['PS1DP1', 'PS2DP1'], 'given it after it was removed');
  });

  it('are left by a DP that is deleted, and forget a package that is', async () => {
    await cs1.distributionCommands.distribute(toGroup());
    await hierarchy.rest();
    const commands = new DistributionPointCommands(cs1);
    await commands.delete('PS1DP1', 'waybill://admin/full/alice');
    await hierarchy.rest();
    assert.deepEqual((await ps2.groupCommands.get('Offices')).dpIds, ['PS2DP1']);
    const again = {
      dpId: 'PS1DP1',
      address: 'dp:8531',
      kind: 'standard',
      description: '',
    } as const;
    await commands.add(again, 'PS1');
    await hierarchy.rest();
    assert.deepEqual(await holders(), ['PS2DP1'], 'added again, it is in no group');
    await cs1.packageCommands.delete(packageId);
    await hierarchy.rest();
    await assertNothingOf(hierarchy, packageId);
    assert.deepEqual((await ps1.groupCommands.get('Offices')).packageIds, []);
  });

  it('are gone, and what they said last still holds where it was not heard yet', async () => {
    await cs1.distributionCommands.distribute(toGroup());
    await cs1.groupCommands.delete('Offices');
    await hierarchy.rest();
    assert.deepEqual(await holders(), ['PS1DP1', 'PS2DP1'], 'given before it was deleted');
    await cs1.groupCommands.add(group, ['PS1DP1', 'PS2DP1']);
    await cs1.distributionCommands.distribute(toGroup());
    await cs1.groupCommands.leave('Offices', ['PS1DP1'], { isDropping: true });
    await cs1.distributionCommands.remove(toGroup());
    await cs1.groupCommands.delete('Offices');
    await hierarchy.rest();
    assert.deepEqual(await holders(), [], 'taken before it was deleted');
  });

  it('are left by the DPs of a site that is taken out, with all it said of packages', async () => {
    const own = await ps2.createPackage('other');
    await hierarchy.rest();
    const groupNames = ['Offices'];
    await cs1.distributionCommands.distribute({ packageId: own, dpIds: [], groupNames });
    await hierarchy.rest();
    await new SiteCommands(cs1).delete('PS2', {
      withPackages: true,
      deletedBy: 'waybill://admin/full/alice',
    });
    assert.deepEqual((await cs1.groupCommands.get('Offices')).dpIds, ['PS1DP1']);
    const { groups } = cs1.hierarchyPackages;
    for (const rows of [groups.members, groups.assignments, groups.wishes] as const) {
      const keys: string[] = [];
      for await (const [key] of (rows as RecordStore<unknown>).list()) keys.push(key);
      assert.ok(!keys.some((key) => key.includes('PS2')), keys.join(' '));
    }
  });

  it('are made again with those that are named, and with nobody else', async () => {
    await cs1.groupCommands.delete('Offices');
    await ps1.groupCommands.join('Offices', ['PS1DP2']);
    await hierarchy.rest();
    const rows = cs1.hierarchyPackages.groups;
    assert.deepEqual(await rows.membersOf('Offices'), ['PS1DP2'], 'said before it was known');
    await assert.rejects(cs1.groupCommands.get('Offices'), { code: 'GROUP_UNKNOWN' });
    await cs1.groupCommands.add(group, ['PS1DP1']);
    await hierarchy.rest();
    assert.deepEqual((await ps1.groupCommands.get('Offices')).dpIds, ['PS1DP1']);
    await cs1.groupCommands.delete('Offices');
    await ps1.groupCommands.join('Offices', ['PS1DP1', 'PS1DP2']);
    await hierarchy.rest();
    await cs1.groupCommands.add(group, ['PS1DP1']);
    await hierarchy.rest();
    assert.deepEqual((await ps1.groupCommands.get('Offices')).dpIds, ['PS1DP1']);
  });

  it('give what they have to a DP that joined before its site knew of it', async () => {
    await cs1.distributionCommands.distribute(toGroup());
    await hierarchy.rest();
    const settings = { address: 'dp:8531', kind: 'standard', description: '' } as const;
    await new DistributionPointCommands(cs1).add({ dpId: 'PS1DP3', ...settings }, 'PS1');
    await cs1.groupCommands.join('Offices', ['PS1DP3']);
    await hierarchy.rest();
    assert.equal((await ps1.getStatus(packageId, 'PS1DP3'))?.state, 'installed');
  });

  for (const writes of [1, 2, 3, 4, 5]) {
    it(`are acted on though the site of the DP crashes at write ${writes} (DM-1)`, async () => {
      await cs1.distributionCommands.distribute(toGroup());
      hierarchy.of('PS1').life.crashAt(writes, writes % 2 === 0);
      await hierarchy.rest();
      assert.deepEqual(await holders(), ['PS1DP1', 'PS2DP1']);
      await cs1.groupCommands.leave('Offices', ['PS1DP1'], { isDropping: true });
      hierarchy.of('PS1').life.crashAt(writes, writes % 2 === 1);
      await hierarchy.rest();
      assert.deepEqual(await holders(), ['PS2DP1']);
    });
  }
});

import assert from 'node:assert/strict';
import type { SiteDefinition, SiteKind } from '../../shared/domain/site.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import {
  openTestMachine,
  type TestMachine,
  testProperties,
} from '../distribution-manager/testing/test-site.ts';
import { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import { SiteCommands } from './site-commands.ts';

const by = { deletedBy: 'waybill://admin/full/alice' };

describe('Commands about sites (ADM-3)', () => {
  let machine: TestMachine;
  let sites: SiteDirectory;
  let commands: SiteCommands;

  beforeEach(async () => {
    machine = await openTestMachine();
    sites = new SiteDirectory({
      store: machine.store,
      own: { siteCode: 'CS1', kind: 'central-administration' },
    });
    await sites.start();
    commands = new SiteCommands({ ...machine, sites }, { siteCountMax: 4, sitesBelowMax: 2 });
    await commands.add(siteOf('PS1', 'primary', 'CS1'));
    await commands.add(siteOf('SS1', 'secondary', 'PS1'));
  });

  afterEach(async () => {
    await sites.stop();
    await machine[Symbol.asyncDispose]();
  });

  for (const [what, site, expected] of [
    ['this site', siteOf('CS1', 'primary', ''), { code: 'SITE_EXISTS' }],
    ['one that is known', siteOf('PS1', 'primary', 'CS1'), { code: 'SITE_EXISTS' }],
    ['an unknown parent', siteOf('PS2', 'primary', 'XXX'), /parent_site_code: .*XXX is not/],
    ['a secondary without parent', siteOf('SS2', 'secondary', ''), /parent_site_code/],
    [
      'a primary without parent',
      siteOf('PS2', 'primary', ''),
      /parent_site_code.*a parent, .* got none\. Name it with --parent/,
    ],
    ['a second top', siteOf('CS2', 'central-administration', ''), /kind.*has its top/],
    ['a secondary below the top', siteOf('SS2', 'secondary', 'CS1'), /a parent that is a primary/],
    ['a primary below a secondary', siteOf('PS2', 'primary', 'SS1'), /parent_site_code/],
    ['a top below another', siteOf('CS2', 'central-administration', 'CS1'), /no parent/],
    ['itself as its parent', siteOf('PS2', 'primary', 'PS2'), /another site as its parent/],
  ] as const) {
    it(`refuses to add ${what}`, async () => {
      await assert.rejects(commands.add(site), expected);
    });
  }

  it('says what a site is only at a site above it', async () => {
    await commands.set({ siteCode: 'CS1', address: 'cs1:1' });
    await commands.add(siteOf('PS2', 'primary', 'CS1'));
    const parent = { siteCode: 'CS1', address: 'cs1:1' };
    const below = new SiteDirectory({
      store: machine.store,
      own: { siteCode: 'PS1', kind: 'primary', parent },
    });
    await below.start();
    const atPrimary = new SiteCommands({ ...machine, sites: below });
    await atPrimary.set({ siteCode: 'SS1', description: 'below' });
    await assert.rejects(atPrimary.set({ siteCode: 'PS1', description: 'x' }), /Ask site CS1/);
    await assert.rejects(atPrimary.set({ siteCode: 'PS2', description: 'x' }), /Ask site CS1/);
    const away = { siteCode: 'SS1', parentSiteCode: 'PS2' };
    await assert.rejects(atPrimary.set(away), /Ask site PS2 or CS1/);
    await assert.rejects(atPrimary.add(siteOf('PS3', 'primary', 'CS1')), /Ask site CS1/);
    await assert.rejects(atPrimary.delete('PS2', by), /Ask site CS1(?! or)/, 'each once');
    await assert.rejects(atPrimary.delete('CS1', by), /Ask site CS1(?! or)/, 'none over the top');
    await atPrimary.add(siteOf('SS2', 'secondary', 'PS1'));
    await atPrimary.delete('SS1', by);
    await below.stop();
  });

  it('refuses more sites than a hierarchy may have', async () => {
    await commands.add(siteOf('PS2', 'primary', 'CS1'));
    await assert.rejects(commands.add(siteOf('PS3', 'primary', 'CS1')), /at most 4 sites/);
  });

  it('refuses more sites below one than may be there, but at the top', async () => {
    await commands.set({ siteCode: 'CS1', address: 'cs1:1' });
    const parent = { siteCode: 'CS1', address: 'cs1:1' };
    const below = new SiteDirectory({
      store: machine.store,
      own: { siteCode: 'PS1', kind: 'primary', parent },
    });
    await below.start();
    const atPrimary = new SiteCommands(
      { ...machine, sites: below },
      { siteCountMax: 9, sitesBelowMax: 2 },
    );
    await atPrimary.add(siteOf('SS2', 'secondary', 'PS1'));
    await assert.rejects(
      atPrimary.add(siteOf('SS3', 'secondary', 'PS1')),
      /at most 2 sites below PS1, got 3/,
    );
    await assert.rejects(atPrimary.add(siteOf('PS2', 'primary', 'CS1')), /Ask site CS1/);
    await commands.set({ siteCode: 'SS2', description: 'x' });
    await below.stop();
  });

  it('changes what is said of a site, within what its place allows', async () => {
    const changed = await commands.set({ siteCode: 'PS1', address: 'new:1', description: 'x' });
    assert.deepEqual(changed, {
      ...siteOf('PS1', 'primary', 'CS1'),
      address: 'new:1',
      description: 'x',
    });
    await assert.rejects(commands.set({ siteCode: 'XXX' }), { code: 'SITE_UNKNOWN' });
    const asSecondary = { siteCode: 'PS1', kind: 'secondary', parentSiteCode: 'CS1' } as const;
    await assert.rejects(commands.set(asSecondary), { code: 'REQUEST_INVALID' });
    const asTop = { siteCode: 'PS1', kind: 'central-administration' } as const;
    await assert.rejects(commands.set(asTop), /no parent/);
    const own = { siteCode: 'CS1', kind: 'primary' } as const;
    await assert.rejects(commands.set(own), /central-administration, as this site is configured/);
    await commands.set({ siteCode: 'CS1', address: 'cs1:8530' });
    assert.equal(sites.tree.get('CS1')?.address, 'cs1:8530');
  });

  it('refuses to delete a site that is needed, and itself', async () => {
    await assert.rejects(commands.delete('XXX', by), { code: 'SITE_UNKNOWN' });
    await assert.rejects(commands.delete('CS1', by), { code: 'REQUEST_INVALID' });
    await assert.rejects(commands.delete('PS1', by), { code: 'SITE_IN_USE' });
    const { store } = machine;
    const definition = {
      ...{ packageId: 'SS100001', sourceSiteCode: 'SS1', properties: testProperties },
      directories: ['/a'],
    };
    const definitions = store.records(keySpaces.packageDefinitions);
    await store.write([definitions.put('SS100001', definition)], { sync: false });
    await assert.rejects(commands.delete('SS1', by), /there is SS100001/);
    await store.write([definitions.delete('SS100001')], { sync: false });
    await commands.delete('SS1', by);
    await commands.delete('PS1', by);
    assert.deepEqual(
      sites.tree.list().map(({ siteCode }) => siteCode),
      ['CS1'],
    );
  });

  it('deletes a site with its DPs, their certificates, what was wanted of them, and its routes (SEC-3)', async () => {
    const { store } = machine;
    const points = store.records(keySpaces.hierarchyDistributionPoints);
    const assignments = store.records(keySpaces.packageAssignments);
    const facts = { address: 'a:1', kind: 'standard', description: '' } as const;
    const wish = { packageId: 'CS100001', intent: 'installed', action: 'add' } as const;
    for (const [dpId, siteCode] of [
      ['SS1DP1', 'SS1'],
      ['PS1DP1', 'PS1'],
    ] as const) {
      const point = points.put(dpId, { dpId, siteCode, ...facts });
      const assigned = { ...wish, dpId, siteCode, wishId: dpId, wishedAtMs: 1 };
      const assignment = assignments.put(joinKey('CS100001', dpId), assigned);
      await store.write([point, assignment], { sync: false });
    }
    await commands.setRoute({ fromSiteCode: 'PS1', toSiteCode: 'SS1', addresses: ['b:2'] });
    await commands.delete('SS1', by);
    assert.equal(await points.get('SS1DP1'), undefined);
    assert.equal(await assignments.get(joinKey('CS100001', 'SS1DP1')), undefined);
    const revoked: string[] = [];
    const revocations = store.records(keySpaces.revocations);
    for await (const [, { holder }] of revocations.list()) revoked.push(holder);
    assert.deepEqual(revoked, ['dp/SS1DP1', 'site/SS1']);
    assert.ok(await points.get('PS1DP1'));
    assert.ok(await assignments.get(joinKey('CS100001', 'PS1DP1')));
    assert.deepEqual(await routes(), []);
  });

  it('replaces routes between known sites, and takes them away', async () => {
    const route = { fromSiteCode: 'CS1', toSiteCode: 'PS1', addresses: ['a:1', 'b:2'] };
    await commands.setRoute(route);
    assert.deepEqual(await routes(), [route]);
    assert.deepEqual(sites.addressesOf('PS1'), ['a:1', 'b:2']);
    await commands.setRoute({ ...route, addresses: [] });
    assert.deepEqual(await routes(), []);
    const limit = { kind: 'rate', bytesPerSecond: 5_000_000 } as const;
    const between = { fromSiteCode: 'CS1', toSiteCode: 'PS1' };
    await commands.setRoute({ ...between, controls: { limit } });
    assert.deepEqual(await routes(), [{ ...between, addresses: [], controls: { limit } }]);
    assert.equal(sites.hasRouteTo('PS1'), false, 'a limit names no way (REP-4)');
    assert.deepEqual(sites.addressesOf('PS1'), ['PS1:8530']);
    await commands.setRoute(route);
    assert.deepEqual(await routes(), [{ ...route, controls: { limit } }]);
    assert.ok(sites.hasRouteTo('PS1'));
    await commands.setRoute({ ...between, addresses: [] });
    assert.deepEqual(await routes(), [{ ...between, addresses: [], controls: { limit } }]);
    await commands.setRoute({ ...between, controls: { limit: 'none' } });
    assert.deepEqual(await routes(), []);
    const unknown = { ...route, toSiteCode: 'XXX' };
    await assert.rejects(commands.setRoute(unknown), { code: 'SITE_UNKNOWN' });
    const circle = { ...route, toSiteCode: 'CS1' };
    await assert.rejects(commands.setRoute(circle), { code: 'REQUEST_INVALID' });
  });

  async function routes() {
    const all = [];
    for await (const route of commands.routes()) all.push(route);
    return all;
  }
});

function siteOf(siteCode: string, kind: SiteKind, parentSiteCode: string): SiteDefinition {
  return { siteCode, kind, parentSiteCode, address: `${siteCode}:8530`, description: '' };
}

import assert from 'node:assert/strict';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { assertNothingOf } from './testing/test-hierarchy.ts';
import type { testProperties } from './testing/test-site.ts';
import { cs1, hierarchy, openThreeSitesBeforeEach, ps1, ps2 } from './testing/three-sites.ts';

describe('who has a say about a package of a hierarchy (SEC-1)', () => {
  openThreeSitesBeforeEach();

  /** What PS2 says all the same, in the wrong hands or with an older program, reaches the source site. */
  async function askedByPs2(packageId: string): Promise<void> {
    const asked = { packageId, siteCode: 'PS2', updateCount: 0, isDeletion: true };
    const { apply, site } = hierarchy.of(packageId.slice(0, 3));
    const told = site.notifier.notification('hierarchy-package', packageId);
    await apply([ps2.hierarchyPackages.putOwnRequests(asked), told]);
  }

  it('has the properties and directories that were named last, here or at a site above', async () => {
    const packageId = await hierarchy.createAt('PS1');
    ps1.machine.sources.directories.set('/other', 'v2');
    const rename = (properties: typeof testProperties) => ({ ...properties, name: 'Renamed' });
    await cs1.packageCommands.set(packageId, rename, ['/other']);
    await hierarchy.rest();
    for (const site of [cs1, ps1, ps2]) {
      assert.equal((await site.packages.require(packageId)).properties.name, 'Renamed');
    }
    assert.equal((await ps1.packages.require(packageId)).sources[0]?.directory, '/other');
  });

  it('reads and runs what its source site, or one above it, says, and no other (SEC-1)', async () => {
    const packageId = await hierarchy.createAt('CS1');
    const same = (properties: typeof testProperties) => properties;
    const programs = [{ name: 'Install', commandLine: 'evil' }];
    const refusal = { code: 'SITE_HAS_NO_SAY', message: /CS100001 is of site CS1/ };
    await assert.rejects(ps1.packageCommands.set(packageId, same, ['/other']), refusal);
    const running = (properties: typeof testProperties) => ({ ...properties, programs });
    await assert.rejects(ps1.packageCommands.set(packageId, running, []), refusal);
    const rename = (properties: typeof testProperties) => ({ ...properties, name: 'Renamed' });
    await ps1.packageCommands.set(packageId, rename, ['/source']);
    await hierarchy.rest();
    assert.equal((await cs1.packages.require(packageId)).properties.name, 'Renamed');
  });

  it('puts a directory back that its source site cannot read, and reports it', async () => {
    const packageId = await hierarchy.createAt('PS1');
    await cs1.packageCommands.set(packageId, (properties) => properties, ['/nowhere']);
    await hierarchy.rest();
    assert.equal((await ps1.packages.require(packageId)).sources[0]?.directory, '/source');
    const definition = await cs1.hierarchyPackages.definitions.get(packageId);
    assert.deepEqual(definition?.directories, ['/source']);
    assert.ok((await ps1.messageIds()).includes(2306));
  });

  it('is deleted at the word of a site above, where nothing else is asked of it since', async () => {
    const packageId = await hierarchy.createAt('PS1');
    await cs1.distributionCommands.distribute({ packageId, dpIds: 'all' });
    await hierarchy.rest();
    await cs1.packageCommands.delete(packageId);
    const conflict = { code: 'PACKAGE_STATE_CONFLICT' };
    await assert.rejects(cs1.packageCommands.update(packageId), conflict);
    await assert.rejects(
      cs1.distributionCommands.distribute({ packageId, dpIds: ['PS2DP1'] }),
      conflict,
    );
    await hierarchy.rest();
    await assertNothingOf(hierarchy, packageId);
  });

  it('is deleted by its source site and by those above it, and by no other (SEC-1)', async () => {
    const [atTop, atPs1] = [await hierarchy.createAt('CS1'), await hierarchy.createAt('PS1')];
    const refusal = { code: 'SITE_HAS_NO_SAY', message: /is of site (CS1|PS1)/ };
    for (const packageId of [atTop, atPs1]) {
      await assert.rejects(ps2.packageCommands.delete(packageId), refusal);
      await askedByPs2(packageId);
    }
    await hierarchy.rest();
    assert.equal((await cs1.packages.require(atTop)).state, 'published');
    assert.equal((await ps1.packages.require(atPs1)).state, 'published');
    // It was not above it, and is now.
    const { store } = ps1.machine;
    const sites = store.records(keySpaces.sites);
    const cs1Row = await sites.get('CS1');
    assert.ok(cs1Row);
    await store.write([sites.put('CS1', { ...cs1Row, parentSiteCode: 'PS2' })], { sync: false });
    await ps1.until(async () => (await ps1.getPackage(atPs1))?.state !== 'published');
  });

  it('stays, and says who asked for its deletion without a say, once (SEC-1)', async () => {
    const packageId = await hierarchy.createAt('PS1');
    const refusals = async () => (await ps1.messageIds()).filter((id) => id === 9005).length;
    await askedByPs2(packageId);
    await hierarchy.rest();
    assert.equal(await refusals(), 1);
    await hierarchy.tellAgain(packageId);
    await hierarchy.rest();
    assert.equal(await refusals(), 1);
    assert.equal((await ps1.packages.require(packageId)).state, 'published');
  });

  it('is like any other at a site that asked for its deletion without a say (ROLE-4)', async () => {
    const packageId = await hierarchy.createAt('PS1');
    const asked = { packageId, siteCode: 'PS2', updateCount: 0, isDeletion: true };
    const row = ps2.hierarchyPackages.putOwnRequests(asked);
    // An older program wrote it, and handled all that it told.
    await hierarchy.restart('PS2', () => hierarchy.of('PS2').apply([row]));
    const { site } = hierarchy.of('PS2');
    const stands = async () => (await site.hierarchyPackages.ownRequests(packageId))?.isDeletion;
    await site.until(async () => (await stands()) === false);
    await hierarchy.rest();
    await site.packageCommands.update(packageId);
    await site.distributionCommands.distribute({ packageId, dpIds: ['PS2DP1'] });
    await hierarchy.rest();
    assert.equal((await site.getStatus(packageId, 'PS2DP1'))?.state, 'installed');
    assert.equal((await ps1.packages.require(packageId)).acceptedRequestCount, 2);
  });

  it('says again what it is when that went with what was refused elsewhere', async () => {
    const packageId = await hierarchy.createAt('PS1');
    const { store } = cs1.machine;
    const before = await cs1.hierarchyPackages.definitions.get(packageId);
    assert.deepEqual(before?.directories, ['/source']);
    await store.write([cs1.hierarchyPackages.definitions.delete(packageId)], { sync: false });
    await hierarchy.rest();
    for (const site of [cs1, ps1, ps2]) {
      assert.deepEqual(await site.hierarchyPackages.definitions.get(packageId), before);
    }
  });

  it('is refused a directory that does not answer, and holds up nothing (DM-1)', async () => {
    const packageId = await hierarchy.createAt('PS1');
    ps1.machine.sources.silent.add('/mount');
    await cs1.packageCommands.set(packageId, (properties) => properties, ['/mount']);
    await hierarchy.replicate('CS1', 'PS1');
    const { clock } = ps1.machine;
    await ps1.until(() => clock.sleeperCount > 0);
    await clock.advance(30_000);
    await hierarchy.rest();
    const row = await ps1.packages.require(packageId);
    assert.deepEqual(
      row.sources.map(({ directory }) => directory),
      ['/source'],
    );
    assert.ok((await ps1.messageIds()).includes(2306));
  });
});

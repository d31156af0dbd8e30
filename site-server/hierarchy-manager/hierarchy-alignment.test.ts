import assert from 'node:assert/strict';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { recoverPackages } from '../distribution-manager/package-recovery.ts';
import { PackageIds } from '../distribution-manager/package-ids.ts';
import { TestHierarchy } from '../distribution-manager/testing/test-hierarchy.ts';
import {
  openTestMachine,
  type TestMachine,
  TestSite,
} from '../distribution-manager/testing/test-site.ts';
import type { OwnSite } from './site-directory.ts';

const alone: OwnSite = { siteCode: 'PS1', kind: 'primary' };
const parent = { siteCode: 'CS1', address: 'CS1:8530' };
const below: OwnSite = { siteCode: 'PS1', kind: 'primary', parent };
const sites: readonly OwnSite[] = [{ siteCode: 'CS1', kind: 'central-administration' }, below];

describe('A site that joins the hierarchy', () => {
  let machine: TestMachine;

  beforeEach(async () => {
    machine = await openTestMachine();
  });

  afterEach(() => machine[Symbol.asyncDispose]());

  it('makes itself known at the top only, and says what it was alone with', async () => {
    const packageId = await (async () => {
      await using site = await TestSite.start(machine);
      await site.addDistributionPoint('DP1');
      const created = await site.createPackage('v1');
      await site.distributionCommands.distribute({ packageId: created, dpIds: ['DP1'] });
      await site.settled();
      await site.complete(created, 'DP1');
      return created;
    })();
    await forgetReplicated(machine);
    await using site = await TestSite.start(machine, { own: alone });
    const { store } = machine;
    const { hierarchyPackages } = site;
    assert.equal((await store.records(keySpaces.sites).get('PS1'))?.address, 'PS1:8530');
    const definition = await hierarchyPackages.definitions.get(packageId);
    assert.deepEqual(definition?.directories, ['/source']);
    assert.ok(await store.records(keySpaces.hierarchyDistributionPoints).get('DP1'));
    const wish = await hierarchyPackages.getAssignment(packageId, 'DP1');
    assert.equal(wish?.action, 'add');
    assert.equal((await site.packages.getServer(packageId, 'DP1'))?.wishId, wish.wishId);
    const written: number[] = [];
    const unsubscribe = store.onWritten((changes) => written.push(changes.length));
    await using again = await TestSite.start(machine, { own: alone });
    await again.settled();
    unsubscribe();
    assert.deepEqual(written, [], 'the second time all is said');
  });

  it('says nothing of itself where a site above makes it known', async () => {
    await using site = await TestSite.start(machine, { own: below });
    await site.settled();
    assert.equal(await machine.store.records(keySpaces.sites).get('PS1'), undefined);
  });

  it('says nothing after damage that other sites may know better', async () => {
    {
      await using site = await TestSite.start(machine);
      await site.addDistributionPoint('DP1');
      await site.createPackage('v1');
      await site.settled();
    }
    await forgetReplicated(machine);
    await using site = await TestSite.start(machine, { own: below, isStoreDamaged: true });
    assert.equal(await site.hierarchyPackages.definitions.get('PS100001'), undefined);
  });
});

describe('A site of a hierarchy, after damage or a crash', () => {
  let hierarchy: TestHierarchy;
  let packageId: string;

  beforeEach(async () => {
    hierarchy = await TestHierarchy.open(sites);
    const { site } = hierarchy.of('PS1');
    await site.addDistributionPoint('PS1DP1');
    packageId = await hierarchy.of('CS1').site.createPackage('v1');
    await hierarchy.rest();
    await hierarchy.of('CS1').site.distributionCommands.distribute({ packageId, dpIds: 'all' });
    await hierarchy.rest();
  });

  afterEach(() => hierarchy[Symbol.asyncDispose]());

  it('tells its source site what its library has lost', async () => {
    const one = hierarchy.of('PS1');
    await one.site[Symbol.asyncDispose]();
    one.life.crash();
    one.machine.sources.packages.delete(packageId);
    await using site = await TestSite.start(one.machine, { own: below });
    const said = await site.hierarchyPackages.ownContent(packageId);
    assert.equal(said?.storedVersion, 0);
    assert.equal(said.needsFull, true);
    const row = await site.packages.require(packageId);
    assert.deepEqual([row.state, row.sourceVersion], ['pending', 0]);
  });

  it('tells what its library has, when that was committed and not said', async () => {
    const one = hierarchy.of('PS1');
    await one.site[Symbol.asyncDispose]();
    one.life.crash();
    const { store } = one.machine;
    const key = joinKey(packageId, 'PS1');
    await store.write([store.records(keySpaces.siteContents).delete(key)], { sync: false });
    await using site = await TestSite.start(one.machine, { own: below });
    const said = await site.hierarchyPackages.ownContent(packageId);
    assert.deepEqual([said?.state, said?.storedVersion], ['stored', 1]);
  });

  it('reads packages of other sites back as such, and lets nothing of them go for silence', async () => {
    const machine = await openTestMachine();
    const { packages } = hierarchy.of('PS1').machine.sources;
    for (const [id, version] of packages) machine.sources.packages.set(id, version);
    const own = below;
    const site = await TestSite.start(machine, { own, isStoreDamaged: true });
    await recoverPackages({
      ...site,
      ...{ clock: machine.clock, logger: machine.log.logger },
      ...{ library: machine.sources.library, siteCode: 'PS1', isStoreDamaged: true },
    });
    const row = await site.packages.require(packageId);
    assert.equal(row.awaitedVersion, 1);
    assert.equal(row.acceptedRequestCount, row.handledRequestCount);
    const again = site.notifier.notification('hierarchy-package', packageId);
    await machine.store.write([again], { sync: false });
    await site.until(async () => {
      return (await site.pendingCount(['hierarchy-package', 'package'])) === 0;
    });
    assert.equal((await site.packages.require(packageId)).state, 'published');
    assert.equal(machine.sources.snapshotCount, 0, 'nothing is published here');
    await site[Symbol.asyncDispose]();
    await machine[Symbol.asyncDispose]();
  });

  it('gives out no package ID that the hierarchy remembers (PKG-1)', async () => {
    const machine = await openTestMachine();
    const { store, clock } = machine;
    const definition = await hierarchy.of('CS1').site.hierarchyPackages.definitions.get(packageId);
    assert.ok(definition);
    const row = { ...definition, packageId: 'PS10000A' };
    const put = store.records(keySpaces.packageDefinitions).put('PS10000A', row);
    await store.write([put], { sync: false });
    const counters = { store, clock, siteCode: 'PS1', isStoreDamaged: false };
    assert.equal((await (await PackageIds.open(counters)).next()).packageId, 'PS10000B');
    await machine[Symbol.asyncDispose]();
  });
});

/** As a site has it that was alone until now. */
async function forgetReplicated({ store }: TestMachine): Promise<void> {
  for (const space of [
    keySpaces.sites,
    keySpaces.packageDefinitions,
    keySpaces.packageAssignments,
    keySpaces.hierarchyDistributionPoints,
  ]) {
    const records = store.records<unknown>(space);
    for await (const [key] of records.list()) {
      await store.write([records.delete(key)], { sync: false });
    }
  }
  const servers = store.records(keySpaces.packageServers);
  for await (const [key, { wishId: _, ...server }] of servers.list()) {
    await store.write([servers.put(key, server)], { sync: false });
  }
}

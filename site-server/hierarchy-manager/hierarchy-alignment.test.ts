import assert from 'node:assert/strict';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { DistributionPointCommands } from '../admin-service/distribution-point-commands.ts';
import { PackageIds } from '../distribution-manager/package-ids.ts';
import { recoverPackages } from '../distribution-manager/package-recovery.ts';
import { TestHierarchy } from '../distribution-manager/testing/test-hierarchy.ts';
import {
  openTestMachine,
  type TestMachine,
  TestSite,
} from '../distribution-manager/testing/test-site.ts';
import { type OwnSite, SiteDirectory } from './site-directory.ts';

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

  it('says what it was alone with in portions, however much it is', async () => {
    const { store } = machine;
    {
      await using site = await TestSite.start(machine);
      for (let at = 0; at < 3; at++) await site.createPackage('v1', `/source${at}`);
      await site.settled();
    }
    await forgetReplicated(machine);
    const servers = store.records(keySpaces.packageServers);
    const wanted = { intent: 'installed', action: 'none', changedAtMs: 1 } as const;
    const packageId = 'PS100001';
    for (let at = 0; at < 700; at++) {
      const dpId = `DP${at}`;
      const row = servers.put(joinKey(packageId, dpId), { packageId, dpId, ...wanted });
      await store.write([row], { sync: false });
    }
    const written: number[] = [];
    const unsubscribe = store.onWritten((changes) => {
      const isOfWishes = changes.some(({ space }) => space === keySpaces.packageAssignments.name);
      if (isOfWishes) written.push(changes.length);
    });
    await using site = await TestSite.start(machine, { own: alone });
    unsubscribe();
    assert.equal((await site.hierarchyPackages.assignmentsOf(packageId)).length, 700);
    assert.ok(written.length > 1 && Math.max(...written) <= 502, `${written}`);
  });

  it('says nothing of itself where a site above makes it known', async () => {
    await using site = await TestSite.start(machine, { own: below });
    await site.settled();
    assert.equal(await machine.store.records(keySpaces.sites).get('PS1'), undefined);
  });

  it('puts right what it said of its place while it was alone', async () => {
    const sites = machine.store.records(keySpaces.sites);
    {
      await using site = await TestSite.start(machine, { own: alone });
      await site.settled();
    }
    await using site = await TestSite.start(machine, { own: below });
    await site.settled();
    assert.equal((await sites.get('PS1'))?.parentSiteCode, 'CS1');
    const taken = { kind: 'secondary', parentSiteCode: 'XXX', address: 'a:1', description: 'x' };
    await machine.store.write(
      [sites.put('PS1', { siteCode: 'PS1', ...taken, kind: 'secondary' })],
      { sync: true },
    );
    const directory = new SiteDirectory({ store: machine.store, own: below });
    await directory.start();
    const { kind, parentSiteCode, description } = directory.tree.get('PS1') ?? {};
    assert.deepEqual([kind, parentSiteCode, description], ['primary', 'CS1', 'x']);
    await directory.stop();
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
    const told = site.notifier.notification('hierarchy-package', 'PS100001');
    await machine.store.write([told], { sync: false });
    await site.until(async () => (await site.pendingCount(['hierarchy-package'])) === 0);
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

  it('does not undo what another site has deleted while it was away (ROLE-4)', async () => {
    const { site: top } = hierarchy.of('CS1');
    await new DistributionPointCommands(top).delete('PS1DP1', 'waybill://admin/full/alice');
    await hierarchy.restart('PS1', () => hierarchy.replicate('CS1', 'PS1'));
    await hierarchy.rest();
    for (const siteCode of ['CS1', 'PS1']) {
      const { site } = hierarchy.of(siteCode);
      const unknown = { code: 'DISTRIBUTION_POINT_UNKNOWN' };
      await assert.rejects(site.hierarchy.requireAnywhere('PS1DP1'), unknown);
      assert.deepEqual(await site.hierarchyPackages.assignmentsOf(packageId), []);
      assert.deepEqual(await site.packages.serversOf(packageId), []);
    }
  });

  it('gets again what was lost with the library, when rows of before are given back (REP-1)', async () => {
    const { machine } = hierarchy.of('PS1');
    const { store } = machine;
    machine.sources.packages.delete(packageId);
    const given = store.records(keySpaces.packages);
    const row = await given.get(packageId);
    assert.ok(row);
    const lost = { ...row, sourceVersion: 0, packageHash: '' };
    const { notifier } = hierarchy.of('PS1').site;
    const told = notifier.notification('site-content', packageId);
    await store.write([given.put(packageId, lost), told], { sync: false });
    await hierarchy.settled();
    const said = await hierarchy.of('PS1').site.hierarchyPackages.ownContent(packageId);
    assert.deepEqual([said?.state, said?.needsFull], ['none', true]);
    await hierarchy.rest();
    assert.ok(machine.sources.packages.has(packageId));
  });

  it('makes no package before its parent has said which it made (PKG-1)', async () => {
    await using machine = await openTestMachine();
    await using site = await TestSite.start(machine, { own: below, hasCaughtUp: false });
    await assert.rejects(site.createPackage('v1'), { code: 'SITE_NOT_CAUGHT_UP' });
  });

  it('keeps what is said of a package whose row is still to come', async () => {
    await using machine = await openTestMachine();
    await using site = await TestSite.start(machine, { own: below, hasCaughtUp: false });
    const definition = await hierarchy.of('CS1').site.hierarchyPackages.definitions.get(packageId);
    assert.ok(definition);
    const { definitions } = site.hierarchyPackages;
    const changes = [
      definitions.put('PS100007', { ...definition, packageId: 'PS100007', sourceSiteCode: 'PS1' }),
      site.notifier.notification('hierarchy-package', 'PS100007'),
    ];
    await machine.store.write(changes, { sync: false });
    const later = site.notifier.notification('site-content', 'CS1FFFFF');
    await machine.store.write([later], { sync: false });
    await site.until(async () => (await site.pendingCount(['site-content'])) === 0);
    assert.ok(await definitions.get('PS100007'));
    assert.equal(await site.pendingCount(['hierarchy-package']), 1, 'it is looked at again');
  });

  it('concludes what it has kept as soon as its parent has given back all', async () => {
    await using machine = await openTestMachine();
    let isCaughtUp = false;
    let caughtUp = () => {};
    const own = below;
    const hasCaughtUp = () => isCaughtUp;
    const onCaughtUp = (listener: () => void) => {
      caughtUp = listener;
      return () => {};
    };
    await using site = await TestSite.start(machine, { own, hasCaughtUp, onCaughtUp });
    const told = site.notifier.notification('hierarchy-package', 'PS100007');
    const other = site.notifier.notification('site-content', 'CS1FFFFF');
    await machine.store.write([told, other], { sync: false });
    await site.until(async () => (await site.pendingCount(['site-content'])) === 0);
    assert.equal(await site.pendingCount(['hierarchy-package']), 1);
    isCaughtUp = true;
    caughtUp();
    await site.until(async () => (await site.pendingCount(['hierarchy-package'])) === 0);
  });

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
    const definitions = store.records(keySpaces.packageDefinitions);
    const define = (id: string) => definitions.put(id, { ...definition, packageId: id });
    const version = { changedAt: { wallMs: 1, counter: 0, siteCode: 'CS1' }, sequence: 1 };
    const forgotten = store
      .records(keySpaces.rowVersions)
      .put('package-definitions/PS100002', { ...version, isDeleted: true });
    // The last ID there is: any site may write such a row, and would use up all before it.
    await store.write([define('PS100001'), forgotten, define('PS1FFFFF')], { sync: false });
    const counters = { store, clock, siteCode: 'PS1', isStoreDamaged: false };
    const ids = await PackageIds.open(counters);
    assert.equal((await ids.next()).packageId, 'PS100003');
    const deleted = store
      .records(keySpaces.rowVersions)
      .put('published-packages/PS10000E', { ...version, isDeleted: true });
    await store.write([deleted], { sync: false });
    assert.equal((await ids.next()).packageId, 'PS10000F', 'told of since, and deleted');
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

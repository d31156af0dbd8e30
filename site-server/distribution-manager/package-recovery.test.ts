import assert from 'node:assert/strict';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { PackageIds } from './package-ids.ts';
import { recoverPackages } from './package-recovery.ts';
import { openJobSerials } from './site-counters.ts';
import {
  openTestMachine,
  type TestMachine,
  TestSite,
  testProperties,
} from './testing/test-site.ts';

describe('A site that has lost its state store', () => {
  let machine: TestMachine;
  let lost: TestMachine;

  beforeEach(async () => {
    lost = await openTestMachine();
    machine = await openTestMachine();
    await using site = await TestSite.start(lost);
    await site.createPackage('v1');
    lost.sources.directories.set('/a', 'a').set('/b', 'b');
    await site.packageCommands.create(testProperties, ['/a', '/b']);
    await site.settled();
    for (const [id, version] of lost.sources.packages) machine.sources.packages.set(id, version);
  });

  afterEach(async () => {
    await machine[Symbol.asyncDispose]();
    await lost[Symbol.asyncDispose]();
  });

  async function recover(site: TestSite, on = machine): Promise<string[]> {
    const { store, clock, sources, log } = on;
    const { packages } = site;
    const { library } = sources;
    const { notifier } = site;
    const logger = log.logger;
    const isStoreDamaged = true;
    const siteCode = 'PS1';
    const needs = { store, notifier, packages, library, clock, logger, siteCode, isStoreDamaged };
    return recoverPackages(needs);
  }

  it('reads its packages back from the content library', async () => {
    await using site = await TestSite.start(machine);
    assert.deepEqual(await recover(site), ['PS100001', 'PS100002']);
    const row = await site.packages.require('PS100002');
    const { contents, ...version } = machine.sources.packages.get('PS100002') ?? assert.fail();
    assert.deepEqual({ ...row, ...version }, row);
    assert.deepEqual(
      row.sources.map(({ content }) => content),
      contents,
    );
    assert.equal(row.state, 'published');
    assert.deepEqual(await recover(site), [], 'the second time nothing is lost');
  });

  it('brings rows that came back as they once were up to the library', async () => {
    await using site = await TestSite.start(lost);
    const published = await site.packages.require('PS100001');
    for (const before of [
      { state: 'snapshot', sourceVersion: 0, packageHash: '', handledRequestCount: 0 },
      { state: 'published', sourceVersion: 0, packageHash: '', handledRequestCount: 1 },
    ] as const) {
      await lost.store.write(site.packages.put({ ...published, ...before }), { sync: false });
      await recover(site, lost);
      await site.settled();
      const { state, sourceVersion, packageHash } = await site.packages.require('PS100001');
      const { packageHash: hash } = published;
      assert.deepEqual([state, sourceVersion, packageHash], ['published', 1, hash]);
    }
  });

  it('can update and distribute them once their sources are named', async () => {
    await using site = await TestSite.start(machine);
    await recover(site);
    await site.addDistributionPoint('DP1');
    await site.packageCommands.update('PS100002');
    await site.settled();
    assert.match(
      (await site.packages.require('PS100002')).reason,
      /expected an existing directory/,
    );
    machine.sources.directories.set('/a', 'a').set('/b2', 'changed');
    await site.packageCommands.set('PS100002', (before) => before, ['/a', '/b2']);
    await site.packageCommands.update('PS100002');
    await site.distributionCommands.distribute({ packageId: 'PS100002', dpIds: 'all' });
    await site.settled();
    const row = await site.packages.require('PS100002');
    assert.equal(row.sourceVersion, 2);
    assert.match(row.sources[0]?.content?.contentId ?? '', /\.1$/);
    assert.match(row.sources[1]?.content?.contentId ?? '', /\.2$/);
    await site.complete('PS100002', 'DP1');
    assert.equal((await site.getStatus('PS100002', 'DP1'))?.state, 'installed');
  });

  it('gives out no package ID that a package has which was read back (PKG-1)', async () => {
    // The counter is opened before the packages are back.
    await using site = await TestSite.start(machine);
    await recover(site);
    assert.equal(await site.createPackage('v1'), 'PS100003');
  });

  it('goes on with serials above those its distribution points may have seen', async () => {
    const { store, clock } = machine;
    const counters = { store, clock, siteCode: 'PS1' };
    const fresh = await openJobSerials({ ...counters, isStoreDamaged: false });
    assert.equal(fresh.next().value, 1);
    const damaged = await openJobSerials({ ...counters, isStoreDamaged: true });
    assert.ok(damaged.next().value > clock.nowMs());
    const ids = await PackageIds.open({ ...counters, isStoreDamaged: true });
    assert.equal((await ids.next()).packageId, 'PS100101');
  });

  it('gives out no serial of a job it remembers, whatever became of the counter', async () => {
    await using site = await TestSite.start(lost);
    await site.addDistributionPoint('DP1');
    await site.distributionCommands.distribute({ packageId: 'PS100001', dpIds: 'all' });
    await site.settled();
    await site.complete('PS100001', 'DP1');
    const counters = lost.store.records(keySpaces.counters);
    await lost.store.write([counters.delete('job-serials')], { sync: false });
    const { store, clock } = lost;
    const options = { store, clock, siteCode: 'PS1', isStoreDamaged: false };
    assert.equal((await openJobSerials(options)).next().value, 2);
    assert.equal((await (await PackageIds.open(options)).next()).packageId, 'PS100003');
  });
});

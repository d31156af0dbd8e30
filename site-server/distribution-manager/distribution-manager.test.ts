import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import {
  openTestMachine,
  type TestMachine,
  TestSite,
  testProperties,
} from './testing/test-site.ts';

const diskFull = () =>
  new WaybillError({ code: 'DISK_FULL', path: '/library', freeBytes: 1, neededBytes: 2 });

describe('Distribution Manager', () => {
  let machine: TestMachine;
  let site: TestSite;

  beforeEach(async () => {
    machine = await openTestMachine();
    site = await TestSite.start(machine);
    await site.addDistributionPoint('DP1');
    await site.addDistributionPoint('DP2');
  });

  afterEach(async () => {
    await site[Symbol.asyncDispose]();
    await machine[Symbol.asyncDispose]();
  });

  function distribute(packageId: string, ...dpIds: string[]): Promise<string[]> {
    return site.distributionCommands.distribute({ packageId, dpIds });
  }

  async function createInstalled(...dpIds: string[]): Promise<string> {
    const packageId = await site.createPackage('v1');
    await distribute(packageId, ...dpIds);
    await site.settled();
    for (const dpId of dpIds) await site.complete(packageId, dpId);
    return packageId;
  }

  describe('publishes packages', () => {
    it('takes the snapshot of a new package and reports it (PKG-2)', async () => {
      const packageId = await site.createPackage('v1');
      await site.settled();
      const row = await site.getPackage(packageId);
      assert.equal(row?.state, 'published');
      assert.equal(row.sourceVersion, 1);
      assert.equal(row.handledRequestCount, 1);
      assert.equal(row.sources[0]?.content?.contentId, `${packageId}.1`);
      assert.equal(row.packageHash, machine.sources.packages.get(packageId)?.packageHash);
      assert.deepEqual(await site.messageIds(), [2300, 2376, 2311, 2301]);
      const status = await site.getStatus(packageId, '');
      assert.equal(status?.state, 'installed');
      assert.equal(status.installedVersion, 1);
    });

    it('makes a new version of a changed source only (PKG-5)', async () => {
      const packageId = await site.createPackage('v1');
      await site.settled();
      await site.packageCommands.update(packageId);
      await site.settled();
      const unchanged = await site.getPackage(packageId);
      assert.equal(unchanged?.sourceVersion, 1);
      assert.equal(unchanged.handledRequestCount, 2);
      assert.equal(unchanged.sourceUnchanged, true);
      machine.sources.directories.set('/source', 'v2');
      await site.packageCommands.update(packageId);
      await site.settled();
      const changed = await site.getPackage(packageId);
      assert.equal(changed?.sourceVersion, 2);
      assert.equal(changed.handledRequestCount, 3);
      assert.equal(changed.sourceUnchanged, false);
      assert.equal(changed.sources[0]?.content?.contentId, `${packageId}.2`);
    });

    it('gives a new ID only to the contents of an application that changed', async () => {
      const { directories } = machine.sources;
      directories.set('/a', 'a1').set('/b', 'b1');
      const { packageId } = await site.packageCommands.create(testProperties, ['/a', '/b']);
      await site.settled();
      const before = await site.getPackage(packageId);
      directories.set('/b', 'b2');
      await site.packageCommands.update(packageId);
      await site.settled();
      const after = await site.getPackage(packageId);
      assert.equal(after?.sourceVersion, 2);
      const idsOf = (row: typeof before) => row?.sources.map(({ content }) => content?.contentId);
      const [a1 = '', b1 = ''] = idsOf(before) ?? [];
      assert.match(a1, new RegExp(`^Content_${packageId}_.+\\.1$`), 'no other package may take it');
      assert.deepEqual(idsOf(after), [a1, b1.replace(/\.1$/, '.2')]);
    });

    it('refuses a bad source with its reason and keeps the earlier version (PKG-3)', async () => {
      const packageId = await site.createPackage('v1');
      await site.settled();
      const refusal = new WaybillError({ code: 'SOURCE_CHANGED', path: '/source/x', tries: 3 });
      machine.sources.directories.set('/source', refusal);
      await site.packageCommands.update(packageId);
      await site.settled();
      const row = await site.getPackage(packageId);
      assert.equal(row?.state, 'failed');
      assert.equal(row.reason, refusal.message);
      assert.equal(row.sourceVersion, 1);
      assert.equal(row.handledRequestCount, 2);
      assert.equal(machine.sources.packages.get(packageId)?.sourceVersion, 1);
      assert.deepEqual((await site.messageIds()).slice(-3), [2300, 2306, 2302]);
    });

    it('waits for room at the site and goes on by itself', async () => {
      const { directories } = machine.sources;
      const packageId = await site.createPackage(diskFull());
      await site.until(async () => (await site.getPackage(packageId))?.reason !== '');
      const waiting = await site.getPackage(packageId);
      assert.equal(waiting?.state, 'pending');
      assert.match(waiting.reason, /bytes free/);
      await site.until(() => machine.clock.sleeperCount > 0);
      await machine.clock.advance(5_000);
      await site.until(() => machine.sources.snapshotCount === 2);
      directories.set('/source', 'v1');
      await site.until(() => machine.clock.sleeperCount > 0);
      await machine.clock.advance(10_000);
      await site.settled();
      assert.equal((await site.getPackage(packageId))?.state, 'published');
      const ids = await site.messageIds();
      assert.deepEqual(ids, [2300, 2302, 2376, 2311, 2301], 'one report for all tries');
    });

    it('does not wait with DPs for a snapshot that waits for room', async () => {
      const packageId = await site.createPackage('v1');
      await site.settled();
      machine.sources.directories.set('/source', diskFull());
      await site.packageCommands.update(packageId);
      await site.until(() => machine.clock.sleeperCount > 0);
      await distribute(packageId, 'DP1');
      await site.until(async () => (await site.openJobs()).length === 1);
      assert.equal((await site.requireJob(packageId, 'DP1')).sourceVersion, 1);
    });

    it('serves a request that comes while the source is read with a snapshot of its own', async () => {
      const release = machine.sources.hold();
      const packageId = await site.createPackage('v1');
      await site.until(() => machine.sources.snapshotCount === 1);
      await site.packageCommands.update(packageId);
      release();
      await site.settled();
      assert.equal(machine.sources.snapshotCount, 2);
      assert.equal((await site.getPackage(packageId))?.handledRequestCount, 2);
    });

    it('makes known a version that was committed just before a crash', async () => {
      const packageId = await site.createPackage('v1');
      await site.settled();
      const row = await site.packages.require(packageId);
      await site[Symbol.asyncDispose]();
      const version = machine.sources.packages.get(packageId) ?? assert.fail();
      const content = version.contents[0] ?? assert.fail();
      const contents = [{ ...content, contentId: `${packageId}.2`, contentHash: 'f'.repeat(64) }];
      const committed = { ...version, sourceVersion: 2, packageHash: 'committed', contents };
      machine.sources.packages.set(packageId, committed);
      const due = { ...row, acceptedRequestCount: 2, state: 'snapshot' } as const;
      const changes = [...site.packages.put(due), site.notifier.notification('package', packageId)];
      await machine.store.write(changes, { sync: false });
      site = await TestSite.start(machine);
      await site.settled();
      const after = await site.getPackage(packageId);
      assert.equal(after?.sourceVersion, 3, 'version 2 was taken; the source differs from it');
      assert.equal(after.handledRequestCount, 2);
      assert.ok((await site.messageIds()).filter((id) => id === 2311).length === 3);
    });
  });

  describe('hands packages to Package Transfer Manager', () => {
    it('makes one job for each DP and resets the action, after a check (DM-2, DM-4)', async () => {
      const packageId = await site.createPackage('v1');
      assert.deepEqual(await distribute(packageId, 'DP1', 'DP2'), ['DP1', 'DP2']);
      await site.settled();
      const job = await site.requireJob(packageId, 'DP1');
      assert.equal(job.action, 'add');
      assert.equal(job.state, 'pending');
      assert.equal(job.waitingReason, undefined);
      assert.equal(job.sourceVersion, 1);
      assert.equal(job.totalBytes, 2);
      assert.equal((await site.packages.getServer(packageId, 'DP1'))?.action, 'none');
      const status = await site.getStatus(packageId, 'DP1');
      assert.equal(status?.state, 'install-pending');
      assert.equal(status.jobSerial, job.jobSerial);
      assert.deepEqual(machine.checkedDpIds.sort(), ['DP1', 'DP2']);
      const subjects: string[] = [];
      for await (const { subject } of site.notifier.pending('distribution-job')) {
        subjects.push(subject);
      }
      const jobs = await site.openJobs();
      assert.deepEqual(
        subjects,
        jobs.map(({ jobSerial }) => joinKey(jobSerial)),
      );
      const ids = await site.messageIds();
      assert.equal(ids.filter((id) => id === 2342).length, 2);
      assert.equal(ids.filter((id) => id === 2357).length, 2);
    });

    it('makes no job while the package has no version', async () => {
      const release = machine.sources.hold();
      const packageId = await site.createPackage('v1');
      await distribute(packageId, 'DP1');
      assert.equal((await site.getStatus(packageId, 'DP1'))?.state, 'install-pending');
      assert.deepEqual(await site.openJobs(), []);
      release();
      await site.settled();
      assert.equal((await site.openJobs()).length, 1);
    });

    it('makes the job of a DP that fails its check too, and says why it waits (DM-4)', async () => {
      machine.answers.set('DP1', 'unreachable');
      const packageId = await site.createPackage('v1');
      await distribute(packageId, 'DP1', 'DP2');
      await site.settled();
      const job = await site.requireJob(packageId, 'DP1');
      assert.equal(job.waitingReason, 'dp-unreachable');
      assert.match(job.reason, /connection refused/);
      assert.equal((await site.requireJob(packageId, 'DP2')).waitingReason, undefined);
      assert.equal((await site.hierarchy.healthOf('DP1')).reachability, 'unreachable');
      assert.ok((await site.messageIds()).includes(2391));
    });

    it('says that a DP has too little room for a package that is new to it', async () => {
      machine.answers.set('DP1', { freeBytes: 1 });
      const packageId = await site.createPackage('v1');
      await distribute(packageId, 'DP1');
      await site.settled();
      assert.equal((await site.requireJob(packageId, 'DP1')).waitingReason, 'disk-full-at-dp');
    });

    it('lets no DP wait for one that does not answer', async () => {
      machine.answers.set('DP1', 'silent');
      const packageId = await site.createPackage('v1');
      await distribute(packageId, 'DP1', 'DP2');
      await site.until(async () => (await site.openJobs()).length === 1);
      await site.requireJob(packageId, 'DP2');
      await machine.clock.advance(5_000);
      await site.settled();
      const job = await site.requireJob(packageId, 'DP1');
      assert.equal(job.waitingReason, 'dp-unreachable');
      assert.match(job.reason, /5000 ms/);
    });

    it('acts on the word that came while the DP was asked', async () => {
      const packageId = await createInstalled('DP1');
      machine.answers.set('DP1', 'silent');
      await site.distributionCommands.redistribute({ packageId, dpIds: ['DP1'] });
      await site.until(() => machine.checkedDpIds.length === 2);
      await site.distributionCommands.remove({ packageId, dpIds: ['DP1'] });
      await machine.clock.advance(5_000);
      await site.settled();
      assert.equal((await site.requireJob(packageId, 'DP1')).action, 'remove');
    });

    it('processes at most three packages at once and says so (DM-2)', async () => {
      const release = machine.sources.hold();
      for (let count = 0; count < 5; count++) await site.createPackage('v1');
      await site.until(() => machine.sources.snapshotCount === 3);
      const started = () =>
        machine.log.messages().filter((text) => text.startsWith('Started package processing task'));
      assert.match(started().at(-1) ?? '', /using 3 of 3$/);
      assert.equal(started().length, 3);
      release();
      await site.settled();
      assert.equal(started().length, 5, 'each package is processed once');
    });
  });

  it('processes more packages at once as soon as its limit is raised (DM-2, ADM-3)', async () => {
    const release = machine.sources.hold();
    for (let count = 0; count < 5; count++) await site.createPackage('v1');
    await site.until(() => machine.sources.snapshotCount === 3);
    site.limits.packagesMax = 5;
    site.told.tell();
    await site.until(() => machine.sources.snapshotCount === 5);
    release();
    await site.settled();
  });

  describe('takes results', () => {
    it('reports a package that is installed and verified (DM-5)', async () => {
      const packageId = await createInstalled('DP1');
      const status = await site.getStatus(packageId, 'DP1');
      assert.equal(status?.state, 'installed');
      assert.equal(status.installedVersion, 1);
      assert.equal(status.verifiedHash, (await site.getPackage(packageId))?.packageHash);
      assert.equal((await site.messageIds()).at(-1), 2330);
    });

    it('brings an update to every DP that has the package (PKG-5)', async () => {
      const packageId = await createInstalled('DP1', 'DP2');
      machine.sources.directories.set('/source', 'v2');
      await site.packageCommands.update(packageId);
      await site.settled();
      const status = await site.getStatus(packageId, 'DP1');
      assert.equal(status?.state, 'content-updating');
      assert.equal(status.installedVersion, 1);
      assert.equal(status.targetVersion, 2);
      assert.equal((await site.requireJob(packageId, 'DP2')).sourceVersion, 2);
      await site.complete(packageId, 'DP1');
      assert.equal((await site.getStatus(packageId, 'DP1'))?.installedVersion, 2);
    });

    it('forgets a package that was removed from a DP (PKG-7)', async () => {
      const packageId = await createInstalled('DP1');
      await site.distributionCommands.remove({ packageId, dpIds: ['DP1'] });
      await site.settled();
      assert.equal((await site.getStatus(packageId, 'DP1'))?.state, 'removal-pending');
      await site.complete(packageId, 'DP1');
      assert.equal(await site.getStatus(packageId, 'DP1'), undefined);
      assert.equal(await site.packages.getServer(packageId, 'DP1'), undefined);
      assert.ok((await site.messageIds()).includes(2331));
    });

    it('makes no job to remove what was never sent', async () => {
      const release = machine.sources.hold();
      const packageId = await site.createPackage('v1');
      await distribute(packageId, 'DP1');
      await site.distributionCommands.remove({ packageId, dpIds: ['DP1'] });
      release();
      await site.settled();
      assert.deepEqual(await site.openJobs(), []);
      assert.equal(await site.getStatus(packageId, 'DP1'), undefined);
    });

    it('shows a failure with its reason and runs it again on demand (ADM-1)', async () => {
      const packageId = await site.createPackage('v1');
      await distribute(packageId, 'DP1');
      await site.settled();
      const job = await site.requireJob(packageId, 'DP1');
      await site.endJob(job, { state: 'failed', reason: 'tried 100 times' });
      await site.settled();
      const status = await site.getStatus(packageId, 'DP1');
      assert.equal(status?.state, 'install-failed');
      assert.equal(status.reason, 'tried 100 times');
      assert.equal((await site.messageIds()).at(-1), 2328);
      const all = { packageId: undefined, dpId: undefined, failedOnly: false };
      assert.deepEqual(await site.distributionCommands.retryFailed(all), {
        dpIds: ['DP1'],
        packageIds: [],
        siteCodes: [],
        siteDpIds: [],
      });
      await site.settled();
      await site.complete(packageId, 'DP1');
      assert.equal((await site.getStatus(packageId, 'DP1'))?.state, 'installed');
    });

    it('lets no late result of an older job overwrite what is newer', async () => {
      const packageId = await createInstalled('DP1');
      await site.distributionCommands.redistribute({ packageId, dpIds: ['DP1'] });
      await site.settled();
      const older = await site.requireJob(packageId, 'DP1');
      await site.distributionCommands.remove({ packageId, dpIds: ['DP1'] });
      await site.until(async () => (await site.openJobs()).length === 2);
      await site.endJob(older, { state: 'cancelled', reason: 'superseded' });
      await site.settled();
      assert.equal((await site.getStatus(packageId, 'DP1'))?.state, 'removal-pending');
      await site.complete(packageId, 'DP1');
      assert.equal(await site.getStatus(packageId, 'DP1'), undefined);
    });

    it('lets a repair that is overtaken by an update stay a repair (PKG-6)', async () => {
      const packageId = await createInstalled('DP1');
      await site.distributionCommands.redistribute({ packageId, dpIds: ['DP1'] });
      await site.settled();
      machine.sources.directories.set('/source', 'v2');
      await site.packageCommands.update(packageId);
      await site.settled();
      const newest = (await site.openJobs()).at(-1);
      assert.equal(newest?.sourceVersion, 2);
      assert.equal(newest.action, 'redistribute');
    });

    it('shows that a job is being tried again, unless newer work has overtaken it', async () => {
      const packageId = await createInstalled('DP1');
      await site.distributionCommands.redistribute({ packageId, dpIds: ['DP1'] });
      await site.settled();
      const job = await site.requireJob(packageId, 'DP1');
      const { packages } = site;
      await machine.store.write(await packages.retryingChanges(job, 'no answer'), { sync: false });
      assert.equal((await site.getStatus(packageId, 'DP1'))?.state, 'install-retrying');
      await site.distributionCommands.remove({ packageId, dpIds: ['DP1'] });
      assert.deepEqual(await packages.retryingChanges(job, 'no answer'), []);
    });
  });

  it('goes on after a restart with what was pending (DM-1)', async () => {
    await site[Symbol.asyncDispose]();
    const packageId = await site.createPackage('v1');
    await distribute(packageId, 'DP1');
    assert.equal(await site.pendingCount(), 2);
    site = await TestSite.start(machine);
    await site.settled();
    await site.complete(packageId, 'DP1');
    assert.equal((await site.getStatus(packageId, 'DP1'))?.state, 'installed');
    let historyCount = 0;
    for await (const _ of machine.store.records(keySpaces.jobHistory).list()) historyCount++;
    assert.equal(historyCount, 1);
  });
});

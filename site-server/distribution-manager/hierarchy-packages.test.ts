import assert from 'node:assert/strict';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { SiteCommands } from '../admin-service/site-commands.ts';
import { OwnContents } from '../hierarchy-manager/own-contents.ts';
import { assertNothingOf } from './testing/test-hierarchy.ts';
import { cs1, hierarchy, openThreeSitesBeforeEach, ps1, ps2 } from './testing/three-sites.ts';

const everything = { packageId: undefined, dpId: undefined, failedOnly: true };

describe('Packages of a hierarchy', () => {
  openThreeSitesBeforeEach();

  it('says that content has not arrived, and goes on when it does (DM-3)', async () => {
    const packageId = await hierarchy.createAt('CS1');
    await cs1.distributionCommands.distribute({ packageId, dpIds: ['PS1DP1'] });
    await hierarchy.settled();
    await hierarchy.replicateAll();
    await hierarchy.settled();
    const waiting = await ps1.packages.require(packageId);
    assert.equal(waiting.state, 'pending');
    assert.equal(waiting.reason, 'content has not arrived from site CS1 yet');
    assert.equal(waiting.sourceVersion, 0);
    const status = await ps1.getStatus(packageId, 'PS1DP1');
    assert.equal(status?.state, 'install-pending');
    assert.equal(status.reason, 'content has not arrived from site CS1 yet');
    assert.deepEqual(await ps1.openJobs(), [], 'no job before there is something to send');
    await hierarchy.rest();
    assert.equal((await ps1.packages.require(packageId)).state, 'published');
    assert.equal((await ps1.getStatus(packageId, 'PS1DP1'))?.state, 'installed');
    const atTop = joinKey(packageId, 'PS1', 'PS1DP1');
    assert.equal((await cs1.hierarchyPackages.statuses.get(atTop))?.state, 'installed', 'REP-8');
  });

  describe('whose copy at another site is damaged (PKG-8, PKG-6)', () => {
    let packageId: string;
    let contents: OwnContents;

    beforeEach(async () => {
      packageId = await hierarchy.createAt('CS1');
      await cs1.distributionCommands.distribute({ packageId, dpIds: ['PS1DP1'] });
      await hierarchy.rest();
      const { packages, hierarchyPackages, notifier, machine } = ps1;
      const { store, clock } = machine;
      const { library } = machine.sources;
      contents = new OwnContents({ packages, hierarchyPackages, notifier, store, clock, library });
    });

    const tell = async (isToCome: boolean) => {
      const reason = 'the copy of this site is damaged: 1 files damaged, 0 missing';
      const changes = await contents.damaged(packageId, { reason, isToCome });
      await ps1.machine.store.write(changes, { sync: false });
      await hierarchy.settled();
    };
    const ofSite = () => ps1.getStatus(packageId, '');

    it('says so, is sent it again, and is whole then', async () => {
      await tell(true);
      assert.equal((await ofSite())?.state, 'content-updating');
      assert.match((await ofSite())?.reason ?? '', /damaged: it comes again from site CS1/);
      await hierarchy.rest();
      assert.equal((await ofSite())?.state, 'installed');
      assert.equal((await ps1.packages.require(packageId)).reason, '');
      assert.equal(await contents.isToCome(packageId), false);
    });

    it('starts the jobs anew that found it not here, but for those that are suspended', async () => {
      await ps1.distributionCommands.distribute({ packageId, dpIds: ['PS1DP2'] });
      await ps1.distributionCommands.redistribute({ packageId, dpIds: ['PS1DP1'] });
      await hierarchy.settled();
      const wait = async (dpId: string, facts: Partial<DistributionJob>) => {
        const job = (await ps1.openJobs()).find((one) => one.dpId === dpId);
        assert.ok(job);
        const waiting = { ...job, waitingReason: 'content-not-here', ...facts } as const;
        const { store } = ps1.machine;
        const jobs = store.records(keySpaces.distributionJobs);
        await store.write([jobs.put(joinKey(job.jobSerial), waiting)], { sync: false });
        return job.jobSerial;
      };
      const first = await wait('PS1DP1', { state: 'pending-restart' });
      const second = await wait('PS1DP2', { state: 'suspended' });
      await tell(true);
      await hierarchy.replicateAll();
      await hierarchy.sendContent();
      await hierarchy.settled();
      const serialOf = async (dpId: string) => (await ps1.getStatus(packageId, dpId))?.jobSerial;
      assert.ok(((await serialOf('PS1DP1')) ?? 0) > first);
      assert.equal(await serialOf('PS1DP2'), second);
      const jobs = (await ps1.openJobs()).filter(({ dpId }) => dpId === 'PS1DP1');
      assert.equal(jobs.at(-1)?.action, 'redistribute', 'what was asked for is not lost');
    });

    it('has failed when it is not to be mended, and one retry at the top brings it (ADM-1)', async () => {
      await tell(false);
      await hierarchy.rest();
      assert.equal((await ofSite())?.state, 'install-failed');
      const atTop = await cs1.hierarchyPackages.statuses.get(joinKey(packageId, 'PS1', ''));
      assert.equal(atTop?.state, 'install-failed');
      assert.deepEqual((await cs1.distributionCommands.retryFailed(everything)).dpIds, ['PS1DP1']);
      await hierarchy.rest();
      assert.equal((await ofSite())?.state, 'installed');
    });

    it('is brought by one retry at that site itself, and then not listed as damaged (ADM-1)', async () => {
      const results = ps1.machine.store.records(keySpaces.validationResults);
      const found = {
        ...{ packageId, siteCode: 'PS1', dpId: '', sourceVersion: 1, checkedAtMs: 1, files: [] },
        ...{ fileCount: 2, damagedCount: 1, missingCount: 0, repairedCount: 0 },
        failure: '"waybill retry" brings it again',
      };
      const key = joinKey(packageId, 'PS1', '');
      await ps1.machine.store.write([results.put(key, found)], { sync: false });
      await tell(false);
      const { siteCodes, dpIds } = await ps1.distributionCommands.retryFailed(everything);
      assert.deepEqual({ siteCodes, dpIds }, { siteCodes: ['PS1'], dpIds: ['PS1DP1'] });
      await hierarchy.rest();
      assert.equal((await ofSite())?.state, 'installed');
      const mended = await results.get(key);
      assert.deepEqual([mended?.repairedCount, mended?.failure], [1, undefined]);
    });
  });

  it('is nothing to a site that does not want it, and no status of that site (ROLE-4)', async () => {
    const packageId = await hierarchy.createAt('CS1');
    const row = await ps2.packages.require(packageId);
    assert.equal(row.state, 'published');
    assert.equal(row.sourceVersion, 0);
    assert.equal(await ps2.getStatus(packageId, ''), undefined);
    assert.equal(await ps2.hierarchyPackages.ownContent(packageId), undefined);
    assert.equal(ps2.machine.sources.snapshotCount, 0);
  });

  it('takes an update that another site asks for, once (PKG-5)', async () => {
    const packageId = await hierarchy.createAt('CS1');
    await cs1.distributionCommands.distribute({ packageId, dpIds: ['PS1DP1'] });
    await hierarchy.rest();
    cs1.machine.sources.directories.set('/source', 'v2');
    await ps2.packageCommands.update(packageId);
    await hierarchy.rest();
    const row = await cs1.packages.require(packageId);
    assert.equal(row.sourceVersion, 2);
    assert.equal(row.acceptedRequestCount, 2);
    assert.equal((await ps1.getStatus(packageId, 'PS1DP1'))?.installedVersion, 2);
    await hierarchy.tellAgain(packageId);
    await hierarchy.rest();
    assert.equal((await cs1.packages.require(packageId)).acceptedRequestCount, 2);
  });

  it('does not hurry a snapshot that waits for room, however often its row is told of', async () => {
    const packageId = await hierarchy.createAt('CS1');
    const full = { path: '/', freeBytes: 0, neededBytes: 1 };
    const noRoom = new WaybillError({ code: 'DISK_FULL', ...full });
    cs1.machine.sources.directories.set('/source', noRoom);
    await ps1.packageCommands.update(packageId);
    await hierarchy.replicateAll();
    await cs1.until(async () => (await cs1.packages.require(packageId)).reason !== '');
    const before = cs1.machine.sources.snapshotCount;
    const { store } = cs1.machine;
    for (let count = 0; count < 3; count++) {
      const told = cs1.notifier.notification('hierarchy-package', packageId);
      await store.write([told], { sync: false });
      await cs1.until(async () => (await cs1.pendingCount(['hierarchy-package'])) === 0);
    }
    assert.equal(cs1.machine.sources.snapshotCount, before);
    cs1.machine.sources.directories.set('/source', 'v2');
    await cs1.machine.clock.advance(60_000);
    await hierarchy.rest();
    assert.equal((await cs1.packages.require(packageId)).sourceVersion, 2);
  });

  it('leaves the library of a site whose DPs are not to have it any more (PKG-7)', async () => {
    const packageId = await hierarchy.createAt('CS1');
    await cs1.distributionCommands.distribute({ packageId, dpIds: ['PS1DP1'] });
    await hierarchy.rest();
    assert.ok(ps1.machine.sources.packages.has(packageId));
    await ps2.distributionCommands.remove({ packageId, dpIds: ['PS1DP1'] });
    await hierarchy.rest();
    assert.equal(ps1.machine.sources.packages.has(packageId), false);
    assert.ok(cs1.machine.sources.packages.has(packageId), 'the source site keeps it');
    const said = await cs1.hierarchyPackages.contents.get(joinKey(packageId, 'PS1'));
    assert.equal(said?.state, 'none');
    assert.equal(said.storedVersion, 0);
    await cs1.distributionCommands.distribute({ packageId, dpIds: ['PS1DP1'] });
    await hierarchy.rest();
    assert.equal((await ps1.getStatus(packageId, 'PS1DP1'))?.state, 'installed', 'it comes again');
  });

  it('is deleted everywhere before its source site forgets it (PKG-7)', async () => {
    const packageId = await hierarchy.createAt('CS1');
    await cs1.distributionCommands.distribute({ packageId, dpIds: 'all' });
    await hierarchy.rest();
    await cs1.packageCommands.delete(packageId);
    await hierarchy.settled();
    await hierarchy.replicateAll();
    await hierarchy.settled();
    const leaving = await cs1.packages.require(packageId);
    assert.equal(leaving.state, 'deleting');
    assert.equal(leaving.reason, 'waits for sites PS1, PS2 to let go of it');
    await hierarchy.rest();
    await assertNothingOf(hierarchy, packageId);
  });

  it('is deleted without a site that was taken out of the hierarchy', async () => {
    const packageId = await hierarchy.createAt('CS1');
    await cs1.distributionCommands.distribute({ packageId, dpIds: ['PS2DP1'] });
    await hierarchy.rest();
    await cs1.packageCommands.delete(packageId);
    await hierarchy.settled();
    assert.match((await cs1.packages.require(packageId)).reason, /PS2/);
    const { store } = cs1.machine;
    await store.write([store.records(keySpaces.sites).delete('PS2')], { sync: false });
    await cs1.until(async () => (await cs1.getPackage(packageId)) === undefined);
  });

  it('is wished again where it cannot be seen how it went (PKG-4, PKG-7)', async () => {
    const packageId = await hierarchy.createAt('CS1');
    const commands = ps2.distributionCommands;
    const dpIds = ['PS1DP1'];
    assert.deepEqual(await commands.distribute({ packageId, dpIds }), dpIds);
    await hierarchy.settled();
    await hierarchy.replicateAll();
    await hierarchy.settled();
    await hierarchy.sendContent();
    await hierarchy.settled();
    await ps1.endJob(await ps1.requireJob(packageId, 'PS1DP1'), { state: 'failed', reason: 'x' });
    await hierarchy.settled();
    await hierarchy.replicateAll();
    assert.deepEqual(await commands.distribute({ packageId, dpIds }), dpIds);
    await hierarchy.rest();
    assert.equal((await ps1.getStatus(packageId, 'PS1DP1'))?.state, 'installed');
    const atTop = cs1.distributionCommands;
    assert.deepEqual(await atTop.distribute({ packageId, dpIds }), [], 'where it is seen, it is');
    assert.deepEqual(await commands.remove({ packageId, dpIds }), dpIds);
    await hierarchy.rest();
    assert.deepEqual(await ps1.packages.serversOf(packageId), []);
  });

  it('goes with its source site when that is taken out with its packages (PKG-7, ROLE-1)', async () => {
    const packageId = await ps2.createPackage('v1');
    const other = await cs1.createPackage('v1');
    await hierarchy.rest();
    const commands = ps1.distributionCommands;
    await commands.distribute({ packageId, dpIds: ['PS1DP1'] });
    await commands.distribute({ packageId: other, dpIds: ['PS1DP1', 'PS2DP1'] });
    await hierarchy.rest();
    await cs1.packageCommands.delete(other);
    await hierarchy.settled();
    const siteCommands = new SiteCommands(cs1);
    await assert.rejects(
      siteCommands.delete('PS2', { deletedBy: 'waybill://admin/full/alice' }),
      /--force/,
    );
    await siteCommands.delete('PS2', {
      withPackages: true,
      deletedBy: 'waybill://admin/full/alice',
    });
    const rest = async () => {
      for (let round = 0; round < 4; round++) {
        await hierarchy.replicate('CS1', 'PS1');
        await hierarchy.replicate('PS1', 'CS1');
        await hierarchy.settled();
        for (const job of await ps1.openJobs()) await ps1.endJob(job, { state: 'complete' });
        await hierarchy.settled();
      }
    };
    await rest();
    for (const site of [cs1, ps1]) {
      assert.equal(await site.getPackage(packageId), undefined);
      assert.equal(await site.getPackage(other), undefined, 'its deletion waited for PS2');
      assert.equal(await site.hierarchyPackages.definitions.get(packageId), undefined);
      assert.deepEqual(await site.packages.serversOf(packageId), []);
    }
    assert.equal(ps1.machine.sources.packages.size, 0);
    await hierarchy.restart('PS1');
    await hierarchy.settled();
    assert.equal(await hierarchy.of('PS1').site.getPackage(packageId), undefined);
  });

  it('is not looked at again for each status of another site, until it leaves', async () => {
    const packageId = await hierarchy.createAt('CS1');
    const { store } = cs1.machine;
    const woken: string[] = [];
    const unsubscribe = store.onWritten((changes) => {
      for (const { key } of changes) if (key.startsWith('package/')) woken.push(key);
    });
    const told = cs1.notifier.notification('site-package-status', packageId);
    await store.write([told], { sync: false });
    await hierarchy.settled();
    unsubscribe();
    assert.deepEqual(woken, []);
  });

  it('acts on a wish for a DP that becomes known after it', async () => {
    const packageId = await hierarchy.createAt('CS1');
    const wish = { packageId, dpId: 'PS1DP9', siteCode: 'PS1' };
    const added = { intent: 'installed', action: 'add', wishId: 'w', wishedAtMs: 1 } as const;
    const { store } = cs1.machine;
    await store.write([cs1.hierarchyPackages.putAssignment({ ...wish, ...added })], {
      sync: false,
    });
    await hierarchy.rest();
    assert.ok(ps1.machine.sources.packages.has(packageId), 'what came is kept, not sent for ever');
    const points = store.records(keySpaces.hierarchyDistributionPoints);
    const facts = { kind: 'standard', description: '', siteCode: 'PS1' } as const;
    const point = { dpId: 'PS1DP9', address: 'dp9:8531', ...facts };
    await store.write([points.put('PS1DP9', point)], { sync: false });
    await hierarchy.rest();
    assert.equal((await ps1.getStatus(packageId, 'PS1DP9'))?.state, 'installed');
  });

  it('runs what failed again when another site says so (ADM-1)', async () => {
    const packageId = await hierarchy.createAt('CS1');
    await cs1.distributionCommands.distribute({ packageId, dpIds: ['PS1DP1'] });
    await hierarchy.settled();
    await hierarchy.replicateAll();
    await hierarchy.settled();
    await hierarchy.sendContent();
    await hierarchy.settled();
    await ps1.endJob(await ps1.requireJob(packageId, 'PS1DP1'), { state: 'failed', reason: 'x' });
    await hierarchy.settled();
    await hierarchy.replicateAll();
    const all = { packageId: undefined, dpId: undefined, failedOnly: true };
    assert.deepEqual(await cs1.distributionCommands.retryFailed(all), {
      dpIds: ['PS1DP1'],
      packageIds: [],
      siteCodes: [],
      siteDpIds: [],
    });
    await hierarchy.rest();
    assert.equal((await ps1.getStatus(packageId, 'PS1DP1'))?.state, 'installed');
  });

  it('goes to all DPs of a site, and from a site without DPs to all there are (PKG-4)', async () => {
    const packageId = await hierarchy.createAt('CS1');
    const commands = cs1.distributionCommands;
    const ofSite = { packageId, dpIds: [], siteCodes: ['PS1'] };
    assert.deepEqual(await commands.distribute(ofSite), ['PS1DP1', 'PS1DP2']);
    assert.deepEqual(await commands.distribute({ packageId, dpIds: 'all' }), ['PS2DP1']);
    const unknown = { packageId, dpIds: [], siteCodes: ['XXX'] };
    await assert.rejects(commands.distribute(unknown), { code: 'SITE_UNKNOWN' });
    const empty = { packageId, dpIds: [], siteCodes: ['CS1'] };
    await assert.rejects(commands.distribute(empty), { code: 'REQUEST_INVALID' });
    await hierarchy.rest();
    assert.deepEqual(await commands.redistribute(ofSite), ['PS1DP1', 'PS1DP2']);
    assert.deepEqual(await commands.remove({ packageId, dpIds: 'all' }), [
      'PS1DP1',
      'PS1DP2',
      'PS2DP1',
    ]);
  });
});

import assert from 'node:assert/strict';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { PullSettings } from '../../shared/domain/pull-source.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import {
  openTestMachine,
  type TestMachine,
  TestSite,
} from '../distribution-manager/testing/test-site.ts';
import type { NewDistributionPoint } from './distribution-point-settings.ts';
import { HierarchyManager } from './hierarchy-manager.ts';

const good: NewDistributionPoint = {
  dpId: 'PS1DP1',
  address: 'dp1.example.org:8531',
  kind: 'standard',
  description: '',
};

const pullFrom = (...dpIds: string[]): PullSettings => ({
  sources: dpIds.map((dpId, index) => ({ dpId, rank: index + 1 })),
  allowFallback: false,
  packagesMax: 5,
});

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
    await hierarchy.delete('PS1DP1', { deletedBy: 'waybill://admin/full/alice' });
    assert.equal(await hierarchy.get('PS1DP1'), undefined);
  });

  it("makes the certificates of a DP nobody's in the batch that deletes it (SEC-3)", async () => {
    const { hierarchy, store } = site;
    const rows = store.records(keySpaces.revocations);
    await hierarchy.add(good);
    const batches: string[][] = [];
    const end = store.onWritten((changes) => batches.push(changes.map(({ space }) => space)));
    await hierarchy.delete('PS1DP1', { deletedBy: 'waybill://admin/full/alice' });
    end();
    const revokedAtMs = site.clock.nowMs();
    assert.deepEqual(await rows.get('PS1/dp/PS1DP1'), {
      ...{ siteCode: 'PS1', holder: 'dp/PS1DP1', revokedAtMs },
      ...{ reason: 'the distribution point was deleted' },
      revokedBy: 'waybill://admin/full/alice',
    });
    const both = [keySpaces.distributionPoints.name, keySpaces.revocations.name];
    assert.ok(batches.some((batch) => both.every((space) => batch.includes(space))));
    // Deleted at another site: it may have renewed here since. Not one that has gone to another site.
    const points = site.store.records(keySpaces.hierarchyDistributionPoints);
    for (const [dpId, isElsewhere] of [
      ['PS1DP2', false],
      ['PS1DP3', true],
    ] as const) {
      const point = await hierarchy.add({ ...good, dpId });
      const row = points.put(dpId, { ...point, siteCode: 'PS2' });
      await site.store.write([isElsewhere ? row : points.delete(dpId)], { sync: false });
      await hierarchy.delete(dpId, 'hierarchy');
      const by = isElsewhere ? undefined : 'waybill://site/PS1';
      assert.equal((await rows.get(`PS1/dp/${dpId}`))?.revokedBy, by);
    }
  });

  it('keeps what is set of limits and schedules until it is taken away (ADM-3, PTM-5, PTM-6)', async () => {
    const { hierarchy } = site;
    const limit = { kind: 'rate', bytesPerSecond: 10_000_000 } as const;
    const schedule = { timeZone: 'UTC', hours: Array<'closed'>(168).fill('closed') };
    await hierarchy.add({ ...good, controls: { limit } });
    await hierarchy.set({ dpId: 'PS1DP1', controls: { schedule }, serveControls: { limit } });
    await hierarchy.set({ dpId: 'PS1DP1', description: 'in the cellar' });
    const set = await hierarchy.require('PS1DP1');
    assert.deepEqual([set.controls, set.serveControls], [{ schedule, limit }, { limit }]);
    await hierarchy.set({ dpId: 'PS1DP1', controls: { limit: 'none' } });
    assert.deepEqual((await hierarchy.require('PS1DP1')).controls, { schedule });
    const free = { schedule: 'none', limit: 'none' } as const;
    const freed = await hierarchy.set({ dpId: 'PS1DP1', controls: free, serveControls: free });
    assert.deepEqual(freed, { ...good, siteCode: 'PS1', description: 'in the cellar' });
  });

  it('refuses what exists and what does not', async () => {
    const { hierarchy } = site;
    await hierarchy.add(good);
    const exists = { details: { code: 'DISTRIBUTION_POINT_EXISTS', dpId: 'PS1DP1' } };
    await assert.rejects(hierarchy.add(good), exists);
    for (const act of [
      hierarchy.delete('DP9', { deletedBy: 'waybill://admin/full/alice' }),
      hierarchy.set({ dpId: 'DP9' }),
    ]) {
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
    ['pull.sources', { kind: 'pull' }],
    ['pull.sources', { kind: 'pull', pull: pullFrom() }],
    ['pull.sources', { pull: pullFrom('PS1DP1') }],
    ['pull.sources', { pull: pullFrom('DP2', 'DP2') }],
    ['pull.sources', { pull: pullFrom(...Array.from({ length: 33 }, (_, i) => `S${i}`)) }],
    ['pull.sources.rank', { pull: { ...pullFrom(), sources: [{ dpId: 'DP2', rank: 0 }] } }],
    ['pull.sources.rank', { pull: { ...pullFrom(), sources: [{ dpId: 'DP2', rank: 1_001 }] } }],
    ['pull.packages_max', { pull: { ...pullFrom('DP2'), packagesMax: 51 } }],
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

  const mapRows = async () => {
    const rows: string[] = [];
    for await (const [key, { rank }] of machine.store.records(keySpaces.pullDpMap).list()) {
      rows.push(`${key} ${rank}`);
    }
    return rows;
  };

  it('keeps the pull DP map equal to the settings, and knows kinds at once (PULL-1, ADM-3)', async () => {
    const { hierarchy } = site;
    for (const dpId of ['S1', 'S2', 'S3']) await hierarchy.add({ ...good, dpId });
    await hierarchy.add({ ...good, kind: 'pull', pull: pullFrom('S1', 'S2') });
    assert.deepEqual(await mapRows(), ['PS1DP1/S1 1', 'PS1DP1/S2 2']);
    assert.deepEqual(
      ['PS1DP1', 'S1', 'none'].map((dpId) => hierarchy.kindOf(dpId)),
      ['pull', 'standard', undefined],
    );
    await hierarchy.set({ dpId: 'PS1DP1', pull: pullFrom('S3', 'S2') });
    assert.deepEqual(await mapRows(), ['PS1DP1/S2 2', 'PS1DP1/S3 1']);
    assert.deepEqual(
      (await hierarchy.sourcesOf('PS1DP1')).map(({ dpId }) => dpId),
      ['S3', 'S2'],
    );
    await hierarchy.set({ dpId: 'PS1DP1', kind: 'standard' });
    assert.deepEqual(await mapRows(), []);
    await hierarchy.set({ dpId: 'PS1DP1', kind: 'pull' });
    assert.deepEqual(await mapRows(), ['PS1DP1/S2 2', 'PS1DP1/S3 1']);
  });

  it('refuses a source that is not of this site, and writes nothing (PULL-1)', async () => {
    const unknown = { details: { code: 'DISTRIBUTION_POINT_UNKNOWN', dpId: 'S9' } };
    const pull = pullFrom('S9');
    await assert.rejects(site.hierarchy.add({ ...good, kind: 'pull', pull }), unknown);
    assert.equal(await site.hierarchy.get(good.dpId), undefined);
    assert.equal(site.hierarchy.kindOf(good.dpId), undefined);
    assert.deepEqual(await mapRows(), []);
  });

  it('takes a deleted DP out of the sources of others, with what is known of it (PULL-1)', async () => {
    const { hierarchy } = site;
    for (const dpId of ['S1', 'S2']) await hierarchy.add({ ...good, dpId });
    await hierarchy.add({ ...good, kind: 'pull', pull: pullFrom('S1', 'S2') });
    const locations = machine.store.records(keySpaces.contentDpMap);
    const held = {
      packageId: 'PS100001',
      sourceVersion: 1,
      state: 'held',
      sinceMs: 1,
    } as const;
    const keys = ['S1', 'S2'].map((dpId) => joinKey('PS100001.1', dpId));
    await machine.store.write(
      keys.map((key) => locations.put(key, held)),
      { sync: false },
    );
    await hierarchy.delete('S1', { deletedBy: 'waybill://admin/full/alice' });
    assert.deepEqual(await mapRows(), ['PS1DP1/S2 2']);
    assert.deepEqual((await hierarchy.get('PS1DP1'))?.pull?.sources, [{ dpId: 'S2', rank: 2 }]);
    assert.deepEqual(await locations.getMany(keys), [undefined, held]);
    await hierarchy.delete('PS1DP1', { deletedBy: 'waybill://admin/full/alice' });
    assert.deepEqual(await mapRows(), []);
  });

  it('takes all that was assigned to a deleted DP with it', async () => {
    await site.hierarchy.add(good);
    await site.hierarchy.add({ ...good, dpId: 'PS1DP2' });
    const packageId = await site.createPackage('v1');
    const dpIds = ['PS1DP1', 'PS1DP2'];
    await site.distributionCommands.distribute({ packageId, dpIds });
    await site.settled();
    await site.hierarchy.delete('PS1DP1', { deletedBy: 'waybill://admin/full/alice' });
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

  it('lets a job be looked at again that was made while its DP became another (ROLE-2)', async () => {
    const { store, clock, log } = machine;
    const { notifier, packages, contentMap } = site;
    const jobs = store.records(keySpaces.distributionJobs);
    const job = testJob({ jobSerial: 7, dpId: 'PS1DP1' });
    const slow: Pick<StateStore, 'records' | 'write'> = {
      records: (space) => store.records(space),
      write: async (changes, options) => {
        const isDp = changes.some(({ space }) => space === keySpaces.distributionPoints.name);
        if (isDp) await store.write([jobs.put(joinKey(7), job)], { sync: false });
        await store.write(changes, options);
      },
    };
    const parts = { notifier, packages, contentMap, clock, logger: log.logger, siteCode: 'PS1' };
    await site.hierarchy.add(good);
    const hierarchy = new HierarchyManager({ store: slow, ...parts });
    await hierarchy.set({
      dpId: 'PS1DP1',
      kind: 'pull',
      pull: { ...pullFrom(), allowFallback: true },
    });
    const subjects: string[] = [];
    for await (const { subject } of notifier.pending('distribution-job')) subjects.push(subject);
    assert.deepEqual(subjects, [joinKey(7)]);
  });

  it('tunes the place of a DP in the queue from measured rates (PTM-3)', async () => {
    const { hierarchy } = site;
    await hierarchy.add(good);
    assert.equal((await hierarchy.healthOf('PS1DP1')).dpPriority, 200);
    const first = await hierarchy.recordTransferRate('PS1DP1', 100_000_000);
    assert.equal(first.dpPriority, 185, 'a part of the way to 150');
    const second = await hierarchy.recordTransferRate('PS1DP1', 0);
    assert.equal(second.measuredBytesPerSecond, 70_000_000, 'one slow transfer is not the whole');
  });

  it('takes no DP for slow that a limit of ours holds back (PTM-3, PTM-6)', async () => {
    const { hierarchy } = site;
    await hierarchy.add(good);
    const before = await hierarchy.recordTransferRate('PS1DP1', 10_000_000);
    const limit = { kind: 'rate', bytesPerSecond: 1_000_000 } as const;
    await hierarchy.set({ dpId: 'PS1DP1', controls: { limit } });
    assert.deepEqual(await hierarchy.recordTransferRate('PS1DP1', 990_000), before);
    const slow = await hierarchy.recordTransferRate('PS1DP1', 100_000);
    assert.ok(slow.dpPriority > before.dpPriority, 'it did not even take what it might');
    await hierarchy.set({ dpId: 'PS1DP1', controls: { limit: 'none' } });
    const link = { linkName: 'wan', description: '', siteCode: 'PS1', toSiteCodes: [] };
    const ofLink = { ...link, dpIds: ['PS1DP1'], controls: { limit } };
    const links = machine.store.records(keySpaces.links);
    await machine.store.write([links.put('wan', ofLink)], { sync: false });
    assert.deepEqual(
      await hierarchy.recordTransferRate('PS1DP1', 50_000),
      slow,
      'its share of a link',
    );
    const quick = await hierarchy.recordTransferRate('PS1DP1', 50_000_000);
    assert.ok(quick.dpPriority < slow.dpPriority, 'that it is quicker counts all the same');
  });

  it('pins the priority of a DP, and lets it tune itself again (PTM-3)', async () => {
    const { hierarchy } = site;
    await hierarchy.add(good);
    assert.equal((await hierarchy.set({ dpId: 'PS1DP1', pinnedPriority: 50 })).pinnedPriority, 50);
    const same = await hierarchy.set({ dpId: 'PS1DP1', description: 'Second floor' });
    assert.equal(same.pinnedPriority, 50, 'what is not said stays');
    const again = await hierarchy.set({ dpId: 'PS1DP1', pinnedPriority: 0 });
    assert.ok(!('pinnedPriority' in again));
    for (const pinnedPriority of [401, -1, 1.5]) {
      await assert.rejects(hierarchy.set({ dpId: 'PS1DP1', pinnedPriority }), {
        code: 'REQUEST_INVALID',
      });
    }
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
    await hierarchy.delete('PS1DP1', { deletedBy: 'waybill://admin/full/alice' });
    await hierarchy.recordReachability('PS1DP1');
    assert.equal((await hierarchy.healthOf('PS1DP1')).reachability, 'unknown');
  });
});

function hasField(details: object, field: string): boolean {
  return 'field' in details && details.field === field;
}

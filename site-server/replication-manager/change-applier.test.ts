import assert from 'node:assert/strict';
import type { ErrorCode } from '../../shared/domain/errors.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { toDefinition } from '../../shared/domain/hierarchy-package-work.ts';
import { compareHybridTimes } from '../../shared/domain/hybrid-time.ts';
import { SiteTree, sitesBelowMax } from '../../shared/domain/site-tree.ts';
import type { ReplicatedRow } from '../../shared/rpc/generated/waybill/v1/ReplicatedRow.ts';
import type { ReplicationChanges } from '../../shared/rpc/generated/waybill/v1/ReplicationChanges.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { defaultRevocationsConfig, Revocations } from '../revocations/revocations.ts';
import type { Sender } from './apply-rule.ts';
import { ChangeApplier } from './change-applier.ts';
import { ChangeLog } from './change-log.ts';
import { FullCopyReceiver } from './full-copy-receiver.ts';
import { LogSweep } from './log-sweep.ts';
import { type OwnedRow, ownedRowProblem } from './owned-row-authority.ts';
import { rowBytesMax } from './replication-config.ts';
import { siteRowProblem } from './site-row-authority.ts';
import { testPackage, testStatus } from './testing/random-edits.ts';
import { overTheWire, TestHierarchy, type TestSite } from './testing/test-hierarchy.ts';
import { testSite, testTree } from './testing/test-sites.ts';

const hourMs = 3_600_000;

describe('change applier (REP-1, SEC-1)', () => {
  let hierarchy: TestHierarchy;
  let site: TestSite;
  let log: ChangeLog;
  let applier: ChangeApplier;
  let sender: Sender;
  let overruled: string[];
  beforeEach(async () => {
    hierarchy = await TestHierarchy.create();
    site = await hierarchy.add('PS1', 'primary');
    const { store, capture, notifier } = site;
    log = await ChangeLog.open({ store, capture, logger: site.log.logger });
    const checks = {
      'site-identities': () => 'its signature is not of its key',
    };
    applier = new ChangeApplier({ store, log, notifier, checks }, hierarchy.config);
    sender = {
      siteCode: 'SEC',
      isOnItsSide: (origin) => origin === 'SEC',
      ...{ isBelow: true, refilledThrough: 0, refillUntil: 0 },
      mayRefill: () => true,
      tree: testTree,
      ...{ isHeardAnew: () => false, siteRowProblem: () => undefined },
      ownedRowProblem: () => undefined,
      raisedRow: () => undefined,
      isUnjudged: () => false,
      keptRow: () => undefined,
      onOverruled: ({ message }) => overruled.push(message),
      copy: new FullCopyReceiver({
        ...{ store, log, notifier, neighbour: 'SEC', isParent: false },
        ownedRowProblem: () => undefined,
      }),
    };
    overruled = [];
  });
  afterEach(() => hierarchy[Symbol.asyncDispose]());

  const point = (description = '') => ({
    ...{ dpId: 'DP1', address: 'dp1:1', kind: 'standard', description, siteCode: 'SEC' },
  });
  const row = (changes: Partial<ReplicatedRow> = {}, aheadMs = 0): ReplicatedRow => ({
    ...{ table: 'hierarchy-distribution-points', key: 'DP1', value: JSON.stringify(point()) },
    changedAt: { wallMs: hierarchy.clock.nowMs() + aheadMs, counter: 0, siteCode: 'SEC' },
    ...{ sequence: 1, deleted: false },
    ...changes,
  });
  const apply = (changes: Partial<ReplicationChanges>) => {
    const message = { originSiteCode: 'SEC', after: 0, through: 2, rows: [row()], ...changes };
    const received = overTheWire({ changes: message }).changes;
    assert.ok(received);
    return applier.apply(received, sender);
  };
  const everything = async () => {
    const rows = new Map<string, unknown>();
    for (const space of Object.values(keySpaces)) {
      for (const [key, value] of await site.rows<unknown>(space))
        rows.set(`${space.name}:${key}`, value);
    }
    return rows;
  };

  it('takes a message whole: row, version, entry, cursor and notification', async () => {
    assert.equal(await apply({}), 1);
    const rows = await everything();
    assert.deepEqual(rows.get('hierarchy-distribution-points:DP1'), point());
    const entry = rows.get('change-log:SEC/0000000000000001');
    assert.equal((entry as { row: string }).row, 'hierarchy-distribution-points/DP1');
    const state = rows.get('origin-states:SEC') as { sequence: number };
    assert.equal(state.sequence, 2);
    const notified = [...rows.keys()].some((key) =>
      key.includes('hierarchy-distribution-point/DP1'),
    );
    assert.ok(notified);
  });

  it('keeps what a newer program says in a row', async () => {
    const value = JSON.stringify({ ...point(), more: { of: 'it' } });
    await apply({ rows: [row({ value })] });
    const points = site.store.records(keySpaces.hierarchyDistributionPoints);
    assert.equal(JSON.stringify(await points.get('DP1')), value);
  });

  it('lets the later change win, whichever comes last', async () => {
    await apply({});
    const key = 'DP1';
    const older = row({ key, sequence: 3, value: JSON.stringify(point('older')) }, -1);
    assert.equal(await apply({ after: 2, through: 3, rows: [older] }), 0);
    const points = site.store.records(keySpaces.hierarchyDistributionPoints);
    assert.equal((await points.get('DP1'))?.description, '');
    const newer = row({ key, sequence: 4, value: JSON.stringify(point('newer')) }, 1);
    assert.equal(await apply({ after: 3, through: 4, rows: [newer] }), 1);
    assert.equal((await points.get('DP1'))?.description, 'newer');
    assert.equal(log.originState('SEC').sequence, 4);
  });

  it('puts a change of this site after what it was shown, though its clock is behind', async () => {
    await apply({ rows: [row({}, 5 * 60_000)] });
    const points = site.store.records(keySpaces.hierarchyDistributionPoints);
    const own = { ...point('later'), kind: 'standard' as const };
    await site.store.write([points.put('DP1', own)], { sync: false });
    const again = row({ sequence: 3 }, 5 * 60_000);
    assert.equal(await apply({ after: 2, through: 3, rows: [again] }), 0);
    assert.equal((await points.get('DP1'))?.description, 'later');
  });

  it('does not overwrite what this site writes at that moment', async () => {
    const points = site.store.records(keySpaces.hierarchyDistributionPoints);
    for (let round = 0; round < 90; round++) {
      const theirs = row({ sequence: 1, value: JSON.stringify(point(`theirs ${round}`)) });
      const message = {
        after: round,
        through: round + 1,
        rows: [{ ...theirs, sequence: round + 1 }],
      };
      const applying = apply(message);
      for (let turn = 0; turn < round % 30; turn++) await Promise.resolve();
      const own = { ...point(`own ${round}`), kind: 'standard' as const };
      const writing = site.store.write([points.put('DP1', own)], { sync: false });
      const ownAt = site.capture.clock.latest;
      await Promise.all([writing, applying]);
      const theirsAt = { wallMs: hierarchy.clock.nowMs(), counter: 0, siteCode: 'SEC' };
      const isOwn = compareHybridTimes(ownAt, theirsAt) > 0;
      assert.equal((await points.get('DP1'))?.description, `${isOwn ? 'own' : 'theirs'} ${round}`);
      await hierarchy.clock.advance(10);
    }
  });

  it('does not take back from a full copy what was deleted here and is forgotten', async () => {
    await apply({ through: 5 });
    const points = site.store.records(keySpaces.hierarchyDistributionPoints);
    await site.store.write([points.delete('DP1')], { sync: true });
    for (const one of await points.getMany(['DP1'])) assert.equal(one, undefined);
    site.skewMs += 91 * 24 * hourMs;
    await new LogSweep({ store: site.store, log, clock: site.clock }, hierarchy.config).sweep();
    const [version] = await log.versionsOf(['hierarchy-distribution-points/DP1']);
    assert.equal(version, undefined, 'the tombstone is forgotten');
    const other = {
      ...row({ key: 'DP2', sequence: 6 }),
      value: JSON.stringify({ ...point(), dpId: 'DP2' }),
    };
    const copy = { after: 0, through: 7, rows: [row(), other], fullCopy: true };
    assert.equal(await apply(copy), 1);
    await apply({ ...copy, after: 7, rows: [], fullCopyEnds: true });
    assert.equal(await points.get('DP1'), undefined);
    assert.ok(await points.get('DP2'));
    assert.equal(log.originState('SEC').sequence, 7);
  });

  it('takes no more requests of one site than those of all add up to a whole number', async () => {
    const requests = (updateCount: number) => {
      const asked = { packageId: 'PS100001', siteCode: 'SEC', updateCount, isDeletion: false };
      const key = 'PS100001/SEC';
      return [row({ table: 'package-requests', key, value: JSON.stringify(asked) })];
    };
    // Added to one that was accepted, it would be a row of this site that all others refuse.
    await assert.rejects(apply({ rows: requests(Number.MAX_SAFE_INTEGER) }), (error) =>
      isErrorWithCode(error, 'REPLICATION_ROW_REFUSED'),
    );
    assert.equal(await apply({ rows: requests(2 ** 32) }), 1);
  });

  const own = (changes: Partial<ReplicatedRow> = {}): ReplicatedRow => {
    const published = JSON.stringify(testPackage('PS100001', 'given back'));
    const changedAt = { wallMs: hierarchy.clock.nowMs(), counter: 9, siteCode: 'PS1' };
    const which = { table: 'published-packages', key: 'PS100001', value: published };
    return row({ ...which, changedAt, ...changes });
  };
  const packageName = async () =>
    (await site.store.records(keySpaces.packages).get('PS100001'))?.properties.name;

  it("takes this site's own rows back as far as the neighbour knows of them, and no further", async () => {
    sender = { ...sender, refilledThrough: 0, refillUntil: 3 };
    await apply({ originSiteCode: 'PS1', rows: [own()] });
    assert.equal(await packageName(), 'given back');
    const isRefused = (error: unknown) => isErrorWithCode(error, 'REPLICATION_ORIGIN_REFUSED');
    const beyond = own({ sequence: 4, value: JSON.stringify(testPackage('PS100001', 'forged')) });
    const message = { originSiteCode: 'PS1', after: 2, through: 4, rows: [beyond] };
    await assert.rejects(apply(message), isRefused);
    await apply({ ...message, through: 3, rows: [] });
    await assert.rejects(apply({ ...message, after: 3 }), isRefused, 'all is given back');
    assert.equal(await packageName(), 'given back');
  });

  it("takes this site's own rows back only where it lacks them, or from whom it may", async () => {
    const packages = site.store.records(keySpaces.packages);
    const mine = testPackage('PS100001', 'mine');
    await site.store.write([packages.put('PS100001', mine)], { sync: true });
    const { lastSequence } = site.capture;
    const forged = own({ changedAt: { ...site.capture.clock.latest, counter: 99 }, sequence: 1 });
    // It says in its Hello that it knows nothing this site lacks.
    sender = { ...sender, refilledThrough: lastSequence, refillUntil: lastSequence };
    const forgery = { originSiteCode: 'PS1', after: lastSequence, through: lastSequence + 1 };
    const rows = [{ ...forged, sequence: lastSequence + 1 }];
    await assert.rejects(apply({ ...forgery, rows }), (error) =>
      isErrorWithCode(error, 'REPLICATION_ORIGIN_REFUSED'),
    );
    sender = { ...sender, refilledThrough: 0, refillUntil: 2, mayRefill: () => false };
    assert.equal(await apply({ originSiteCode: 'PS1', rows: [forged] }), 0);
    assert.equal(await packageName(), 'mine');
  });

  it('mends a row that is not what its version says', async () => {
    await apply({});
    const points = site.store.records(keySpaces.hierarchyDistributionPoints);
    const stale = [points.put('DP1', { ...point('stale'), kind: 'standard' as const })];
    await site.store.write(site.capture.foreign(stale), { sync: true });
    const again = { after: 2, through: 3, rows: [row({ sequence: 3 })] };
    assert.equal(await apply(again), 1);
    assert.equal((await points.get('DP1'))?.description, '');
    const same = { after: 3, through: 4, rows: [row({ sequence: 4 })] };
    assert.equal(await apply(same), 0, 'what is the same is let be');
  });

  it('says anew what a site is, when a site that may not says otherwise', async () => {
    const sites = site.store.records(keySpaces.sites);
    const ps2 = { siteCode: 'PS2', kind: 'primary', parentSiteCode: '' } as const;
    await site.define({ ...ps2, address: 'ps2:1', description: '' });
    sender = { ...sender, siteRowProblem: (_tree, { origin }) => `${origin} may not` };
    const value = JSON.stringify({
      ...ps2,
      parentSiteCode: 'SEC',
      ...{ address: '', description: '' },
    });
    const moved = row({ table: 'sites', key: 'PS2', value }, 1_000);
    // A site above them may be about to say of these what they are.
    const gone = row({ table: 'sites', key: 'PS8', deleted: true, value: '', sequence: 2 });
    const invented = JSON.stringify({
      ...JSON.parse(value),
      siteCode: 'PS9',
      parentSiteCode: 'PS2',
    });
    const elsewhere = row({ table: 'sites', key: 'PS9', value: invented, sequence: 3 });
    assert.equal(await apply({ through: 3, rows: [moved, gone, elsewhere] }), 0);
    assert.equal((await sites.get('PS2'))?.parentSiteCode, '');
    const [version, ...none] = await log.versionsOf(['sites/PS2', 'sites/PS8', 'sites/PS9']);
    assert.ok(version);
    assert.deepEqual(none, [undefined, undefined]);
    assert.equal(version.changedAt.siteCode, 'PS1');
    assert.ok(version.changedAt.wallMs > hierarchy.clock.nowMs(), 'later than what was sent');
    assert.equal(overruled.length, 2);
    assert.equal(log.originState('SEC').sequence, 3, 'it goes on');
  });

  const below = (siteCode: string) => testSite(siteCode, 'secondary', 'SEC');
  const fullOfSec = () => {
    const codes = Array.from(
      { length: sitesBelowMax },
      (_, at) => `X${at.toString(36).padStart(2, '0').toUpperCase()}`,
    );
    const places = [testSite('PS1', 'central-administration'), testSite('SEC', 'primary', 'PS1')];
    sender = {
      ...sender,
      tree: () => new SiteTree([...places, ...codes.map(below)]),
      siteRowProblem,
    };
    return codes;
  };
  const siteRow = (siteCode: string, more: Partial<ReplicatedRow>) => {
    const value = more.deleted ? '' : JSON.stringify(below(siteCode));
    return row({ table: 'sites', key: siteCode, value, ...more }, 1_000);
  };

  it('takes a new site in the place of one that the same message deletes', async () => {
    const [old = ''] = fullOfSec();
    await site.define(below(old));
    const rows = [siteRow('S99', {}), siteRow(old, { deleted: true, sequence: 2 })];
    assert.equal(await apply({ rows }), 2);
    assert.deepEqual(overruled, []);
    const sites = site.store.records(keySpaces.sites);
    assert.deepEqual([await sites.get(old), await sites.get('S99')], [undefined, below('S99')]);
    // What is later here stays: so there is no room.
    const stale = siteRow(old, { deleted: true, sequence: 4 });
    await site.store.write([sites.put(old, below(old))], { sync: true });
    assert.equal(
      await apply({ after: 2, through: 4, rows: [siteRow('S98', { sequence: 3 }), stale] }),
      0,
    );
    assert.match(overruled.join(), /250 sites below itself/);
  });

  it('says of a new site for which there is no room that it is gone, where it was defined', async () => {
    fullOfSec();
    assert.equal(await apply({ rows: [siteRow('S99', {})] }), 0);
    assert.match(overruled.join(), /250 sites below itself/);
    const [version] = await log.versionsOf(['sites/S99']);
    assert.ok(version?.isDeleted && version.changedAt.siteCode === 'PS1');
    assert.ok(version.changedAt.wallMs > hierarchy.clock.nowMs(), 'later than what was sent');
  });

  for (const [when, isHeardAnew, fullCopy] of [
    ['while it hears anew what it lost', true, false],
    ['in a full copy', false, true],
  ] as const) {
    it(`says of no site that it is gone ${when}, for it may have been at work for long`, async () => {
      fullOfSec();
      sender = { ...sender, isHeardAnew: () => isHeardAnew };
      assert.equal(await apply({ rows: [siteRow('S99', {})], fullCopy }), 0);
      assert.match(overruled.join(), /250 sites below itself/);
      assert.deepEqual(await log.versionsOf(['sites/S99']), [undefined]);
    });
  }

  it('takes a site that was made known with a say, though one of its code was refused after that', async () => {
    fullOfSec();
    assert.equal(await apply({ through: 1, rows: [siteRow('S99', {})] }), 0);
    const sites = site.store.records(keySpaces.sites);
    const made = (sequence: number) =>
      row({ table: 'sites', key: 'S99', value: JSON.stringify(below('S99')), sequence });
    assert.equal(await apply({ after: 1, rows: [made(2)] }), 0, 'of whom it was refused');
    assert.equal(await sites.get('S99'), undefined);
    const [none] = await log.versionsOf(['sites/S99']);
    sender = {
      ...{ ...sender, siteRowProblem: () => undefined },
      ownedRowProblem: (tree) => (tree.get('S99') ? undefined : 'S99 is not known'),
    };
    const rows = [row({ sequence: 3 }), made(4)];
    assert.equal(await apply({ after: 2, through: 4, rows }), 2, 'with what depends on it');
    assert.deepEqual(await sites.get('S99'), below('S99'));
    const [version] = await log.versionsOf(['sites/S99']);
    assert.ok(none && version && compareHybridTimes(version.changedAt, none.changedAt) > 0);
    assert.deepEqual([version.isDeleted, version.isOfNothing], [false, undefined]);
    // What somebody with a say has deleted stays so.
    await site.store.write([sites.delete('S99')], { sync: true });
    assert.equal(await apply({ after: 4, through: 5, rows: [made(5)] }), 0);
    assert.equal(await sites.get('S99'), undefined);
  });

  describe('of a package whose source site is not known yet', () => {
    const owned = toDefinition(testPackage('S2100001', 'Office'));
    const other = { ...owned, directories: ['/etc/waybill'] };
    const definition = (sequence: number, more: Partial<ReplicatedRow> = {}) => {
      const value = more.deleted ? '' : JSON.stringify(other);
      return row(
        { table: 'package-definitions', key: 'S2100001', value, sequence, ...more },
        1_000,
      );
    };
    const directories = async () =>
      (await site.store.records(keySpaces.packageDefinitions).get('S2100001'))?.directories;
    beforeEach(async () => {
      const tree = testTree().with('S21', undefined);
      sender = { ...sender, tree: () => tree, ownedRowProblem };
      const definitions = site.store.records(keySpaces.packageDefinitions);
      await site.store.write([definitions.put('S2100001', owned)], { sync: true });
    });

    it('lets no other site change or delete what it is (SEC-1)', async () => {
      assert.equal(await apply({ rows: [definition(1)] }), 0);
      assert.match(overruled.join(), /S2100001.*only site S21 or one above it/);
      assert.equal(
        await apply({ after: 2, through: 3, rows: [definition(3, { deleted: true })] }),
        0,
      );
      assert.deepEqual(await directories(), owned.directories);
      const [version] = await log.versionsOf(['package-definitions/S2100001']);
      assert.ok(version && version.changedAt.wallMs > hierarchy.clock.nowMs(), 'said anew');
    });

    it('deletes it once that site was taken out', async () => {
      const sites = site.store.records(keySpaces.sites);
      await site.define(testSite('S21', 'secondary', 'PS2'));
      await site.store.write([sites.delete('S21')], { sync: true });
      assert.equal(await apply({ rows: [definition(1, { deleted: true })] }), 1);
      assert.equal(await directories(), undefined);
    });

    it('deletes it in the message that takes that site out', async () => {
      await site.define(testSite('S21', 'secondary', 'PS2'));
      sender = { ...sender, tree: testTree };
      const out = row({ table: 'sites', key: 'S21', value: '', deleted: true, sequence: 1 }, 1_000);
      assert.equal(await apply({ rows: [out, definition(2, { deleted: true })] }), 2);
      assert.equal(await directories(), undefined);
    });
  });

  it('takes what a site with a say has made, though a made-up row was refused after it', async () => {
    const points = site.store.records(keySpaces.hierarchyDistributionPoints);
    sender = { ...sender, ownedRowProblem: () => 'it has no say' };
    assert.equal(await apply({ rows: [row({}, 60_000)] }), 0);
    const [none] = await log.versionsOf(['hierarchy-distribution-points/DP1']);
    assert.deepEqual([none?.isDeleted, none?.isOfNothing], [true, true]);
    sender = {
      ...{ ...sender, ownedRowProblem: () => undefined },
      raisedRow: (_tree, { held, value }) => (held.isOfNothing ? { value } : undefined),
    };
    const earlier = row({ sequence: 3 });
    assert.equal(await apply({ after: 2, through: 3, rows: [earlier] }), 1);
    assert.deepEqual(await points.get('DP1'), point());
    const [version] = await log.versionsOf(['hierarchy-distribution-points/DP1']);
    assert.ok(none && version && compareHybridTimes(version.changedAt, none.changedAt) > 0);
    assert.deepEqual([version.isDeleted, version.isOfNothing], [false, undefined]);
    assert.equal(version.changedAt.siteCode, 'PS1', 'said as its own, for everybody');
    assert.equal(await apply({ after: 3, through: 4, rows: [row({ sequence: 4 })] }), 0);
  });

  it('keeps that nothing was here, when it says that anew against a later row', async () => {
    sender = { ...sender, ownedRowProblem: () => 'it has no say' };
    assert.equal(await apply({ rows: [row({}, 60_000)] }), 0);
    const rowId = 'hierarchy-distribution-points/DP1';
    const [none] = await log.versionsOf([rowId]);
    sender = { ...sender, keptRow: () => ({ value: undefined }) };
    await apply({ after: 2, through: 3, rows: [row({ sequence: 3 }, 120_000)] });
    const [kept] = await log.versionsOf([rowId]);
    assert.ok(none && kept && compareHybridTimes(kept.changedAt, none.changedAt) > 0);
    assert.deepEqual([kept.isDeleted, kept.isOfNothing], [true, true]);
  });

  it('says nothing anew that may be outdated before the parent has heard it, and asks again', async () => {
    await apply({});
    sender = { ...sender, ownedRowProblem: () => 'it has no say', isUnjudged: () => true };
    const before = await everything();
    const later = { after: 2, through: 3, rows: [row({ sequence: 3 }, 60_000)] };
    await assert.rejects(apply(later), /refused: it has no say; what is here may be outdated/);
    const [version] = await log.versionsOf(['hierarchy-distribution-points/DP1']);
    assert.deepEqual(await everything(), before, 'nothing of the message is taken');
    sender = { ...sender, isUnjudged: () => false };
    assert.equal(await apply(later), 0);
    const [anew] = await log.versionsOf(['hierarchy-distribution-points/DP1']);
    assert.ok(version && anew && compareHybridTimes(anew.changedAt, version.changedAt) > 0);
  });

  it('keeps a row that a full copy lacks and that its sender may not delete', async () => {
    const points = site.store.records(keySpaces.hierarchyDistributionPoints);
    const names = ['DP1', 'DP2'];
    const put = (dpId: string) =>
      points.put(dpId, { ...point(), dpId, kind: 'standard' as const, siteCode: 'PS1' });
    await site.store.write(names.map(put), { sync: true });
    const { notifier, store } = site;
    const ownedRowProblem = ({ name, before }: OwnedRow) =>
      name.key === 'DP1' && before ? 'PS1 says so' : undefined;
    const needs = { store, log, notifier, neighbour: 'SEC', isParent: false, ownedRowProblem };
    sender = { ...sender, copy: new FullCopyReceiver(needs) };
    const through = site.capture.lastSequence;
    const copy = { originSiteCode: 'PS1', fullCopy: true, rows: [] };
    await apply({ ...copy, after: 0, through });
    await apply({ ...copy, after: through, through, fullCopyEnds: true });
    assert.ok(await points.get('DP1'));
    assert.equal(await points.get('DP2'), undefined);
  });

  it('takes nothing of a site that is deleted, and lets its neighbour go on', async () => {
    await site.store.write([site.store.records(keySpaces.sites).delete('SEC')], { sync: true });
    assert.equal(await apply({ after: 5, through: 6 }), undefined);
    assert.equal(log.originState('SEC').sequence, 0);
  });

  const status = JSON.stringify(testStatus('PS100001', 'DP1', 1));
  const published = JSON.stringify(testPackage('PS100001', 'x'));
  const identity = JSON.stringify({
    ...{ siteCode: 'SEC', address: '', agentVersion: '1', signingKeys: [], signedAtMs: 1 },
    ...{ certificate: '', signature: '' },
  });
  it('passes over a row that would take back what its writer said later, and goes on', async () => {
    const { store, notifier } = site;
    const seen: [string, unknown][] = [];
    const rollbacks = {
      'hierarchy-distribution-points': (key: string, value: unknown) => {
        seen.push([key, value]);
        return key === 'DP1';
      },
    };
    applier = new ChangeApplier({ store, log, notifier, rollbacks }, hierarchy.config);
    const other = row({ key: 'DP2', value: JSON.stringify({ ...point(), dpId: 'DP2' }) });
    const rows = [row({ value: '', deleted: true }), { ...other, sequence: 2 }];
    assert.equal(await apply({ rows }), 1);
    assert.deepEqual(seen[0], ['DP1', undefined]);
    assert.equal(log.originState('SEC').sequence, 2);
  });

  describe('of more revocations than are kept of a site', () => {
    const revoked = (count: number, after = 0) =>
      Array.from({ length: count }, (_, index) => {
        const sequence = after + index + 1;
        const holder = `client/x${sequence}`;
        const said = { siteCode: 'SEC', holder, revokedAtMs: 1, reason: '', revokedBy: '' };
        const which = { table: 'revocations', key: `SEC/${holder}`, value: JSON.stringify(said) };
        return row({ ...which, sequence });
      });
    const held = async () => [...(await site.rows(keySpaces.revocations)).keys()];
    let revocations: Revocations;
    beforeEach(async () => {
      const { store, notifier, directory, clock } = site;
      revocations = new Revocations(
        { store, clock, siteCode: 'PS1', sites: directory, logger: site.log.logger },
        { ...defaultRevocationsConfig, otherCountMax: 3 },
      );
      await revocations.start();
      applier = new ChangeApplier(
        {
          ...{ store, log, notifier },
          checks: { revocations: (key, value) => revocations.refusalOfRow(key, value) },
          rooms: { revocations: () => revocations.roomOfMessage() },
        },
        hierarchy.config,
      );
    });
    afterEach(() => revocations.stop());

    it('a full copy brings as many, reports, and comes to its end (SEC-3)', async () => {
      const copy = { after: 0, through: 2, fullCopy: true };
      assert.equal(await apply({ ...copy, rows: revoked(2) }), 2);
      const rows = [...revoked(4, 2), row({ sequence: 7 })];
      assert.equal(await apply({ ...copy, after: 2, through: 7, rows }), 2);
      assert.equal(await apply({ ...copy, after: 7, through: 9, rows: revoked(2, 7) }), 0);
      await apply({ ...copy, after: 9, through: 9, rows: [], fullCopyEnds: true });
      assert.deepEqual(await held(), ['SEC/client/x1', 'SEC/client/x2', 'SEC/client/x3']);
      assert.equal(log.originState('SEC').sequence, 9);
      assert.equal(overruled.length, 2, 'one report for a message');
      assert.match(overruled[0] ?? '', /SEC\/client\/x4.* 3 revocations are kept; 3 are not taken/);
    });

    it('a change leaves the others, and what else its site says goes on (SEC-3)', async () => {
      const rows = [...revoked(5), row({ sequence: 6 })];
      assert.equal(await apply({ through: 6, rows }), 4);
      assert.equal((await held()).length, 3);
      const [version] = await log.versionsOf(['revocations/SEC/client/x4']);
      assert.equal(version, undefined, 'it is not said anew by this site');
      const again = { ...revoked(1)[0], sequence: 7 };
      const changedAt = { wallMs: hierarchy.clock.nowMs() + 1, counter: 0, siteCode: 'SEC' };
      assert.equal(await apply({ after: 6, through: 7, rows: [{ ...again, changedAt }] }), 1);
    });
  });

  const refusals: [string, ErrorCode, () => Partial<ReplicationChanges>][] = [
    ['a gap', 'REPLICATION_GAP', () => ({ after: 1 })],
    [
      'a foreign origin',
      'REPLICATION_ORIGIN_REFUSED',
      () => ({
        originSiteCode: 'PS2',
        rows: [row({ changedAt: { wallMs: 1, counter: 0, siteCode: 'PS2' } })],
      }),
    ],
    ['a clock an hour ahead', 'CLOCK_AHEAD', () => ({ rows: [row({}, hourMs)] })],
    ['an unknown table', 'REPLICATION_ROW_REFUSED', () => ({ rows: [row({ table: 'counters' })] })],
    ['a key of no table', 'REPLICATION_ROW_REFUSED', () => ({ rows: [row({ key: 'a/b' })] })],
    ['no JSON', 'REPLICATION_ROW_REFUSED', () => ({ rows: [row({ value: '{' })] })],
    [
      'much in a field that is not known',
      'REPLICATION_ROW_REFUSED',
      () => ({ rows: [row({ value: JSON.stringify({ ...point(), more: 'x'.repeat(5_000) }) })] }),
    ],
    [
      'an oversized text',
      'REPLICATION_ROW_REFUSED',
      () => ({ rows: [row({ value: JSON.stringify(point('x'.repeat(9_000))) })] }),
    ],
    [
      'oversized JSON',
      'REPLICATION_ROW_REFUSED',
      () => ({ rows: [row({ value: `"${'x'.repeat(rowBytesMax)}"` })] }),
    ],
    [
      'another row than its key',
      'REPLICATION_ROW_REFUSED',
      () => ({ rows: [row({ key: 'DP2' })] }),
    ],
    [
      "another site's status",
      'REPLICATION_ROW_REFUSED',
      () => ({
        rows: [row({ table: 'site-package-status', key: 'PS100001/PS1/DP1', value: status })],
      }),
    ],
    [
      "another site's package",
      'REPLICATION_ROW_REFUSED',
      () => ({ rows: [row({ table: 'published-packages', key: 'PS100001', value: published })] }),
    ],
    [
      'a row that its check refuses',
      'REPLICATION_ROW_REFUSED',
      () => ({ rows: [row({ table: 'site-identities', key: 'SEC', value: identity })] }),
    ],
    ['a number beyond the message', 'MESSAGE_INVALID', () => ({ rows: [row({ sequence: 3 })] })],
    ['numbers that fall', 'MESSAGE_INVALID', () => ({ rows: [row({ sequence: 2 }), row()] })],
    ['a row twice', 'MESSAGE_INVALID', () => ({ rows: [row(), row({ sequence: 2 })] })],
    [
      'a time of another site',
      'MESSAGE_INVALID',
      () => ({ rows: [row({ changedAt: { wallMs: 1, counter: 0, siteCode: 'PS9' } })] }),
    ],
    [
      'a deleted row with a value',
      'REPLICATION_ROW_REFUSED',
      () => ({ rows: [row({ deleted: true })] }),
    ],
    [
      'the end of a full copy that had no part',
      'MESSAGE_INVALID',
      () => ({ fullCopy: true, fullCopyEnds: true, rows: [] }),
    ],
    [
      "this site's own rows that it does not want",
      'REPLICATION_ORIGIN_REFUSED',
      () => ({ originSiteCode: 'PS1', rows: [own({ sequence: 1 })] }),
    ],
    ['a number that leaves none', 'MESSAGE_INVALID', () => ({ through: `${2 ** 53 - 1}` })],
    ['a number that is none', 'MESSAGE_INVALID', () => ({ through: '18446744073709551615' })],
  ];
  for (const [what, code, changes] of refusals) {
    it(`refuses ${what}, and nothing of the message is applied`, async () => {
      const before = await everything();
      const { rows = [], ...others } = changes();
      // A sound row stands before the bad one, where there is room for it.
      const sound = row({ key: 'DP0', value: JSON.stringify({ ...point(), dpId: 'DP0' }) });
      const isSoundFirst = rows.length === 1 && Number(rows[0]?.sequence) === 1;
      const sent = isSoundFirst ? [sound, { ...rows[0], sequence: 2 }] : rows;
      await assert.rejects(apply({ ...others, rows: sent }), (error) =>
        isErrorWithCode(error, code),
      );
      assert.deepEqual(await everything(), before);
    });
  }
});

import assert from 'node:assert/strict';
import { toDefinition } from '../../shared/domain/hierarchy-package-work.ts';
import { compareHybridTimes } from '../../shared/domain/hybrid-time.ts';
import type { ReplicatedRow } from '../../shared/rpc/generated/waybill/v1/ReplicatedRow.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { ownedRowProblem } from './owned-row-authority.ts';
import {
  apply,
  everything,
  hierarchy,
  log,
  openBeforeEach,
  overruled,
  point,
  row,
  senderIs,
  site,
} from './testing/applier-ground.ts';
import { testPackage } from './testing/random-edits.ts';
import { testSite, testTree } from './testing/test-sites.ts';

describe('change applier: who has a say (REP-1, SEC-1)', () => {
  openBeforeEach();

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
      senderIs({ tree: () => tree, ownedRowProblem });
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
      senderIs({ tree: testTree });
      const out = row({ table: 'sites', key: 'S21', value: '', deleted: true, sequence: 1 }, 1_000);
      assert.equal(await apply({ rows: [out, definition(2, { deleted: true })] }), 2);
      assert.equal(await directories(), undefined);
    });
  });

  it('takes what a site with a say has made, though a made-up row was refused after it', async () => {
    const points = site.store.records(keySpaces.hierarchyDistributionPoints);
    senderIs({ ownedRowProblem: () => 'it has no say' });
    assert.equal(await apply({ rows: [row({}, 60_000)] }), 0);
    const [none] = await log.versionsOf(['hierarchy-distribution-points/DP1']);
    assert.deepEqual([none?.isDeleted, none?.isOfNothing], [true, true]);
    senderIs({
      ownedRowProblem: () => undefined,
      raisedRow: (_tree, { held, value }) => (held.isOfNothing ? { value } : undefined),
    });
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
    senderIs({ ownedRowProblem: () => 'it has no say' });
    assert.equal(await apply({ rows: [row({}, 60_000)] }), 0);
    const rowId = 'hierarchy-distribution-points/DP1';
    const [none] = await log.versionsOf([rowId]);
    senderIs({ keptRow: () => ({ value: undefined }) });
    await apply({ after: 2, through: 3, rows: [row({ sequence: 3 }, 120_000)] });
    const [kept] = await log.versionsOf([rowId]);
    assert.ok(none && kept && compareHybridTimes(kept.changedAt, none.changedAt) > 0);
    assert.deepEqual([kept.isDeleted, kept.isOfNothing], [true, true]);
  });

  it('says nothing anew that may be outdated before the parent has heard it, and asks again', async () => {
    await apply({});
    senderIs({ ownedRowProblem: () => 'it has no say', isUnjudged: () => true });
    const before = await everything();
    const later = { after: 2, through: 3, rows: [row({ sequence: 3 }, 60_000)] };
    await assert.rejects(apply(later), /refused: it has no say; what is here may be outdated/);
    const [version] = await log.versionsOf(['hierarchy-distribution-points/DP1']);
    assert.deepEqual(await everything(), before, 'nothing of the message is taken');
    senderIs({ isUnjudged: () => false });
    assert.equal(await apply(later), 0);
    const [anew] = await log.versionsOf(['hierarchy-distribution-points/DP1']);
    assert.ok(version && anew && compareHybridTimes(anew.changedAt, version.changedAt) > 0);
  });
});

import assert from 'node:assert/strict';
import { compareHybridTimes } from '../../shared/domain/hybrid-time.ts';
import { SiteTree, sitesBelowMax } from '../../shared/domain/site-tree.ts';
import type { ReplicatedRow } from '../../shared/rpc/generated/waybill/v1/ReplicatedRow.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { siteRowProblem } from './site-row-authority.ts';
import {
  apply,
  hierarchy,
  log,
  openBeforeEach,
  overruled,
  row,
  senderIs,
  site,
} from './testing/applier-ground.ts';
import { testSite } from './testing/test-sites.ts';

describe('change applier: rows of sites (REP-1, SEC-1)', () => {
  openBeforeEach();

  it('says anew what a site is, when a site that may not says otherwise', async () => {
    const sites = site.store.records(keySpaces.sites);
    const ps2 = { siteCode: 'PS2', kind: 'primary', parentSiteCode: '' } as const;
    await site.define({ ...ps2, address: 'ps2:1', description: '' });
    senderIs({ siteRowProblem: (_tree, { origin }) => `${origin} may not` });
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
    senderIs({
      tree: () => new SiteTree([...places, ...codes.map(below)]),
      siteRowProblem,
    });
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
      senderIs({ isHeardAnew: () => isHeardAnew });
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
    senderIs({
      siteRowProblem: () => undefined,
      ownedRowProblem: (tree) => (tree.get('S99') ? undefined : 'S99 is not known'),
    });
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
});

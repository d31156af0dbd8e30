import assert from 'node:assert/strict';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { compareHybridTimes } from '../../shared/domain/hybrid-time.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { LogSweep } from './log-sweep.ts';
import {
  apply,
  applyWith,
  everything,
  hierarchy,
  log,
  openBeforeEach,
  point,
  row,
  site,
} from './testing/applier-ground.ts';

const hourMs = 3_600_000;

describe('change applier (REP-1, SEC-1)', () => {
  openBeforeEach();

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

  it('takes nothing of a site that is deleted, and lets its neighbour go on', async () => {
    await site.store.write([site.store.records(keySpaces.sites).delete('SEC')], { sync: true });
    assert.equal(await apply({ after: 5, through: 6 }), undefined);
    assert.equal(log.originState('SEC').sequence, 0);
  });

  it('passes over a row that would take back what its writer said later, and goes on', async () => {
    const seen: [string, unknown][] = [];
    const rollbacks = {
      'hierarchy-distribution-points': (key: string, value: unknown) => {
        seen.push([key, value]);
        return key === 'DP1';
      },
    };
    applyWith({ rollbacks });
    const other = row({ key: 'DP2', value: JSON.stringify({ ...point(), dpId: 'DP2' }) });
    const rows = [row({ value: '', deleted: true }), { ...other, sequence: 2 }];
    assert.equal(await apply({ rows }), 1);
    assert.deepEqual(seen[0], ['DP1', undefined]);
    assert.equal(log.originState('SEC').sequence, 2);
  });
});

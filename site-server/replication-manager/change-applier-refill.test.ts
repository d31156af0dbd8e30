import assert from 'node:assert/strict';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { FullCopyReceiver } from './full-copy-receiver.ts';
import type { OwnedRow } from './owned-row-authority.ts';
import {
  apply,
  log,
  openBeforeEach,
  own,
  point,
  senderIs,
  site,
} from './testing/applier-ground.ts';
import { testPackage } from './testing/random-edits.ts';

describe("change applier: a site's own rows that come back, and full copies (REP-1, SEC-1)", () => {
  openBeforeEach();

  const packageName = async () =>
    (await site.store.records(keySpaces.packages).get('PS100001'))?.properties.name;

  it("takes this site's own rows back as far as the neighbour knows of them, and no further", async () => {
    senderIs({ refilledThrough: 0, refillUntil: 3 });
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
    senderIs({ refilledThrough: lastSequence, refillUntil: lastSequence });
    const forgery = { originSiteCode: 'PS1', after: lastSequence, through: lastSequence + 1 };
    const rows = [{ ...forged, sequence: lastSequence + 1 }];
    await assert.rejects(apply({ ...forgery, rows }), (error) =>
      isErrorWithCode(error, 'REPLICATION_ORIGIN_REFUSED'),
    );
    senderIs({ refilledThrough: 0, refillUntil: 2, mayRefill: () => false });
    assert.equal(await apply({ originSiteCode: 'PS1', rows: [forged] }), 0);
    assert.equal(await packageName(), 'mine');
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
    senderIs({ copy: new FullCopyReceiver(needs) });
    const through = site.capture.lastSequence;
    const copy = { originSiteCode: 'PS1', fullCopy: true, rows: [] };
    await apply({ ...copy, after: 0, through });
    await apply({ ...copy, after: through, through, fullCopyEnds: true });
    assert.ok(await points.get('DP1'));
    assert.equal(await points.get('DP2'), undefined);
  });
});

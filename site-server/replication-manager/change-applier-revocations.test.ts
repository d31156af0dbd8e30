import assert from 'node:assert/strict';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { defaultRevocationsConfig, Revocations } from '../revocations/revocations.ts';
import {
  apply,
  applyWith,
  hierarchy,
  log,
  openBeforeEach,
  overruled,
  row,
  site,
} from './testing/applier-ground.ts';

describe('change applier: revocations (SEC-3)', () => {
  openBeforeEach();

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
      const { store, directory, clock } = site;
      revocations = new Revocations(
        { store, clock, siteCode: 'PS1', sites: directory, logger: site.log.logger },
        { ...defaultRevocationsConfig, otherCountMax: 3 },
      );
      await revocations.start();
      applyWith({
        checks: { revocations: (key, value) => revocations.refusalOfRow(key, value) },
        rooms: { revocations: () => revocations.roomOfMessage() },
      });
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
});

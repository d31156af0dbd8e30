import assert from 'node:assert/strict';
import type { ErrorCode } from '../../shared/domain/errors.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { ReplicationChanges } from '../../shared/rpc/generated/waybill/v1/ReplicationChanges.ts';
import { rowBytesMax } from './replication-config.ts';
import { apply, everything, openBeforeEach, own, point, row } from './testing/applier-ground.ts';
import { testPackage, testStatus } from './testing/random-edits.ts';

const hourMs = 3_600_000;

describe('change applier: what is refused (REP-1, SEC-1)', () => {
  openBeforeEach();

  const status = JSON.stringify(testStatus('PS100001', 'DP1', 1));
  const published = JSON.stringify(testPackage('PS100001', 'x'));
  const identity = JSON.stringify({
    ...{ siteCode: 'SEC', address: '', agentVersion: '1', signingKeys: [], signedAtMs: 1 },
    ...{ certificate: '', signature: '' },
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

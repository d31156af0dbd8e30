import assert from 'node:assert/strict';
import { type ChainedRecord, chained } from '../../shared/audit-chain/audit-chain.ts';
import { noRecordHash } from '../../shared/domain/audit-record.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { FakeAdmin } from './testing/fake-admin.ts';
import { thenMs } from './testing/fake-moment.ts';
import { runWaybill } from './testing/run-waybill.ts';
import { aChildSite, aSiteRecord } from './testing/site-answers.ts';

const bytes = (hash: string) => Buffer.from(hash, 'hex');

/** A trail as a site server writes it. */
function trailOf(count: number): ChainedRecord[] {
  const facts = { caller: 'alice', address: '::1', method: 'm', result: 'ok', detail: 'd' };
  const trail: ChainedRecord[] = [];
  for (let serial = 1; serial <= count; serial++) {
    const previous = trail.at(-1)?.hash ?? noRecordHash;
    trail.push(chained({ serial, timeMs: thenMs, ...facts }, previous));
  }
  return trail;
}
const trail = trailOf(6);
const at = (serial: number) => trail[serial - 1] ?? assert.fail();

/** A site server whose audit trail is so, and that was told these records. */
function siteWith(
  records: readonly Partial<ChainedRecord>[],
  told: readonly (ChainedRecord & { toldAtMs?: number })[] = [],
  anchor?: ChainedRecord,
) {
  const messages = records.map((record) => ({
    ...{ serial: '0', timeMs: '0', caller: '', address: '', method: '', result: '', detail: '' },
    ...{ ...record, serial: `${record.serial}`, timeMs: `${record.timeMs}` },
    previousHash: bytes(record.previousHash ?? ''),
    hash: bytes(record.hash ?? ''),
  }));
  const heads = told.map(({ serial, hash, toldAtMs = thenMs }) => {
    return { serial: `${serial}`, hash: bytes(hash), toldAtMs: `${toldAtMs}` };
  });
  return new FakeAdmin()
    .stream('readAuditTrail', () => [
      ...(anchor
        ? [{ anchor: { serial: `${anchor.serial}`, hash: bytes(anchor.hash) }, records: [] }]
        : []),
      { anchor: null, records: messages.slice(0, 3) },
      { anchor: null, records: messages.slice(3) },
    ])
    .stream('listAuditHeads', () => heads)
    .stream('listSites', () => [aSiteRecord()]);
}

describe('waybill audit verify (ADM-5)', () => {
  it('says that a trail is what was written, and what it was compared with', async () => {
    const admin = siteWith(trail, [at(2), at(6)]);
    const { exitCode, stdout } = await runWaybill('audit verify', { admin });
    const expected =
      'The audit trail of site PS1 is whole: 6 records, 1 to 6.\nCompared with what PS1 was told 2 times.\n';
    assert.deepEqual([exitCode, stdout], [0, expected]);
    const { stdout: empty } = await runWaybill('audit verify', { admin: siteWith([]) });
    const nothing = 'The audit trail of site PS1 is empty.\nNothing was told to PS1 of it yet.\n';
    assert.equal(empty, nothing);
  });

  it('does not believe that what was told of lately went in time', async () => {
    const admin = siteWith(trail.slice(4), [at(2), at(6)], at(4));
    const { exitCode, stdout } = await runWaybill('audit verify', { admin });
    assert.equal(exitCode, 1);
    assert.match(
      stdout,
      /Records 1 to 2 were removed, as far as they were there; or .* less than 400 days \(--kept-days\)\./,
    );
    const weekAgo = { ...at(2), toldAtMs: thenMs - 7 * 86_400_000 };
    for (const [days, exitCodeWanted] of [
      [9, 1],
      [7, 0],
    ]) {
      const old = siteWith(trail.slice(4), [weekAgo, at(6)], at(4));
      const looked = await runWaybill(`audit verify --kept-days ${days}`, { admin: old });
      assert.equal(looked.exitCode, exitCodeWanted, looked.stdout);
    }
  });

  const forged = chained({ ...at(4), caller: 'mallory' }, at(3).hash);
  const anew = [...trail.slice(0, 3), forged, ...rechained([at(5), at(6)], forged.hash)];
  function rechained(records: readonly ChainedRecord[], previous: string): ChainedRecord[] {
    let hash = previous;
    return records.map((record) => {
      const next = chained(record, hash);
      hash = next.hash;
      return next;
    });
  }

  for (const [what, records, text] of [
    [
      'altered',
      trail.map((one) => (one.serial === 3 ? { ...one, result: 'ok2' } : one)),
      'Record 3 was altered.',
    ],
    [
      'altered together with its hash',
      trail.map((one) => (one.serial === 4 ? forged : one)),
      'Record 4 was altered.',
    ],
    ['removed', trail.filter(({ serial }) => serial !== 5), 'Record 5 was removed.'],
    ['cut off at the end', trail.slice(0, 4), 'Records 5 to 6 were removed, as far'],
    ['removed at the beginning', trail.slice(2), 'Records 1 to 2 were removed, as far'],
    [
      'written anew from there on',
      anew,
      'Record 6, or one before it, was written anew since 2026-03-14 09:26:53, when PS1 was told of it.',
    ],
  ] as const) {
    it(`says which record was ${what}, and ends with 1`, async () => {
      const admin = siteWith(records, [at(6)]);
      const { exitCode, stdout, stderr } = await runWaybill('audit verify', { admin });
      assert.equal(exitCode, 1, stdout);
      assert.equal(stdout.split('\n')[0]?.startsWith(text), true, stdout);
      assert.doesNotMatch(stdout, /kept-days/, 'nothing of it went in time');
      assert.match(stderr, /The audit trail of site PS1 is not what was written: /);
      const json = await runWaybill('audit verify --json', { admin });
      assert.equal(json.exitCode, 1);
      assert.ok(JSON.parse(json.stdout).findings.length > 0);
      assert.equal(JSON.parse(json.stderr).error.code, 'AUDIT_TRAIL_BROKEN');
    });
  }

  it('asks the sites above, and says of those it cannot ask that it did not', async () => {
    const admin = siteWith(trail.slice(0, 4), []).stream('listSites', () => [
      { ...aSiteRecord(), siteCode: 'PS1', parentSiteCode: 'CS1' },
      { ...aChildSite(), siteCode: 'CS1', parentSiteCode: '', address: 'cs1:8530' },
    ]);
    const told = await runWaybill('audit verify', { admin, otherSite: siteWith([], [at(6)]) });
    assert.equal(told.exitCode, 1);
    assert.match(told.stdout, /^Records 5 to 6 were removed/);
    assert.match(told.stdout, /Compared with what CS1 was told 1 time\./);
    const refusing = new FakeAdmin().stream('listAuditHeads', () => {
      const facts = {
        caller: 'waybill://admin/full/bob',
        method: '/m',
        expected: 'administrators',
      };
      throw new WaybillError({ code: 'PEER_NOT_ALLOWED', ...facts });
    });
    const alone = await runWaybill('audit verify', { admin, otherSite: refusing });
    assert.equal(alone.exitCode, 0, 'by itself it is whole');
    assert.match(alone.stdout, /Not compared with what CS1 was told: waybill:\/\/admin\/full\/bob/);
  });

  it('says how much of it an older program wrote', async () => {
    const old = { ...at(1), previousHash: '', hash: '' };
    const rest = trailOf(3).map((one) => ({ ...one }));
    const admin = siteWith([{ ...old, serial: 0 }, ...rest]);
    const { exitCode, stdout } = await runWaybill('audit verify', { admin });
    assert.equal(exitCode, 0);
    assert.match(stdout, /Nothing vouches for the oldest 1 record: an older program wrote them/);
  });
});

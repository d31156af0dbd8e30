import assert from 'node:assert/strict';
import { stripVTControlCharacters } from 'node:util';
import { FakeAdmin } from './testing/fake-admin.ts';
import { thenMs } from './testing/fake-moment.ts';
import { aMessage } from './testing/message-answers.ts';
import { runWaybill } from './testing/run-waybill.ts';
import { aDistributionPoint, aSetting } from './testing/site-answers.ts';
import { widthOf } from './text-width.ts';

const reason =
  'dp2.example.org:8531 cannot be reached: nothing listens there, and nothing has for a long time';

function full(): FakeAdmin {
  const [limit, schedule] = [{ kind: 'bytesPerSecond', bytesPerSecond: '5000000' } as const, null];
  const record = { previousHash: Buffer.alloc(0), hash: Buffer.alloc(0), timeMs: String(thenMs) };
  return new FakeAdmin()
    .stream('listDistributionPoints', () => [
      aDistributionPoint({ controls: { limit, schedule } }),
      aDistributionPoint({
        ...{ dpId: 'PS2DP2', siteCode: 'PS2', address: 'dp2.example.org:8531', reason },
        ...{ kind: 'DISTRIBUTION_POINT_KIND_PULL' },
        reachability: 'DISTRIBUTION_POINT_REACHABILITY_UNREACHABLE',
        pull: { sources: [{ dpId: 'PS2DP1', rank: 1 }], allowFallback: true, packagesMax: 5 },
      }),
    ])
    .stream('listStatusMessages', () => [
      aMessage(),
      aMessage({
        ...{ siteCode: 'PS2', component: 'SMS_PACKAGE_TRANSFER_MANAGER', messageId: 8203 },
        ...{ severity: 'SEVERITY_WARNING', text: `Could not send package PS100001: ${reason}` },
      }),
    ])
    .stream('listAuditRecords', () => [
      {
        ...{ ...record, serial: '9', caller: 'waybill://admin/operator/bob?site=PS1&group=Lab' },
        ...{ address: '192.0.2.7:40112', method: '/waybill.v1.Admin/RedistributePackage' },
        ...{ result: 'SCOPE_EXCEEDED', detail: 'packageId=PS100001 dpIds=PS2DP1,PS2DP2 all=false' },
      },
      {
        ...{ ...record, serial: '10', caller: 'waybill://dp/PS1DP1', address: '192.0.2.7:40112' },
        ...{ method: '/waybill.v1.ManagementPoint/ReportStates', result: 'ok', detail: '' },
      },
      {
        ...{ ...record, serial: '11', caller: 'unauthenticated', address: '[2001:db8::7]:40112' },
        ...{ method: '/waybill.v1.Enrollment/Enroll', result: 'ENROLLMENT_STATE_CONFLICT' },
        detail:
          'token=0123456789abcdef identity=waybill://admin/operator/bob?site=PS1&group=Lab late',
      },
    ]);
}

describe('tables of 80 columns (ADM-6)', () => {
  it('audit list: a call has a few lines, the first with its time, who it was and what came of it', async () => {
    const { stdout } = await runWaybill('audit list', {
      admin: full(),
      terminal: { columns: 80, rows: 24 },
    });
    const lines = stripVTControlCharacters(stdout).trimEnd().split('\n').slice(1, -1);
    const firsts = lines.filter((line) => line.startsWith('2'));
    assert.deepEqual(
      firsts.map((line) => line.slice(21).split(/ {2,}/).slice(0, 2)),
      [
        ['bob', 'refused'],
        ['DP PS1DP1', 'ok'],
        ['unauthenticated', 'refused'],
      ],
    );
    assert.ok(
      firsts.every((line) => /^2026-03-14 \d\d:\d\d:\d\d {2}/.test(line)),
      stdout,
    );
    assert.match(firsts[0] ?? '', /RedistributePackage:/);
    assert.ok(lines.length <= 12, stdout);
  });

  for (const [line, titles, leftOut] of [
    [
      'dp list',
      /^DP +site +kind +state +checked +reason$/m,
      'address, sources, packages, limit, free, rate, agent, description',
    ],
    ['messages', /^time +site +severity +id +text$/m, 'component'],
    ['audit list', /^time +caller +result +call$/m, 'role, from'],
  ] as const) {
    it(`${line}: rows stay rows, and what is left out is named, and in --json`, async () => {
      const terminal = { columns: 80, rows: 24 };
      const { stdout } = await runWaybill(line, { admin: full(), terminal });
      const plain = stripVTControlCharacters(stdout);
      assert.match(plain, titles);
      const words = plain.replaceAll('\n', ' ').trimEnd();
      const told = `No room for ${leftOut}; a wider terminal or --json shows more.`;
      assert.ok(words.endsWith(told), plain);
      const widest = Math.max(...plain.split('\n').map(widthOf));
      assert.ok(widest <= 80, plain);
      const wide = await runWaybill(line, { admin: full() });
      assert.doesNotMatch(wide.stdout, /No room/);
      assert.ok(wide.stdout.split('\n').some((text) => widthOf(text) > 80));
      const surroundings = { environment: { COLUMNS: '80' } };
      const asTold = await runWaybill(line, { admin: full(), surroundings });
      assert.equal(asTold.stdout, plain, 'COLUMNS says it as well');
      const json = await runWaybill(`${line} --json`, { admin: full(), surroundings });
      const plainJson = await runWaybill(`${line} --json`, { admin: full() });
      assert.equal(json.stdout, plainJson.stdout);
    });
  }

  for (const [configuredValue, leftOut] of [
    ['', undefined],
    ['1000000000', 'what'],
  ] as const) {
    it(`settings: names are never broken${leftOut ? `, and ${leftOut} goes first` : ''}`, async () => {
      const [name, longest] = ['serve-kilobytes-per-second', '1000000000'];
      const setting = aSetting({
        ...{ name, setValue: longest, configuredValue, minValue: '1', maxValue: longest },
        description:
          'How fast the site serves content to who fetches it there. The most is no limit.',
      });
      const admin = new FakeAdmin().stream('listSettings', () => [setting, aSetting()]);
      const terminal = { columns: 80, rows: 24 };
      const { stdout } = await runWaybill('settings', { admin, terminal });
      const plain = stripVTControlCharacters(stdout);
      assert.match(plain, /^serve-kilobytes-per-second +1000000000 .*1 to 1000000000/m);
      assert.equal(plain.includes('No room for what;'), leftOut !== undefined, plain);
      assert.ok(Math.max(...plain.split('\n').map(widthOf)) <= 80, plain);
    });
  }
});

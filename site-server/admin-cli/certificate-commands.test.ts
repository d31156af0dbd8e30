import assert from 'node:assert/strict';
import { FakeAdmin } from './testing/fake-admin.ts';
import { thenMs } from './testing/fake-moment.ts';
import { runWaybill } from './testing/run-waybill.ts';
import { aCertificate } from './testing/trust-answers.ts';

const dayMs = 24 * 3_600_000;
/** When the test plays. */
const nowMs = thenMs + 180_000;
const rootKeyId = Buffer.alloc(32, 0xab);

/** A hierarchy in which nearly everything may be due. */
const all = [
  aCertificate({
    ...{ kind: 'CERTIFICATE_KIND_ROOT', holder: 'ab'.repeat(8), issuerSiteCode: '' },
    ...{ notAfterMs: String(nowMs + 3_000 * dayMs), state: 'CERTIFICATE_STATE_UNSPECIFIED' },
  }),
  aCertificate({
    ...{ kind: 'CERTIFICATE_KIND_SITE_AUTHORITY', holder: 'site/PS1', issuerSiteCode: '' },
    ...{ due: 'CERTIFICATE_DUE_OLD_ROOT', isOnNewestRoot: false, rootKeyId },
  }),
  aCertificate(),
  aCertificate({
    ...{ holder: 'dp/PS1DP2', due: 'CERTIFICATE_DUE_URGENT', state: 'CERTIFICATE_STATE_REFUSED' },
    ...{ notAfterMs: String(nowMs + 2 * dayMs), reason: 'it could not be renewed: revoked' },
  }),
  aCertificate({ holder: 'site/PS2', due: 'CERTIFICATE_DUE_SOON' }),
  aCertificate({
    ...{ holder: 'admin/bob', due: 'CERTIFICATE_DUE_EXPIRED' },
    ...{ notAfterMs: String(nowMs - 2 * dayMs), rootKeyId: Buffer.alloc(0) },
  }),
  aCertificate({
    ...{ holder: 'admin/eve', due: 'CERTIFICATE_DUE_REVOKED', revokedAtMs: String(nowMs) },
    ...{ revokedAtSiteCode: 'CS1', revokedHolder: 'site/PS1' },
  }),
];

describe('waybill certs (SEC-3)', () => {
  it('shows every expiry, issuer and root, what is due, and why', async () => {
    const admin = new FakeAdmin().stream('listCertificates', () => all);
    const { stdout, exitCode } = await runWaybill('certs', { admin });
    assert.equal(exitCode, 0);
    const lines = stdout.trimEnd().split('\n');
    assert.deepEqual(
      lines.map((line) =>
        line
          .replace(/\d{4}-\d\d-\d\d/, 'DATE')
          .replace(/DATE \d\d:\d\d(:\d\d)?[^.,]*/, 'DATE TIME')
          .replace(/ +/g, ' '),
      ),
      [
        'certificate of ends when issued by root due',
        'root abababab DATE in 3000 d newest',
        'authority/PS1 DATE in 59 d root older the new root',
        'dp/PS1DP1 DATE in 59 d PS1 newest',
        'dp/PS1DP2 DATE in 2 d PS1 newest renewal: urgent',
        'site/PS2 DATE in 59 d PS1 newest renewal: late',
        'admin/bob DATE 2 d ago PS1 unknown expired',
        'admin/eve DATE in 59 d PS1 newest revoked',
        'dp/PS1DP2: it could not be renewed: revoked.',
        'admin/eve: revoked at CS1 on DATE TIME, with site/PS1.',
      ],
    );
    assert.ok(lines.every((line) => line.length <= 80));
  });

  it('shows only what is due, when asked so', async () => {
    const admin = new FakeAdmin().stream('listCertificates', () => all);
    const { stdout } = await runWaybill('certs list --due', { admin });
    assert.doesNotMatch(stdout, /PS1DP1|admin\/eve/);
    assert.match(stdout, /PS1DP2/);
    const nothing = await runWaybill('certs --due');
    assert.equal(nothing.stdout, 'Nothing is due.\n');
  });

  it('tells programs all there is', async () => {
    const { stdout } = await runWaybill('certs --json');
    assert.deepEqual(JSON.parse(stdout), [
      {
        ...{ kind: 'identity', holder: 'dp/PS1DP1', identityUri: 'waybill://dp/PS1DP1' },
        ...{
          issuerSiteCode: 'PS1',
          notBeforeMs: thenMs - 30 * dayMs,
          notAfterMs: thenMs + 60 * dayMs,
        },
        ...{ rootKeyId: 'ab'.repeat(32), isOnNewestRoot: true, state: 'valid', reason: '' },
        ...{ toldAtMs: thenMs, due: 'nothing', revoked: null },
      },
    ]);
  });
});

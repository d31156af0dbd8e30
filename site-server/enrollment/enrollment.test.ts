import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { newPrivateKey } from '../../shared/certificates/certificate-requests.ts';
import { parseEnrollmentToken } from '../../shared/domain/enrollment-token.ts';
import { identityOfSubjectAltName } from '../../shared/rpc/certificate-identity.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { dp1, dp2, openBeforeEach, reasonOf, site } from './testing/enrollment-ground.ts';
import { certificateIn } from './testing/test-authority.ts';
import { dayMs } from './testing/test-enrollment.ts';

const hourMs = 3_600_000;

describe('Enrollment (SEC-2)', () => {
  openBeforeEach();

  it('gives a certificate for a token, and all that a new machine needs to know', async () => {
    const token = await site.token(dp1);
    const answer = await site.enroll({ token, identityUri: dp1 });
    const own = certificateIn(answer);
    const authority = new X509Certificate(answer.issuerCertificate);
    assert.deepEqual(identityOfSubjectAltName(own.subjectAltName), {
      kind: 'dp',
      dpId: 'PS1DP1',
    });
    assert.ok(own.verify(authority.publicKey));
    const roots = answer.roots.map((der) => new X509Certificate(der).toString().trim());
    assert.deepEqual(
      roots,
      site.authority.roots().map((pem) => pem.trim()),
    );
    const { siteCode, siteAddress, enrollmentAddress, address } = answer;
    assert.deepEqual(
      { siteCode, siteAddress, enrollmentAddress, address },
      {
        siteCode: 'PS1',
        siteAddress: 'ps1:8530',
        enrollmentAddress: 'ps1:8532',
        address: 'dp1:8531',
      },
    );
  });

  it('keeps no secret: not in its store, not in the audit trail', async () => {
    const token = await site.token(dp1);
    await site.enroll({ token, identityUri: dp1 });
    await assert.rejects(site.enroll({ token, identityUri: dp1 }));
    const secret = Buffer.from(parseEnrollmentToken(token).token!.secret);
    const rows: unknown[] = [];
    for await (const [, row] of site.store.records(keySpaces.enrollmentTokens).list())
      rows.push(row);
    const kept = JSON.stringify([rows, site.events]);
    for (const form of ['hex', 'base64', 'base64url'] as const) {
      assert.ok(!kept.includes(secret.toString(form).replace(/=+$/, '')), form);
    }
    assert.ok(!kept.includes(token.slice(5, 40)));
  });

  it('gives the same key the same certificate again, and makes no other', async () => {
    const token = await site.token(dp1);
    const key = await newPrivateKey();
    const first = await site.enroll({ token, identityUri: dp1, key });
    const again = await site.enroll({ token, identityUri: dp1, key });
    assert.deepEqual(again.certificate, first.certificate);
    assert.equal(site.authority.issued.length, 1);
    for (let count = 0; count < 20; count++) await site.enroll({ token, identityUri: dp1, key });
    // So few that nobody can fill the audit trail with them; for the first one there is always room.
    const areOnce = site.events.map(({ isOnce }) => isOnce === true);
    assert.deepEqual(areOnce, [true, false, false, false, false, false]);
  });

  it('a token used twice gives nothing the second time, and is in the audit trail (F24)', async () => {
    const token = await site.token(dp1);
    await site.enroll({ token, identityUri: dp1 }, '192.0.2.7');
    await assert.rejects(
      site.enroll({ token, identityUri: dp1 }, '198.51.100.9'),
      reasonOf('used'),
    );
    assert.equal(site.authority.issued.length, 1);
    const { tokenId } = parseEnrollmentToken(token).token!;
    assert.deepEqual(site.events.at(-1), {
      ...{ caller: 'unauthenticated', address: '198.51.100.9' },
      ...{ method: '/waybill.v1.Enrollment/Enroll', result: 'ENROLLMENT_REFUSED' },
      detail: `token=${tokenId} holder=dp/PS1DP1 used`,
    });
  });

  it('a late token gives nothing, and is in the audit trail (F24)', async () => {
    const token = await site.token(dp1);
    await site.clock.advance(hourMs);
    await assert.rejects(site.enroll({ token, identityUri: dp1 }), reasonOf('late'));
    assert.match(site.events.at(-1)?.detail ?? '', / late$/);
    assert.deepEqual(site.authority.issued, []);
  });

  it('a token for another name gives nothing, and is in the audit trail (F24)', async () => {
    const token = await site.token(dp1);
    for (const other of [dp2, 'waybill://site/PS1', 'waybill://admin/full/PS1DP1']) {
      await assert.rejects(site.enroll({ token, identityUri: other }), reasonOf('other-name'));
      assert.match(site.events.at(-1)?.detail ?? '', / other-name$/);
    }
    assert.deepEqual(site.authority.issued, []);
    // Whoever has mistaken the name may still use it.
    await site.enroll({ token, identityUri: dp1 });
  });

  it('checks every field before it looks for the token', async () => {
    const token = await site.token(dp1);
    for (const changes of [
      { identityUri: 'waybill://dp/../x' },
      { identityUri: `waybill://dp/${'x'.repeat(10_000)}` },
      { identityUri: dp1, address: 'no address' },
      { identityUri: dp1, address: `${'x'.repeat(400)}:1` },
      { identityUri: dp1, certificateRequest: Buffer.alloc(0) },
      { identityUri: dp1, certificateRequest: Buffer.alloc(4_097) },
    ]) {
      await assert.rejects(site.enroll({ token, ...changes }), { code: 'MESSAGE_INVALID' });
    }
    const request = Buffer.from('no certificate request');
    await assert.rejects(site.enroll({ token, identityUri: dp1, certificateRequest: request }), {
      code: 'CERTIFICATE_REQUEST_INVALID',
    });
    await site.enroll({ token, identityUri: dp1 });
  });

  it('gives nothing to a DP that was deleted since', async () => {
    const token = await site.token(dp1);
    site.points.delete('PS1DP1');
    await assert.rejects(site.enroll({ token, identityUri: dp1 }), reasonOf('holder-gone'));
    site.points.set('PS1DP1', { dpId: 'PS1DP1', address: '' });
    await site.enroll({ token, identityUri: dp1 });
  });

  it('gives nothing to who is deleted while the certificate is made', async () => {
    const token = await site.token(dp1);
    site.authority.beforeIssuing = async () => void site.points.delete('PS1DP1');
    await assert.rejects(site.enroll({ token, identityUri: dp1 }), reasonOf('holder-gone'));
    for await (const { used } of site.tokens.list()) assert.equal(used, undefined);
  });

  it('gives nothing for a token that is revoked while the certificate is made', async () => {
    const token = await site.token(dp1);
    const rows = site.store.records(keySpaces.enrollmentTokens);
    site.authority.beforeIssuing = async () => {
      for await (const row of site.tokens.list()) {
        const revoked = { ...row, revoked: { atMs: 1, because: 'holder-gone' as const } };
        await site.store.write([rows.put(row.tokenId, revoked)], { sync: false });
      }
    };
    await assert.rejects(site.enroll({ token, identityUri: dp1 }), reasonOf('revoked'));
  });

  it('a crash while the certificate is made leaves the token unused', async () => {
    const token = await site.token(dp1);
    site.authority.beforeIssuing = async () => {
      throw new Error('killed');
    };
    await assert.rejects(site.enroll({ token, identityUri: dp1 }), /killed/);
    site.authority.beforeIssuing = async () => {};
    await site.enroll({ token, identityUri: dp1 });
  });

  it('two at the same moment with one token: one gets a certificate', async () => {
    const token = await site.token(dp1);
    const both = await Promise.allSettled([
      site.enroll({ token, identityUri: dp1 }),
      site.enroll({ token, identityUri: dp1 }),
    ]);
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    assert.equal(site.authority.issued.length, 1);
  });

  it('takes the address a DP says it has', async () => {
    const token = await site.token(dp1);
    const answer = await site.enroll({ token, identityUri: dp1, address: 'moved:9000' });
    assert.equal(answer.address, 'moved:9000');
    assert.equal(site.points.get('PS1DP1')?.address, 'moved:9000');
  });

  it('a newer token takes the place of one that was not used', async () => {
    const older = await site.token(dp1);
    const newer = await site.token(dp1);
    await assert.rejects(site.enroll({ token: older, identityUri: dp1 }), reasonOf('revoked'));
    await site.enroll({ token: newer, identityUri: dp1 });
  });

  it('a revoked token lets nobody in; a used one is not revoked any more', async () => {
    const token = await site.token(dp1);
    const { tokenId } = parseEnrollmentToken(token).token!;
    await site.commands.revoke(tokenId);
    await site.commands.revoke(tokenId);
    await assert.rejects(site.enroll({ token, identityUri: dp1 }), reasonOf('revoked'));
    const other = await site.token(dp2);
    await site.enroll({ token: other, identityUri: dp2 });
    const used = parseEnrollmentToken(other).token!.tokenId;
    await assert.rejects(site.commands.revoke(used), { code: 'ENROLLMENT_STATE_CONFLICT' });
    await assert.rejects(site.commands.revoke('ffffffffffffffff'), { code: 'ENROLLMENT_UNKNOWN' });
  });

  it('makes no token for less than a second, or more than 30 days', async () => {
    for (const validForMs of [1, 999, 30 * dayMs + 1]) {
      await assert.rejects(site.token(dp1, validForMs), { code: 'REQUEST_INVALID' });
    }
    await assert.rejects(site.token(dp1, 40 * dayMs), /expected 1 s to 30 d, got 40 d$/);
  });
});

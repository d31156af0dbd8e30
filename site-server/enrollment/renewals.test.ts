import 'reflect-metadata';
import assert from 'node:assert/strict';
import { createPrivateKey, type KeyObject, webcrypto, X509Certificate } from 'node:crypto';
import { SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509';
import {
  certificateRequestOf,
  newPrivateKey,
} from '../../shared/certificates/certificate-requests.ts';
import { identityOfSubjectAltName } from '../../shared/rpc/certificate-identity.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { SeededRandom } from '../../shared/testing/seeded-random.ts';
import { dp1, openBeforeEach, site } from './testing/enrollment-ground.ts';
import { certificateIn, TestAuthority } from './testing/test-authority.ts';
import { dayMs, TestEnrollment } from './testing/test-enrollment.ts';

/** A certificate that an authority has made past all checks: its key is none that anybody is given one for. */
async function rsaLeafBy(authority: TestAuthority): Promise<Buffer> {
  const { subtle } = webcrypto;
  const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 2_048 };
  const made = { ...rsa, publicExponent: new Uint8Array([1, 0, 1]) };
  const { publicKey } = await subtle.generateKey(made, true, ['sign', 'verify']);
  const ec = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const der = createPrivateKey(authority.authorityKey).export({ type: 'pkcs8', format: 'der' });
  const signingKey = await subtle.importKey('pkcs8', der, ec, false, ['sign']);
  const issuer = new X509Certificate(authority.authorityCertificate());
  const certificate = await X509CertificateGenerator.create({
    ...{ serialNumber: '41', subject: 'CN=x', issuer: issuer.subject, publicKey, signingKey },
    ...{ notBefore: new Date(issuer.validFrom), notAfter: new Date(issuer.validTo) },
    signingAlgorithm: ec,
    extensions: [new SubjectAlternativeNameExtension([{ type: 'url', value: dp1 }])],
  });
  return Buffer.from(certificate.rawData);
}

/** The same bytes with one changed, cut, doubled or more of them. */
function mutated(random: SeededRandom, bytes: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (random.below(4)) {
    case 0:
      return Buffer.concat([head, random.bytes(1), tail.subarray(1)]);
    case 1:
      return Buffer.from(head);
    case 2:
      return Buffer.concat([head, random.bytes(random.below(40)), tail]);
    default:
      return Buffer.concat([head, tail.subarray(1 + random.below(40))]);
  }
}

describe('Renewal (SEC-3)', () => {
  openBeforeEach();

  function refusedAs(reason: string) {
    return (error: { code?: string; details?: { reason?: string } }) => {
      assert.equal(error.code, 'RENEWAL_REFUSED');
      assert.equal(error.details?.reason, reason);
      assert.match(site.events.at(-1)?.detail ?? '', new RegExp(`${reason}$`));
      return true;
    };
  }

  /** A DP with its certificate, as enrollment gave it. */
  async function enrolledDp() {
    const key = await newPrivateKey();
    const answer = await site.enroll({ token: await site.token(dp1), identityUri: dp1, key });
    return { certificate: answer.certificate, issuer: answer.issuerCertificate, key };
  }

  it('gives another certificate of the same identity, valid or expired within grace (F22)', async () => {
    const old = await enrolledDp();
    for (const days of [60, 59]) {
      await site.clock.advance(days * dayMs);
      const own = certificateIn(await site.renew(old));
      assert.deepEqual(identityOfSubjectAltName(own.subjectAltName), {
        kind: 'dp',
        dpId: 'PS1DP1',
      });
      assert.ok(Date.parse(own.validTo) > site.clock.nowMs() + 80 * dayMs);
    }
  });

  it('gives the same key a certificate again, so that a lost answer costs nothing', async () => {
    const old = await enrolledDp();
    const newKey = await newPrivateKey();
    const [first, again] = [await site.renew(old, { newKey }), await site.renew(old, { newKey })];
    const keys = [first, again].map((one) =>
      certificateIn(one).publicKey.export({ format: 'jwk' }),
    );
    assert.deepEqual(keys[0], keys[1]);
  });

  it('is given once a minute, and the audit trail is not filled with it', async () => {
    const old = await enrolledDp();
    const newKey = await newPrivateKey();
    const eventCount = site.events.length;
    const first = await site.renew(old, { newKey });
    for (let count = 0; count < 20; count++) {
      assert.deepEqual((await site.renew(old, { newKey })).certificate, first.certificate);
      await assert.rejects(site.renew(old), { code: 'RENEWAL_TOO_SOON' });
    }
    // Enrollment and one renewal.
    assert.equal(site.authority.issued.length, 2);
    assert.equal(site.events.length - eventCount, 1 + 5 + 5);
    await site.clock.advance(60_000);
    await site.renew(old);
  });

  it('is refused after the grace period (F22)', async () => {
    const old = await enrolledDp();
    await site.clock.advance(121 * dayMs);
    await assert.rejects(site.renew(old), refusedAs('too-late'));
  });

  it('is refused to who does not have the key, and slows him down, and nobody beside him', async () => {
    const old = await enrolledDp();
    const thief = { ...old, key: await newPrivateKey() };
    await assert.rejects(site.renew(thief), refusedAs('wrong-key'));
    await assert.rejects(site.renew(thief), { code: 'ENROLLMENT_TOO_SOON' });
    await site.renew(old);
  });

  it('is refused for a request that the key has not signed', async () => {
    const old = await enrolledDp();
    await assert.rejects(
      site.renew(old, { signature: Buffer.alloc(70, 1) }),
      refusedAs('wrong-key'),
    );
  });

  it('is refused to a certificate of another hierarchy', async () => {
    await using foreign = await TestEnrollment.open();
    const key = await newPrivateKey();
    const token = await foreign.token(dp1);
    const answer = await foreign.enroll({ token, identityUri: dp1, key });
    const old = { certificate: answer.certificate, issuer: answer.issuerCertificate, key };
    await assert.rejects(site.renew(old), refusedAs('foreign'));
    // Nor does it help to bring the right authority.
    const issuer = new X509Certificate(site.authority.authorityCertificate()).raw;
    await assert.rejects(site.renew({ ...old, issuer }, {}, 'b'), refusedAs('foreign'));
  });

  it('is given though the root behind the certificate was retired: the authority that issued it has the same key', async () => {
    const old = await enrolledDp();
    await site.authority.changeRoot();
    const answer = await site.renew(old);
    const issuer = new X509Certificate(answer.issuerCertificate);
    assert.ok(issuer.verify(new X509Certificate(site.authority.root.certificate).publicKey));
    site.revokedAtMs.set('dp/PS1DP1', site.clock.nowMs());
    await site.clock.advance(60_000);
    await assert.rejects(site.renew(old), refusedAs('revoked'));
  });

  it('is not given for the word of a root that was retired: a thief of its key has no other', async () => {
    const thief = await TestAuthority.create(site.clock, { of: site.authority });
    const key = await newPrivateKey();
    const request = await certificateRequestOf(key);
    const leaf = await thief.issueLeaf({ kind: 'dp', dpId: 'PS1DP1' }, request);
    const old = {
      certificate: new X509Certificate(leaf).raw,
      issuer: new X509Certificate(thief.authorityCertificate()).raw,
      key,
    };
    await site.renew(old);
    await site.authority.changeRoot();
    await site.clock.advance(60_000);
    await assert.rejects(site.renew(old), refusedAs('foreign'));
  });

  it('is refused to a key of another kind, with which nothing is verified', async () => {
    const certificate = await rsaLeafBy(site.authority);
    const issuer = new X509Certificate(site.authority.authorityCertificate()).raw;
    const key = await newPrivateKey();
    await assert.rejects(site.renew({ certificate, issuer, key }), refusedAs('foreign'));
  });

  it('asks the roots first, and does nothing with what a stranger has signed himself', async () => {
    await using foreign = await TestEnrollment.open();
    const key = await newPrivateKey();
    const answer = await foreign.enroll({ token: await foreign.token(dp1), identityUri: dp1, key });
    const old = { certificate: answer.certificate, issuer: answer.issuerCertificate, key };
    const keys: KeyObject[] = [];
    const { verify } = X509Certificate.prototype;
    X509Certificate.prototype.verify = function (this: X509Certificate, by: KeyObject) {
      keys.push(by);
      return verify.call(this, by);
    };
    try {
      await assert.rejects(site.renew(old), refusedAs('foreign'));
    } finally {
      X509Certificate.prototype.verify = verify;
    }
    const stranger = new X509Certificate(answer.issuerCertificate).publicKey;
    assert.ok(!keys.some((one) => one.equals(stranger)));
  });

  it('is refused to a certificate of another site of the hierarchy', async () => {
    await using other = await TestEnrollment.open({ siteCode: 'PS2', of: site.authority });
    const key = await newPrivateKey();
    const answer = await other.enroll({ token: await other.token(dp1), identityUri: dp1, key });
    const old = { certificate: answer.certificate, issuer: answer.issuerCertificate, key };
    await assert.rejects(site.renew(old), refusedAs('other-site'));
  });

  it('is refused to a revoked certificate, and to a DP that is gone (F23)', async () => {
    const old = await enrolledDp();
    site.revokedAtMs.set('dp/PS1DP1', site.clock.nowMs());
    await assert.rejects(site.renew(old), refusedAs('revoked'));
    site.revokedAtMs.clear();
    site.points.delete('PS1DP1');
    await assert.rejects(site.renew(old), refusedAs('holder-gone'));
  });

  describe('of an administrator', () => {
    const bob = 'waybill://admin/operator/bob';

    async function enrolledBob() {
      await site.administrators.add({ kind: 'admin', role: 'operator', name: 'bob' }, '');
      const key = await newPrivateKey();
      const answer = await site.enroll({ token: await site.token(bob), identityUri: bob, key });
      return { certificate: answer.certificate, issuer: answer.issuerCertificate, key };
    }

    /** As after a state store that was lost. */
    async function lost() {
      const rows = site.store.records(keySpaces.administrators);
      await site.store.write([rows.delete('bob')], { sync: true });
    }

    async function names() {
      const found: string[] = [];
      for await (const { identityUri } of site.administrators.list()) found.push(identityUri);
      return found;
    }

    it('takes him back after the state store was lost', async () => {
      const old = await enrolledBob();
      await lost();
      await site.renew(old);
      assert.deepEqual(await names(), [bob]);
      await site.clock.advance(60_000);
      await site.renew(old);
    });

    it('does not take him back who was revoked, or whose certificate is over', async () => {
      const old = await enrolledBob();
      await lost();
      site.revokedAtMs.set('admin/bob', site.clock.nowMs());
      await assert.rejects(site.renew(old), refusedAs('revoked'));
      site.revokedAtMs.clear();
      await site.clock.advance(121 * dayMs);
      await assert.rejects(site.renew(old), refusedAs('too-late'));
      assert.deepEqual(await names(), []);
    });

    it('does not take him back who was deleted, or has another role now', async () => {
      const old = await enrolledBob();
      await site.administrators.delete('bob', []);
      await assert.rejects(site.renew(old), refusedAs('holder-gone'));
      await lost();
      await site.administrators.add({ kind: 'admin', role: 'read-only', name: 'bob' }, '');
      await assert.rejects(site.renew(old), refusedAs('holder-gone'));
    });
  });

  it('is refused to who is revoked or deleted while the certificate is made', async () => {
    const old = await enrolledDp();
    site.authority.beforeIssuing = async () => {
      site.revokedAtMs.set('dp/PS1DP1', site.clock.nowMs());
    };
    await assert.rejects(site.renew(old), refusedAs('revoked'));
    site.revokedAtMs.clear();
    site.authority.beforeIssuing = async () => void site.points.delete('PS1DP1');
    await assert.rejects(site.renew(old), refusedAs('holder-gone'));
  });

  it('refuses whatever is made of a good request, and never fails on it', async () => {
    const old = await enrolledDp();
    const newKey = await newPrivateKey();
    const good = { ...old, authorityCertificate: old.issuer };
    const random = new SeededRandom(11);
    const expected = [...['MESSAGE_INVALID', 'RENEWAL_REFUSED', 'CERTIFICATE_REQUEST_INVALID']];
    for (let count = 0; count < 150; count++) {
      const field = random.pick(['certificate', 'authorityCertificate'] as const);
      const bytes = mutated(random, random.pick([good[field], random.bytes(random.below(600))]));
      if (bytes.equals(good[field])) continue;
      const from = `10.1.${count % 250}.${count % 7}`;
      await site.clock.advance(400_000);
      const failure = await site.renew(old, { [field]: bytes, newKey }, from).then(
        () => undefined,
        (error: { code?: string }) => error.code,
      );
      // Its own authority the site knows without being shown it.
      const isKnownAnyhow = field === 'authorityCertificate' && failure === undefined;
      const isExpected = isKnownAnyhow || expected.includes(failure ?? 'no failure');
      assert.ok(isExpected, `${field} ${bytes.toString('hex')}`);
    }
  });

  it('checks every field before anything is parsed', async () => {
    const old = await enrolledDp();
    for (const changes of [
      { certificate: Buffer.alloc(5_000) },
      { certificate: Buffer.from('no certificate') },
      { authorityCertificate: Buffer.alloc(5_000) },
      { certificateRequest: Buffer.alloc(5_000) },
      { signature: Buffer.alloc(81) },
      { signature: Buffer.alloc(0) },
    ]) {
      await assert.rejects(site.renew(old, changes), { code: 'MESSAGE_INVALID' });
    }
  });
});

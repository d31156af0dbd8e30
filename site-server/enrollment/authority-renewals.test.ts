import 'reflect-metadata';
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { issueRoot, issueSiteAuthority } from '../../shared/certificates/certificate-issuing.ts';
import { newPrivateKey, publicKeyInfoOf } from '../../shared/certificates/certificate-requests.ts';
import { withBrokenKey } from '../../shared/testing/broken-key.ts';
import { certificateIn, TestAuthority } from './testing/test-authority.ts';
import { dayMs, TestEnrollment } from './testing/test-enrollment.ts';

describe('Renewal of the authority of a site (SEC-3)', () => {
  let top: TestEnrollment;
  let ps1: TestAuthority;

  beforeEach(async () => {
    top = await TestEnrollment.open({ siteCode: 'CS1' });
    for (const [siteCode, parentSiteCode] of [
      ['CS1', ''],
      ['PS1', 'CS1'],
    ] as const) {
      const place = { parentSiteCode, address: 'a:8530', description: '' };
      top.sites.set(siteCode, { siteCode, kind: 'primary', ...place });
    }
    ps1 = await TestAuthority.create(top.clock, { siteCode: 'PS1', of: top.authority });
  });

  afterEach(async () => {
    await top[Symbol.asyncDispose]();
  });

  function refusedAs(reason: string) {
    return (error: { code?: string; details?: { reason?: string } }) => {
      assert.equal(error.code, 'RENEWAL_REFUSED');
      assert.equal(error.details?.reason, reason);
      assert.deepEqual(top.authority.issued, []);
      return true;
    };
  }

  const der = (pem: string) => new X509Certificate(pem).raw;
  const renewable = (one: TestAuthority) => ({
    ...{ certificate: der(one.authorityCertificate()), key: one.authorityKey },
  });

  it('is refused for the key of a leaf, which a site makes for itself, and given for its own', async () => {
    const old = renewable(ps1);
    const answer = await top.renew(old, { newKey: old.key });
    assert.equal(certificateIn(answer).subject, 'CN=Waybill site authority PS1');
    const key = await newPrivateKey();
    await assert.rejects(top.renew({ ...old, key }), { code: 'RENEWAL_REFUSED' });
  });

  it('is given though the root was retired, for the key that the top has signed since', async () => {
    const own = new X509Certificate(ps1.authorityCertificate());
    await top.authority.changeRoot();
    const old = renewable(ps1);
    await assert.rejects(top.renew(old), { code: 'RENEWAL_REFUSED' });
    const { authority } = top;
    const publicKey = publicKeyInfoOf(ps1.authorityKey);
    const life = { notBefore: new Date(top.clock.nowMs()), notAfter: new Date(own.validTo) };
    const again = await issueSiteAuthority(authority.root, { siteCode: 'PS1', publicKey, ...life });
    top.signedAuthorities.set('PS1', new X509Certificate(again));
    const answer = certificateIn(await top.renew(old, { newKey: ps1.authorityKey }, 'b'));
    assert.ok(answer.verify(new X509Certificate(top.authority.root.certificate).publicKey));
    assert.ok(answer.publicKey.equals(own.publicKey));
  });

  it('is refused to a revoked site whose thief brings a certificate that he has made himself since', async () => {
    top.signedAuthorities.set('PS1', new X509Certificate(ps1.authorityCertificate()));
    await top.clock.advance(dayMs);
    top.revokedAtMs.set('site/PS1', top.clock.nowMs());
    await top.clock.advance(dayMs);
    const life = {
      notBefore: new Date(top.clock.nowMs()),
      notAfter: new Date(top.clock.nowMs() + 90 * dayMs),
    };
    const publicKey = publicKeyInfoOf(ps1.authorityKey);
    const facts = { siteCode: 'PS1', publicKey, ...life };
    const made = await issueSiteAuthority(await issueRoot({ name: 'mine', ...life }), facts);
    const old = { certificate: der(made), key: ps1.authorityKey };
    await assert.rejects(top.renew(old, { newKey: ps1.authorityKey }), {
      details: { code: 'RENEWAL_REFUSED', holder: 'site/PS1', reason: 'revoked' },
    });
    assert.deepEqual(top.authority.issued, []);
  });

  it('is refused to a stranger whose own authority has a key that cannot be read: audited, and slowed down as others are', async () => {
    top.signedAuthorities.set('PS1', new X509Certificate(ps1.authorityCertificate()));
    const key = await newPrivateKey();
    const certificate = withBrokenKey(der(ps1.authorityCertificate()), key);
    assert.throws(() => new X509Certificate(certificate).publicKey);
    await assert.rejects(top.renew({ certificate, key }), refusedAs('foreign'));
    assert.equal(top.events.at(-1)?.result, 'RENEWAL_REFUSED');
    await assert.rejects(top.renew({ certificate, key }), { code: 'ENROLLMENT_TOO_SOON' });
  });

  it('is passed on to the parent by a site that is not the top', async () => {
    const place = { parentSiteCode: 'PS1', address: 'ss1:8530', description: '' };
    top.sites.set('SS1', { siteCode: 'SS1', kind: 'secondary', ...place });
    await using middle = await TestEnrollment.open({
      ...{ siteCode: 'PS1', isTop: false, of: top.authority },
    });
    const signal = new AbortController().signal;
    const caller = { identity: { kind: 'site', siteCode: 'PS1' }, address: 'ps1:1' } as const;
    middle.parent.renew = async (request) =>
      (await top.enrollment.passedOn().passRenew(request, { caller, signal })) as never;
    const child = await TestAuthority.create(top.clock, { siteCode: 'SS1', of: top.authority });
    const old = renewable(child);
    const answer = await middle.renew(old, { newKey: old.key });
    assert.equal(certificateIn(answer).subject, 'CN=Waybill site authority SS1');
    assert.equal(answer.enrollmentAddress, 'ps1:8532');
    top.revokedAtMs.set('site/SS1', top.clock.nowMs());
    await assert.rejects(middle.renew(old), { code: 'RENEWAL_REFUSED' });
  });

  it('is refused for a CA that another authority has made, whatever it is called', async () => {
    const issuer = { certificate: ps1.authorityCertificate(), key: ps1.authorityKey };
    for (const [index, siteCode] of ['CS1', 'PS1'].entries()) {
      const key = await newPrivateKey();
      const publicKey = publicKeyInfoOf(key);
      const { validFrom, validTo } = new X509Certificate(issuer.certificate);
      const life = { notBefore: new Date(validFrom), notAfter: new Date(validTo) };
      const made = await issueSiteAuthority(issuer, { siteCode, publicKey, ...life });
      const old = { certificate: der(made), issuer: der(issuer.certificate), key };
      for (const newKey of [key, await newPrivateKey()]) {
        await assert.rejects(top.renew(old, { newKey }, `a${index}`), refusedAs('foreign'));
        await top.clock.advance(400_000);
      }
    }
  });

  it('is refused for another key than its own', async () => {
    await assert.rejects(top.renew(renewable(ps1)), refusedAs('other-authority'));
  });

  it('is refused for the key that the site had before, unless that one is revoked', async () => {
    const anew = await TestAuthority.create(top.clock, { siteCode: 'PS1', of: top.authority });
    const [old, now] = [ps1, anew].map(renewable);
    assert.ok(old && now);
    const shown = (one: TestAuthority) =>
      top.shownAuthorities.set('PS1', new X509Certificate(one.authorityCertificate()));
    shown(anew);
    await assert.rejects(top.renew(old, { newKey: old.key }), refusedAs('other-authority'));
    await top.renew(now, { newKey: now.key });
    shown(ps1);
    await top.clock.advance(600_000);
    top.revokedAtMs.set('site/PS1', top.clock.nowMs());
    await top.clock.advance(600_000);
    const later = await TestAuthority.create(top.clock, { siteCode: 'PS1', of: top.authority });
    const renewed = await top.renew(renewable(later), { newKey: later.authorityKey });
    assert.equal(certificateIn(renewed).subject, 'CN=Waybill site authority PS1');
  });
});

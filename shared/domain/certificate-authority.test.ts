import assert from 'node:assert/strict';
import {
  authorityNameOf,
  mayVouch,
  renewalAtMs,
  siteOfAuthorityName,
} from './certificate-authority.ts';
import type { PeerIdentity } from './peer-identity.ts';

const dp: PeerIdentity = { kind: 'dp', dpId: 'PS1DP1' };
const site = (siteCode: string): PeerIdentity => ({ kind: 'site', siteCode });

describe('certificate authority (SEC-1)', () => {
  it('is known by the name that its certificate has', () => {
    assert.equal(siteOfAuthorityName(authorityNameOf('PS1')), 'PS1');
    for (const name of ['Waybill root 1', 'Waybill development CA', '']) {
      assert.equal(siteOfAuthorityName(name), undefined);
    }
  });

  it('is not known by a name that only looks the same', () => {
    for (const name of ['waybill site authority PS1', 'Waybill  site authority PS1']) {
      assert.equal(siteOfAuthorityName(name), undefined);
    }
  });

  it('that calls itself one of a site there cannot be is nobody', () => {
    for (const code of ['', 'ps1', 'PS12', 'PS1 ', 'PS1\n']) {
      assert.equal(siteOfAuthorityName(authorityNameOf(code)), undefined, JSON.stringify(code));
    }
  });

  it('of a site names no other site', () => {
    const ofPs1 = { siteCode: 'PS1' };
    assert.equal(mayVouch(ofPs1, site('PS1')), true);
    assert.equal(mayVouch(ofPs1, site('PS2')), false);
    assert.equal(mayVouch(ofPs1, dp), true);
    assert.equal(mayVouch(ofPs1, { kind: 'admin', role: 'full', name: 'alice' }), true);
    assert.equal(mayVouch('root', site('PS2')), true);
  });
});

describe('renewal of a certificate (SEC-3)', () => {
  const certificate = { notBeforeMs: 1_000, notAfterMs: 61_000 };

  it('is due at two thirds of its life, and a twentieth later at most', () => {
    assert.equal(renewalAtMs(certificate, 0), 41_000);
    assert.equal(renewalAtMs(certificate, 0.5), 42_500);
    assert.ok(renewalAtMs(certificate, 0.999_999) < 44_000);
  });
});

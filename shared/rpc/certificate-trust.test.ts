import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import {
  type IssuedCertificate,
  issueLeafWithKey,
  issueRoot,
  issueSiteAuthority,
} from '../certificates/certificate-issuing.ts';
import { newPrivateKey, publicKeyInfoOf } from '../certificates/certificate-requests.ts';
import { authorityNameOf } from '../domain/certificate-authority.ts';
import { fromIdentityUri } from '../domain/peer-identity.ts';
import {
  type CertificateChain,
  peerOfChain,
  refusalOfCertificate,
  shownPeerOf,
  voucherOfChain,
} from './certificate-trust.ts';

const validity = { notBefore: new Date(0), notAfter: new Date('2100-01-01') };
const x509 = (pem: string) => new X509Certificate(pem);

describe('who vouches for a certificate (SEC-1)', () => {
  // OpenSSL takes the first two for the name of the authority, and so does TLS.
  const names = [
    'waybill site authority PS1',
    'Waybill  site authority PS1',
    'Waybill root CS1 1',
    authorityNameOf('CS1'),
  ];
  let root: IssuedCertificate;
  let authority: IssuedCertificate;

  before(async () => {
    root = await issueRoot({ name: 'Waybill root CS1 1', ...validity });
    authority = await authorityOf('PS1');
  });

  async function authorityOf(
    siteCode: string,
    { by = root, key = '' } = {},
  ): Promise<IssuedCertificate> {
    const itsKey = key || (await newPrivateKey());
    const publicKey = publicKeyInfoOf(itsKey);
    const certificate = await issueSiteAuthority(by, { siteCode, publicKey, ...validity });
    return { certificate, key: itsKey };
  }

  async function leafOf(uri: string, by: IssuedCertificate): Promise<X509Certificate> {
    return x509(
      (await issueLeafWithKey(by, { commonName: 'x', uris: [uri], ...validity })).certificate,
    );
  }

  function assertNobody(chain: CertificateChain, uri: string): void {
    const authorities = [x509(root.certificate)];
    const identity = fromIdentityUri(uri) ?? assert.fail(uri);
    const trust = { authorities, identity, nowMs: Date.now() };
    assert.equal(refusalOfCertificate(chain, trust), "it is not signed by the hierarchy's CA");
    assert.equal(peerOfChain(chain, authorities), undefined);
    const [own, issuer] = chain;
    const shown = { raw: own.raw, ...(issuer && { issuerCertificate: { raw: issuer.raw } }) };
    assert.equal(shownPeerOf(shown, Buffer.from(root.certificate)), undefined);
  }

  it('is the root for what it has signed itself, and else the site whose authority has', async () => {
    const roots = [x509(root.certificate)];
    const site = x509(authority.certificate);
    const leaf = await leafOf('waybill://site/PS1', authority);
    assert.deepEqual(voucherOfChain([leaf, site], roots), { siteCode: 'PS1' });
    assert.equal(peerOfChain([leaf, site], roots)?.vouchedFromMs, 0);
    assert.equal(voucherOfChain([leaf], roots), undefined);
    const byRoot = await leafOf('waybill://site/CS1', root);
    // Whatever is sent along.
    for (const chain of [[byRoot], [byRoot, site]] as const) {
      assert.equal(peerOfChain(chain, roots)?.voucher, 'root');
    }
  });

  for (const name of names) {
    it(`is nobody for what the key of an authority signs under the name "${name}"`, async () => {
      const issuer = await issueRoot({ name, ...validity });
      const own = await authorityOf('PS1', { key: issuer.key });
      for (const uri of ['waybill://site/CS1', 'waybill://admin/full/mallory']) {
        const leaf = await leafOf(uri, issuer);
        assertNobody([leaf, x509(own.certificate)], uri);
        assertNobody([leaf, x509(issuer.certificate)], uri);
      }
    });
  }

  it('is no CA that an authority has made, whatever site it is named for', async () => {
    for (const siteCode of ['CS1', 'PS1']) {
      const made = await authorityOf(siteCode, { by: authority });
      const uri = `waybill://site/${siteCode}`;
      assertNobody([await leafOf(uri, made), x509(made.certificate)], uri);
    }
  });

  it('is no other CA of the root than the authority of a site', async () => {
    const made = await authorityOf('ps1');
    const uri = 'waybill://dp/PS1DP1';
    assertNobody([await leafOf(uri, made), x509(made.certificate)], uri);
  });
});

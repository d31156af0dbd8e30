import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import {
  type IssuedCertificate,
  issueLeaf,
  issueRoot,
  issueSiteAuthority,
} from '../certificates/certificate-issuing.ts';
import { newPrivateKey, publicKeyInfoOf } from '../certificates/certificate-requests.ts';
import type { PeerIdentity } from '../domain/peer-identity.ts';
import type { IssuedIdentity__Output } from '../rpc/generated/waybill/v1/IssuedIdentity.ts';
import { withBrokenKey } from '../testing/broken-key.ts';
import { checkedGrant } from './granted-identity.ts';

const validity = { notBefore: new Date(0), notAfter: new Date('2100-01-01') };
const dp1: PeerIdentity = { kind: 'dp', dpId: 'PS1DP1' };
const der = (pem: string) => new X509Certificate(pem).raw;

describe('what a site has given a new machine (SEC-2)', () => {
  let root: IssuedCertificate;
  let authority: IssuedCertificate;
  let keyPem: string;

  before(async () => {
    root = await issueRoot({ name: 'root', ...validity });
    authority = await authorityOf('PS1');
    keyPem = await newPrivateKey();
  });

  async function authorityOf(siteCode: string, under = root): Promise<IssuedCertificate> {
    const key = await newPrivateKey();
    const publicKey = publicKeyInfoOf(key);
    const certificate = await issueSiteAuthority(under, { siteCode, publicKey, ...validity });
    return { certificate, key };
  }

  async function answerOf(
    uri: string,
    changes: Partial<IssuedIdentity__Output> & { key?: string; by?: IssuedCertificate } = {},
  ): Promise<IssuedIdentity__Output> {
    const { key = keyPem, by = authority, ...fields } = changes;
    const publicKey = publicKeyInfoOf(key);
    const leaf = await issueLeaf(by, { commonName: 'x', uris: [uri], publicKey, ...validity });
    return {
      ...{ certificate: der(leaf), issuerCertificate: der(by.certificate), roots: [] },
      ...{ rootsGeneration: '1', siteCode: 'PS1', siteAddress: 'ps1:8530', address: 'dp1:8531' },
      ...{ enrollmentAddress: 'ps1:8532', parentSiteCode: '', parentAddress: '' },
      siteKind: 'SITE_KIND_UNSPECIFIED',
      ...fields,
    };
  }

  function check(answer: IssuedIdentity__Output, identity = dp1) {
    const pinned = new X509Certificate(root.certificate);
    return checkedGrant(answer, { identity, keyPem, roots: [pinned] });
  }

  it('is taken when it is of the pinned root, for this key and this name', async () => {
    const granted = check(await answerOf('waybill://dp/PS1DP1'));
    assert.deepEqual(granted.identity, dp1);
    assert.equal(granted.certificates.length, 2);
    const { siteCode, enrollmentAddress } = granted.place;
    assert.deepEqual([siteCode, enrollmentAddress], ['PS1', 'ps1:8532']);
  });

  it('is taken with whatever role an administrator was given', async () => {
    const asked: PeerIdentity = { kind: 'admin', role: 'read-only', name: 'bob' };
    const { identity } = check(await answerOf('waybill://admin/full/bob'), asked);
    assert.deepEqual(identity, { ...asked, role: 'full' });
  });

  it('is refused otherwise, each for its reason', async () => {
    const foreign = await issueRoot({ name: 'root', ...validity });
    const dp = 'waybill://dp/PS1DP1';
    const cases: [string, Promise<IssuedIdentity__Output>, RegExp][] = [
      ['another root', answerOf(dp, { by: await authorityOf('PS1', foreign) }), /not from a root/],
      ['another key', answerOf(dp, { key: await newPrivateKey() }), /not for the key/],
      ['another name', answerOf('waybill://dp/PS1DP2'), /not that of dp\/PS1DP1/],
      ['another kind', answerOf('waybill://client/PS1DP1'), /not that of dp\/PS1DP1/],
      ['no identity', answerOf('https://example.org'), /not that of dp\/PS1DP1/],
      ['no certificate', answerOf(dp, { certificate: Buffer.from('x') }), /it is none/],
      ['another site', answerOf(dp, { siteCode: 'CS1' }), /of site PS1, and said to be of CS1/],
      ['no site', answerOf(dp, { siteCode: '../x' }), /which site/],
      ['no address', answerOf(dp, { enrollmentAddress: 'x; reboot' }), /an address/],
    ];
    for (const [what, answer, words] of cases) {
      const given = await answer;
      assert.throws(() => check(given), { code: 'PEER_FAILED', message: words }, what);
    }
  });

  it('is refused when the key of its site has signed it over something that is no key', async () => {
    const answer = await answerOf('waybill://dp/PS1DP1');
    const certificate = withBrokenKey(answer.certificate, authority.key);
    assert.throws(() => new X509Certificate(certificate).publicKey);
    const given = { ...answer, certificate };
    assert.throws(() => check(given), { code: 'PEER_FAILED', message: /not for the key/ });
  });

  it('of a site is its authority, and no other', async () => {
    const site: PeerIdentity = { kind: 'site', siteCode: 'PS2' };
    const publicKey = publicKeyInfoOf(keyPem);
    const answerFor = async (siteCode: string) => {
      const pem = await issueSiteAuthority(root, { siteCode, publicKey, ...validity });
      const facts = { siteCode: 'PS2', siteKind: 'SITE_KIND_PRIMARY' } as const;
      const place = { ...facts, parentSiteCode: 'CS1', parentAddress: 'cs1:8530' };
      const certificate = der(pem);
      const none = Buffer.alloc(0);
      return answerOf('x:y', { ...place, certificate, issuerCertificate: none });
    };
    const granted = check(await answerFor('PS2'), site);
    assert.deepEqual(granted.place.parent, { siteCode: 'CS1', address: 'cs1:8530' });
    assert.equal(granted.place.siteKind, 'primary');
    const wrong = await answerFor('PS3');
    assert.throws(() => check(wrong, site), /not that of the authority of site\/PS2/);
    const leaf = await answerOf('waybill://site/PS1', { siteCode: 'PS2' });
    assert.throws(() => check(leaf, site), /not that of the authority/);
    // Made by the key of another site's authority.
    const feigned = await issueSiteAuthority(authority, {
      siteCode: 'PS2',
      publicKey,
      ...validity,
    });
    const given = await answerOf('x:y', { certificate: der(feigned), siteCode: 'PS2' });
    assert.throws(() => check(given, site), /not that of the authority/);
  });
});

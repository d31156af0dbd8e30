/** Parsers of what those bring who ask for certificates, of what they are given, and of files they keep it in. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import {
  certificateRequestOf,
  newPrivateKey,
} from '../../shared/certificates/certificate-requests.ts';
import { pairFileText, readPairFile } from '../../shared/certificates/pair-file.ts';
import { encodeEnrollmentToken } from '../../shared/domain/enrollment-token.ts';
import { holderOf, type PeerIdentity } from '../../shared/domain/peer-identity.ts';
import { checkedGrant } from '../../shared/enrollment/granted-identity.ts';
import { certificateBlocks, chainOf } from '../../shared/rpc/certificate-trust.ts';
import { readPeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import { signRenewal } from '../../shared/rpc/renewal-proof.ts';
import {
  decodeAnswer,
  decodeRequest,
  encodeAnswer,
  encodeMessage,
} from '../../shared/rpc/service-definitions.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { checkedEnroll } from '../../site-server/enrollment/enrollment-requests.ts';
import { Renewals } from '../../site-server/enrollment/renewals.ts';
import { TestAuthority } from '../../site-server/enrollment/testing/test-authority.ts';
import { decoded } from './decoded.ts';
import type { FuzzTarget } from './fuzz-target.ts';
import { putFixed, putInput } from './input-file.ts';
import { refusing } from './refusing.ts';

const identity: PeerIdentity = { kind: 'dp', dpId: 'PS1DP1' };
const nowMs = Date.UTC(2026, 5, 1);
const yearMs = 365 * 24 * 3_600_000;

/** A DP with its certificate, and all above it. PEM. */
const issuedOnce = (async () => {
  const authority = await TestAuthority.create(new FakeClock(nowMs), {});
  const key = await newPrivateKey();
  const request = await certificateRequestOf(key);
  const leaf = await authority.issueLeaf(identity, request);
  const [root = ''] = authority.roots();
  const issuer = authority.authorityCertificate();
  return { root, issuer, issuerKey: authority.authorityKey, leaf, key, request };
})();

const derOf = (pem: string) => new X509Certificate(pem).raw;
/** Last of the right inputs of some: what their process has to believe, which made none of it. */
const knownOf = (seeds: readonly Buffer[]) => seeds.at(-1)?.toString('latin1') ?? '';

let renewals: Renewals | undefined;

/** Says whose certificate it is; believes the root in a text, and the key of the own authority, behind which it stands. */
function renewalsOf(text: string): Renewals {
  const [root = '', ours = ''] = certificateBlocks(Buffer.from(text));
  const authority = { roots: () => [root], authorityCertificate: () => ours };
  const signedAuthorityOf = (siteCode: string) =>
    siteCode === 'PS1' ? new X509Certificate(ours) : undefined;
  renewals ??= new Renewals({ authority, clock: new FakeClock(), signedAuthorityOf } as never, {
    ...{ renewalGraceMs: yearMs, skewMs: 0 },
  });
  return renewals;
}

export const enrollmentTargets: readonly FuzzTarget[] = [
  {
    name: 'enroll-request',
    form: 'protobuf',
    seeds: () => {
      const secret = Buffer.alloc(16, 1);
      const token = { tokenId: '0123456789abcdef', secret, rootKeyHash: Buffer.alloc(32, 2) };
      return [
        encodeMessage('Enrollment', 'enroll', {
          ...{ token: encodeEnrollmentToken(token), identityUri: 'waybill://dp/PS1DP1' },
          ...{ certificateRequest: Buffer.alloc(200, 3), address: 'dp1:8531' },
        }),
      ];
    },
    parse: (input) => {
      const request = decoded(() => decodeRequest('Enrollment', 'enroll', input));
      if (!request) return;
      return refusing(['TOKEN_INVALID', 'MESSAGE_INVALID'], () => {
        const { certificateRequest, address } = checkedEnroll(request);
        assert.ok(certificateRequest.length <= 4_096 && address.length <= 300);
      });
    },
  },
  {
    name: 'renewal-request',
    form: 'protobuf',
    seeds: async () => {
      const { root, issuer, issuerKey, leaf, key, request } = await issuedOnce;
      const renewal = encodeMessage('Enrollment', 'renew', {
        ...{ certificate: derOf(leaf), authorityCertificate: derOf(issuer) },
        ...{ certificateRequest: request, signature: signRenewal(key, request) },
      });
      const ofAuthority = encodeMessage('Enrollment', 'renew', {
        ...{ certificate: derOf(issuer), authorityCertificate: Buffer.alloc(0) },
        ...{ certificateRequest: request, signature: signRenewal(issuerKey, request) },
      });
      return [renewal, ofAuthority, Buffer.from(`${root}\n${issuer}`)];
    },
    parse: (input, seeds) => {
      const request = decoded(() => decodeRequest('Enrollment', 'renew', input));
      if (!request) return;
      return refusing(['RENEWAL_REFUSED', 'MESSAGE_INVALID'], () => {
        const claim = renewalsOf(knownOf(seeds)).claimOf(request);
        // Nobody else's was ever issued.
        assert.ok(['dp/PS1DP1', 'site/PS1'].includes(holderOf(claim.identity)));
      });
    },
  },
  {
    name: 'granted-certificate',
    form: 'protobuf',
    seeds: async () => {
      const { root, issuer, leaf, key } = await issuedOnce;
      const answer = encodeAnswer('Enrollment', 'enroll', {
        ...{ certificate: derOf(leaf), issuerCertificate: derOf(issuer), roots: [derOf(root)] },
        ...{ rootsGeneration: 1, siteCode: 'PS1', siteAddress: 'ps1:8530' },
        ...{ enrollmentAddress: 'ps1:8532', parentSiteCode: '', parentAddress: '' },
        ...{ address: 'dp1:8531', siteKind: 'SITE_KIND_UNSPECIFIED' },
      });
      return [answer, Buffer.from(`${key}\n${root}`)];
    },
    parse: (input, seeds) => {
      const answer = decoded(() => decodeAnswer('Enrollment', 'enroll', input));
      if (!answer) return;
      const known = knownOf(seeds);
      const roots = [new X509Certificate(certificateBlocks(Buffer.from(known))[0] ?? '')];
      return refusing(['PEER_FAILED'], () => {
        const granted = checkedGrant(answer, { identity, keyPem: known, roots });
        assert.equal(holderOf(granted.identity), 'dp/PS1DP1');
      });
    },
  },
  {
    name: 'pair-file',
    form: 'text',
    words: ['-----BEGIN CERTIFICATE-----', '-----END PRIVATE KEY-----', '-----', 'MII', '\n'],
    seeds: async () => {
      const { key, leaf, issuer } = await issuedOnce;
      return [Buffer.from(pairFileText({ key, certificates: [leaf, issuer] }))];
    },
    parse: (input) =>
      refusing(['CERTIFICATE_INVALID'], async () => {
        const pair = await readPairFile(putInput(input));
        assert.ok(pair && pair.certificates.length > 0);
      }),
  },
  {
    name: 'credentials',
    form: 'text',
    words: ['-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----', '-----', 'MII', '\n'],
    seeds: async () => {
      const { root, key, leaf, issuer } = await issuedOnce;
      const own = pairFileText({ key, certificates: [leaf, issuer] });
      return [Buffer.from(own), Buffer.from(root)];
    },
    parse: (input, seeds) => {
      const caFile = putFixed('ca', knownOf(seeds));
      const own = putInput(input);
      return refusing(['CERTIFICATE_INVALID'], async () => {
        const files = { caFile, certificateFile: own, keyFile: own };
        const read = await readPeerCredentials(files, { nowMs });
        assert.deepEqual(read.identity, identity);
        assert.ok(!read.certificate.includes('PRIVATE KEY'));
        chainOf(read.certificate);
      });
    },
  },
];

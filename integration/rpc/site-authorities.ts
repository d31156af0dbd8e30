import {
  type IssuedCertificate,
  issueLeafWithKey,
  issueRoot,
  issueSiteAuthority,
} from '../../shared/certificates/certificate-issuing.ts';
import { newPrivateKey, publicKeyInfoOf } from '../../shared/certificates/certificate-requests.ts';
import { type PeerIdentity, toIdentityUri } from '../../shared/domain/peer-identity.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';

const hourMs = 3_600_000;

/** A CA, as a test makes certificates with it. */
export type TestCa = IssuedCertificate;

/** A root with nothing below it yet. @param name its common name, where it matters */
export function newRoot(name = 'Waybill root test'): Promise<TestCa> {
  return issueRoot({ name, ...lifeFrom(Date.now() - 9 * hourMs) });
}

/** The authority of a site, valid from then on. @param options.key PEM; another one is made */
export async function newSiteAuthority(
  root: TestCa,
  siteCode: string,
  options: { notBeforeMs?: number; key?: string } = {},
): Promise<TestCa> {
  const { notBeforeMs = Date.now() - hourMs, key = await newPrivateKey() } = options;
  const publicKey = publicKeyInfoOf(key);
  const request = { siteCode, publicKey, ...lifeFrom(notBeforeMs) };
  return { certificate: await issueSiteAuthority(root, request), key };
}

/** What an agent has whose certificate a site's authority issued. @param sent what it shows after its own */
export async function credentialsBy(
  root: TestCa,
  authority: TestCa,
  identity: PeerIdentity,
  { notBeforeMs = Date.now() - hourMs, sent = [authority.certificate] } = {},
): Promise<PeerCredentials> {
  const uri = toIdentityUri(identity);
  const own = await issueLeafWithKey(authority, {
    ...{ commonName: uri, uris: [uri], ...lifeFrom(notBeforeMs) },
  });
  return {
    ca: Buffer.from(root.certificate),
    certificate: Buffer.from([own.certificate, ...sent].join('\n')),
    key: Buffer.from(own.key),
    identity,
  };
}

function lifeFrom(notBeforeMs: number) {
  return { notBefore: new Date(notBeforeMs), notAfter: new Date(notBeforeMs + 24 * hourMs) };
}

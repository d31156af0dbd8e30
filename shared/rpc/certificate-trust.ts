import { X509Certificate } from 'node:crypto';
import { type PeerIdentity, toIdentityUri } from '../domain/peer-identity.ts';
import { identityOfSubjectAltName } from './certificate-identity.ts';

/** The certificates of a PEM file; the text as a whole when no one is marked in it. */
export function certificateBlocks(pem: Buffer): string[] {
  const blocks = pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]*-----END[^\n]*/g);
  return [...(blocks ?? [''])];
}

/** Whether one of these CAs signed the certificate. */
export function isIssuedBy(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
): boolean {
  return authorities.some(
    (authority) => certificate.checkIssued(authority) && certificate.verify(authority.publicKey),
  );
}

/** Why a certificate does not count now, or undefined. */
export function refusalOfTime(certificate: X509Certificate, nowMs: number): string | undefined {
  if (nowMs < Date.parse(certificate.validFrom)) {
    return `it is not valid before ${certificate.validFrom}; check this machine's clock`;
  }
  return nowMs > Date.parse(certificate.validTo)
    ? `it expired at ${certificate.validTo}`
    : undefined;
}

/**
 * Why a certificate does not speak for a peer, by the same rules as on a connection; undefined when
 * it does. For certificates that come otherwise than by a handshake.
 */
export function refusalOfCertificate(
  certificate: X509Certificate,
  trust: {
    readonly authorities: readonly X509Certificate[];
    readonly identity: PeerIdentity;
    readonly nowMs: number;
  },
): string | undefined {
  const { authorities, nowMs } = trust;
  // As in a handshake, a CA that has expired vouches for nobody.
  const current = authorities.filter(
    (authority) => authority.ca && refusalOfTime(authority, nowMs) === undefined,
  );
  if (certificate.ca) return 'it is the certificate of a CA';
  if (!isIssuedBy(certificate, current)) return "it is not signed by the hierarchy's CA";
  const identity = identityOfSubjectAltName(certificate.subjectAltName);
  const expected = toIdentityUri(trust.identity);
  if (!identity || toIdentityUri(identity) !== expected) return `it is not that of ${expected}`;
  return refusalOfTime(certificate, nowMs);
}

/** The CAs of a PEM file that `readPeerCredentials` has checked. */
export function authoritiesOf(pem: Buffer): X509Certificate[] {
  return certificateBlocks(pem).map((block) => new X509Certificate(block));
}

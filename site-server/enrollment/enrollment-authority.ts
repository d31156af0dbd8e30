import { createHash, X509Certificate } from 'node:crypto';
import type { CertifiedPeer } from '../../shared/domain/certificate-authority.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { PeerIdentity } from '../../shared/domain/peer-identity.ts';
import type { Change } from '../../shared/state-store/state-store.ts';

/** As much of the certificate authority of a site as enrollment needs; certificates are PEM. */
export interface EnrollmentAuthority {
  /** Whether the root's key is here: this site signs site authorities. */
  readonly isTop: boolean;
  readonly siteCode: string;
  roots(): readonly string[];
  readonly rootsGeneration: number;
  authorityCertificate(): string;
  /** Begins after a revocation of the holder, if there is one. @throws CERTIFICATE_REQUEST_INVALID */
  issueLeaf(identity: PeerIdentity, request: Uint8Array): Promise<string>;
  /** At the top only. @throws CERTIFICATE_REQUEST_INVALID */
  issueSiteAuthority(siteCode: string, request: Uint8Array): Promise<string>;
}

/** As much of the revocations of the hierarchy as enrollment needs. */
export interface EnrollmentRevocations {
  /** Whether a certificate was revoked, by a site that has a say in it; however long ago it expired. */
  isRevoked(peer: CertifiedPeer): boolean;
  /** What is to be written so that all certificates a holder has now are revoked. */
  revoked(
    holder: string,
    facts: { readonly reason: string; readonly revokedBy: string },
  ): Promise<readonly Change[]>;
}

/** SHA-256 of a public key info (SPKI, DER). */
export function hashOfKey(publicKey: Uint8Array): Buffer {
  return createHash('sha256').update(publicKey).digest();
}

/** SHA-256 of the public key info of the certificate. */
export function keyHashOf(certificate: X509Certificate): Buffer {
  return hashOfKey(certificate.publicKey.export({ type: 'spki', format: 'der' }));
}

/**
 * The root that stands behind this site's authority.
 *
 * @throws ENROLLMENT_OFF while there is none: its root was retired before it stood on another
 */
export function rootBehind(authority: EnrollmentAuthority): X509Certificate {
  const own = new X509Certificate(authority.authorityCertificate());
  const roots = authority.roots().map((pem) => new X509Certificate(pem));
  const root = roots.find((one) => own.checkIssued(one) && own.verify(one.publicKey));
  if (!root) {
    const { siteCode } = authority;
    const reason =
      'the root behind its authority counts no more; it is to have another from the top';
    throw new WaybillError({ code: 'ENROLLMENT_OFF', siteCode, reason });
  }
  return root;
}

/** A certificate in PEM as DER. */
export function toDer(pem: string): Buffer {
  return new X509Certificate(pem).raw;
}

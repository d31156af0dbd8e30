import { X509Certificate } from 'node:crypto';
import type { DetailedPeerCertificate } from 'node:tls';
import type { CertifiedPeer } from '../domain/certificate-authority.ts';
import { type CertificateLife, refusalOfLife } from '../domain/certificate-life.ts';
import { type PeerIdentity, toIdentityUri } from '../domain/peer-identity.ts';
import { certifiedPeerOf } from './certificate-identity.ts';

/** The certificates of a PEM file; the text as a whole when no one is marked in it. */
export function certificateBlocks(pem: Buffer): string[] {
  const blocks = pem.toString('latin1').match(/-----BEGIN CERTIFICATE-----[^-]*-----END[^\n]*/g);
  return [...(blocks ?? [''])];
}

/**
 * Certificates as a peer shows them: its own, then the site authority that issued it, if the root did
 * not do that itself. What comes after is not read.
 */
export type CertificateChain = readonly [X509Certificate, (X509Certificate | undefined)?];

/** @throws when it is not a certificate */
export function chainOf(pem: Buffer): CertificateChain {
  const [own = '', ...others] = certificateBlocks(pem);
  const [issuer] = others.map((block) => new X509Certificate(block));
  return [new X509Certificate(own), issuer];
}

/** Who a chain speaks for that a root is known to stand behind; undefined for nobody. */
export function peerOfChain([own, issuer]: CertificateChain): CertifiedPeer | undefined {
  const peer = certifiedPeerOf(own.toLegacyObject());
  if (!peer || peer.voucher === 'root' || !issuer) return peer;
  return { ...peer, vouchedFromMs: Date.parse(issuer.validFrom) };
}

/** Whether one of these CAs signed the certificate itself. */
function isSignedByOneOf(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
): boolean {
  return authorities.some(
    (authority) =>
      authority.ca && certificate.checkIssued(authority) && certificate.verify(authority.publicKey),
  );
}

/** Whether one of these roots stands behind a chain, by itself or by a site authority. */
export function isIssuedBy([own, issuer]: CertificateChain, roots: readonly X509Certificate[]) {
  if (isSignedByOneOf(own, roots)) return true;
  return issuer !== undefined && isSignedByOneOf(own, [issuer]) && isSignedByOneOf(issuer, roots);
}

/** Why a certificate does not count now, with its time and that of this machine's clock, or undefined. */
export function refusalOfTime(certificate: X509Certificate, nowMs: number): string | undefined {
  return refusalOfLife(lifeOf(certificate), nowMs);
}

/** From when to when a certificate is valid. */
export function lifeOf({ validFrom, validTo }: X509Certificate): CertificateLife {
  return { notBeforeMs: Date.parse(validFrom), notAfterMs: Date.parse(validTo) };
}

/**
 * Why a certificate does not speak for a peer, by the same rules as on a connection; undefined when
 * it does. For certificates that come otherwise than by a handshake.
 */
export function refusalOfCertificate(
  chain: CertificateChain,
  trust: {
    /** Roots. */
    readonly authorities: readonly X509Certificate[];
    readonly identity: PeerIdentity;
    /** Undefined: whether it counts now is judged later. */
    readonly nowMs: number | undefined;
  },
): string | undefined {
  const { authorities, nowMs } = trust;
  const [own, issuer] = chain;
  if (own.ca) return 'it is the certificate of a CA';
  // As in a handshake, a CA that has expired vouches for nobody.
  const refusalNow = (one: X509Certificate) =>
    nowMs === undefined ? undefined : refusalOfTime(one, nowMs);
  const isCurrent = (one: X509Certificate) => refusalNow(one) === undefined;
  const current: CertificateChain = [own, issuer && isCurrent(issuer) ? issuer : undefined];
  if (!isIssuedBy(current, authorities.filter(isCurrent))) {
    return "it is not signed by the hierarchy's CA";
  }
  const peer = certifiedPeerOf(own.toLegacyObject());
  const expected = toIdentityUri(trust.identity);
  if (!peer || toIdentityUri(peer.identity) !== expected) return `it is not that of ${expected}`;
  return refusalNow(own);
}

/**
 * Who is at the other end of a connection, by the certificates of its handshake, which has verified them.
 * Undefined for nobody.
 *
 * @param roots PEM
 */
export function shownPeerOf(
  certificate: DetailedPeerCertificate,
  roots: Buffer,
): CertifiedPeer | undefined {
  const peer = certifiedPeerOf(certificate);
  if (!peer || peer.voucher === 'root') return peer;
  // Node picks the issuer by its name, out of whatever the peer has sent along.
  const shown = [certificate.raw, certificate.issuerCertificate.raw] as const;
  if (!isTrustedChain(shown, roots)) return undefined;
  const [, issuer] = shown;
  return { ...peer, vouchedFromMs: Date.parse(new X509Certificate(issuer).validFrom) };
}

/**
 * Whether one of these roots stands behind certificates that were shown before: roots change.
 *
 * @param shown DER: the peer's own, then its issuer's
 * @param roots PEM
 */
export function isTrustedChain(shown: readonly [Buffer, Buffer], roots: Buffer): boolean {
  const [own, issuer] = shown.map((der) => new X509Certificate(der));
  return own !== undefined && isIssuedBy([own, issuer], authoritiesOf(roots));
}

/** Parsed once for all who ask, as often as they ask: credentials that change are other bytes. */
const parsedAuthorities = new WeakMap<Buffer, readonly X509Certificate[]>();

/** The CAs of a PEM file that `readPeerCredentials` has checked. */
export function authoritiesOf(pem: Buffer): readonly X509Certificate[] {
  const known = parsedAuthorities.get(pem);
  if (known) return known;
  const authorities = certificateBlocks(pem).map((block) => new X509Certificate(block));
  parsedAuthorities.set(pem, authorities);
  return authorities;
}

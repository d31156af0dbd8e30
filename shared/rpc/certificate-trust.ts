import { X509Certificate } from 'node:crypto';
import type { DetailedPeerCertificate } from 'node:tls';
import {
  type CertifiedPeer,
  siteOfAuthorityName,
  type Voucher,
} from '../domain/certificate-authority.ts';
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

/** Who a chain speaks for; undefined for nobody: none of these roots stands behind it, or its voucher may not say so. */
export function peerOfChain(
  chain: CertificateChain,
  roots: readonly X509Certificate[],
): CertifiedPeer | undefined {
  const [own, issuer] = chain;
  const voucher = voucherOfChain(chain, roots);
  const peer = voucher && certifiedPeerOf(own.toLegacyObject(), voucher);
  if (!peer || voucher === 'root' || !issuer) return peer;
  return { ...peer, vouchedFromMs: Date.parse(issuer.validFrom) };
}

/**
 * Who has signed a certificate: one of these roots itself, or the authority of a site that one of them has
 * signed; undefined for whoever else. By keys: OpenSSL takes names for the same that differ in case and blanks, so
 * what a certificate calls its issuer says nothing, and is only taken when it is the very name.
 */
export function voucherOfChain(
  [own, issuer]: CertificateChain,
  roots: readonly X509Certificate[],
): Voucher | undefined {
  if (isSignedByOneOf(own, roots)) return 'root';
  if (!issuer || own.issuer !== issuer.subject) return undefined;
  const siteCode = authoritySiteOf(issuer);
  if (siteCode === undefined) return undefined;
  // The roots first: what a stranger has made himself is not worth the work.
  const isVouched = isSignedByOneOf(issuer, roots) && isSignedByOneOf(own, [issuer]);
  return isVouched ? { siteCode } : undefined;
}

/** The site whose authority a certificate is by its subject, whoever signed it; undefined for none. */
export function authoritySiteOf({ ca, subject }: X509Certificate): string | undefined {
  const [, commonName] = /^CN=([^\n]*)$/.exec(subject) ?? [];
  return ca && commonName !== undefined ? siteOfAuthorityName(commonName) : undefined;
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
export function isIssuedBy(chain: CertificateChain, roots: readonly X509Certificate[]): boolean {
  return voucherOfChain(chain, roots) !== undefined;
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
  const voucher = voucherOfChain(current, authorities.filter(isCurrent));
  if (!voucher) return "it is not signed by the hierarchy's CA";
  const peer = certifiedPeerOf(own.toLegacyObject(), voucher);
  const expected = toIdentityUri(trust.identity);
  if (!peer || toIdentityUri(peer.identity) !== expected) return `it is not that of ${expected}`;
  return refusalNow(own);
}

/**
 * Who is at the other end of a connection, by the certificates of its handshake, which has verified them; who
 * vouches is looked at here once more, for Node picks the issuer by its name, out of whatever the peer has sent along.
 * Undefined for nobody.
 *
 * @param roots PEM
 */
export function shownPeerOf(
  certificate: Pick<DetailedPeerCertificate, 'raw'> & {
    readonly issuerCertificate?: Pick<DetailedPeerCertificate, 'raw'>;
  },
  roots: Buffer,
): CertifiedPeer | undefined {
  const { raw, issuerCertificate } = certificate;
  const issuer = issuerCertificate && new X509Certificate(issuerCertificate.raw);
  return peerOfChain([new X509Certificate(raw), issuer], authoritiesOf(roots));
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

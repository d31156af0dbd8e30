import type { PeerIdentity } from './peer-identity.ts';
import { parseSiteCode } from './site.ts';

const prefix = 'Waybill site authority ';

/** Common name of the CA certificate of a site's authority. The root signs these and nothing else. */
export function authorityNameOf(siteCode: string): string {
  return `${prefix}${siteCode}`;
}

/** Common name of a root of the hierarchy whose top is this site; no site authority is called so. */
export function rootNameOf(siteCode: string, generation: number): string {
  return `Waybill root ${siteCode} ${generation}`;
}

/**
 * Who vouches for a certificate: the site whose authority issued it, or the root itself. Told by whose key has
 * signed it (`voucherOfChain`), never by what it says of its issuer: whoever issues it writes that.
 */
export type Voucher = { readonly siteCode: string } | 'root';

/** The site whose authority has this common name; undefined for any other name, however much it looks like one. */
export function siteOfAuthorityName(commonName: string): string | undefined {
  return commonName.startsWith(prefix) ? parseSiteCode(commonName.slice(prefix.length)) : undefined;
}

/** A voucher in words. */
export function toVoucherText(voucher: Voucher): string {
  return voucher === 'root' ? 'the root' : `the authority of site ${voucher.siteCode}`;
}

/** Whether what a voucher says of somebody is believed (SEC-1): a site's authority names no other site. */
export function mayVouch(voucher: Voucher, identity: PeerIdentity): boolean {
  return voucher === 'root' || identity.kind !== 'site' || identity.siteCode === voucher.siteCode;
}

/** A certificate that a verified chain stands behind, as far as it matters here. */
export interface CertifiedPeer {
  readonly identity: PeerIdentity;
  readonly voucher: Voucher;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** When the certificate of the site authority that vouches begins; none when the root itself does. */
  readonly vouchedFromMs?: number;
}

/** A site, and the sites above it: where somebody calls. */
export interface PlaceInHierarchy {
  readonly siteCode: string;
  readonly sitesAbove: ReadonlySet<string>;
}

/**
 * Whether a voucher is heard at a site, and at its DPs, for what it says of somebody (docs/trust.md, 1):
 * for a DP of that site only the site itself, for an administrator that site or one above it. A site
 * is vouched for by itself; a client only reads, which every peer may.
 */
export function isHeardAt(
  { identity, voucher }: Pick<CertifiedPeer, 'identity' | 'voucher'>,
  { siteCode, sitesAbove }: PlaceInHierarchy,
): boolean {
  if (voucher === 'root') return true;
  switch (identity.kind) {
    case 'site':
      return mayVouch(voucher, identity);
    case 'dp':
      return voucher.siteCode === siteCode;
    case 'admin':
      return voucher.siteCode === siteCode || sitesAbove.has(voucher.siteCode);
    case 'client':
      return true;
  }
}

/** When a certificate is to be renewed: after two thirds of its life and up to a twentieth more. */
export function renewalAtMs(
  { notBeforeMs, notAfterMs }: Pick<CertifiedPeer, 'notBeforeMs' | 'notAfterMs'>,
  /** A number from 0 up to 1, the same for each look at the same certificate. */
  jitter: number,
): number {
  const lifeMs = notAfterMs - notBeforeMs;
  return notBeforeMs + Math.floor((2 / 3 + jitter / 20) * lifeMs);
}

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
 * Who vouches for a certificate: the site whose authority issued it, or the root itself. Told by the
 * common name of the issuer, which a verified chain vouches for.
 */
export type Voucher = { readonly siteCode: string } | 'root';

/** @returns undefined for an issuer that calls itself a site authority and is none */
export function voucherOf(issuerCommonName: string): Voucher | undefined {
  if (!issuerCommonName.startsWith(prefix)) return 'root';
  const siteCode = parseSiteCode(issuerCommonName.slice(prefix.length));
  return siteCode === undefined ? undefined : { siteCode };
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

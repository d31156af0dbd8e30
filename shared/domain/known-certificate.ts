import { renewalAtMs } from './certificate-authority.ts';
import type { CertificateState } from './certificate-keeping.ts';
import { ageOf, type CertificateLife } from './certificate-life.ts';

/** What an agent says of its certificate: part of the row of table "distribution point health". */
export interface ToldCertificate extends CertificateLife {
  readonly state: CertificateState;
  /** Why; empty when all is well. */
  readonly reason: string;
  /** The site whose authority issued it; empty: the root itself. */
  readonly issuerSiteCode: string;
  /** SHA-256 of the public key info of the root it stands on, hex; empty when that is not known. */
  readonly rootKeyId: string;
}

export type CertificateKind = 'root' | 'site-authority' | 'identity';

/** What is to be done about a certificate. */
export type CertificateDue =
  | 'nothing'
  /** Its holder renews it by itself. */
  | 'renewal'
  /** It ends within 14 days: renewal has not worked. */
  | 'soon'
  /** It ends within 3 days. */
  | 'urgent'
  | 'expired'
  | 'not-yet-valid'
  | 'old-root'
  /** It counts no more: there is nothing to be done about it. */
  | 'revoked';

/** The revocation by which a certificate counts no more. */
export interface KnownRevocation {
  readonly revokedAtMs: number;
  /** The site at which it was said. */
  readonly siteCode: string;
  /** Who was revoked: the holder, or the site that vouches for him. */
  readonly holder: string;
}

/** A certificate that a site knows of. */
export interface KnownCertificate extends CertificateLife {
  readonly kind: CertificateKind;
  /** See `holderOf`; of a root the beginning of its key ID. */
  readonly holder: string;
  /** Empty for roots. */
  readonly identityUri: string;
  /** Empty: a root. */
  readonly issuerSiteCode: string;
  /** Hex; empty when it is none that is trusted here. */
  readonly rootKeyId: string;
  readonly isOnNewestRoot: boolean;
  /** As its holder says. */
  readonly state?: CertificateState;
  readonly reason: string;
  /** When its holder said so; 0: never. */
  readonly toldAtMs: number;
  /** Why it counts no more at the site that knows it; absent: it does. */
  readonly revoked?: KnownRevocation;
}

const dayMs = 24 * 3_600_000;
/** From then on before its end administrators are told of a certificate. */
export const expirySoonMs = 14 * dayMs;
export const expiryUrgentMs = 3 * dayMs;
/** The same of a root, which nobody renews but administrators. */
export const rootExpirySoonMs = 180 * dayMs;

/**
 * What is to be done, by the clock of the site that looks. Of a certificate whose whole life is short,
 * such as those of tests, a part of it counts as soon and urgent.
 */
export function dueOf(certificate: KnownCertificate, nowMs: number): CertificateDue {
  if (certificate.revoked) return 'revoked';
  const age = ageOf(certificate, nowMs);
  if (age !== 'valid') return age;
  const { notBeforeMs, notAfterMs } = certificate;
  const [leftMs, lifeMs] = [notAfterMs - nowMs, notAfterMs - notBeforeMs];
  // Renewal begins at two thirds: until well after that, all is as it should be.
  if (leftMs <= Math.min(expiryUrgentMs, lifeMs / 30)) return 'urgent';
  const soonMs = certificate.kind === 'root' ? rootExpirySoonMs : expirySoonMs;
  if (leftMs <= Math.min(soonMs, lifeMs / 6)) return 'soon';
  if (!certificate.isOnNewestRoot) return 'old-root';
  const isRenewed = certificate.kind !== 'root' && nowMs >= renewalAtMs(certificate, 1);
  return isRenewed ? 'renewal' : 'nothing';
}

/** What a site's authority certificate is believed to be, and when another takes its place. Pure. */
import { X509Certificate } from 'node:crypto';
import { authorityTermsOf } from '../../shared/certificates/certificate-issuing.ts';
import type { HeldTrust } from '../../shared/certificates/trust-bundle.ts';
import { authorityNameOf, renewalAtMs } from '../../shared/domain/certificate-authority.ts';
import type { SiteIdentity } from '../../shared/domain/site.ts';
import { certificateBlocks, lifeOf, refusalOfTime } from '../../shared/rpc/certificate-trust.ts';

/** The certificate of a site's authority, and the root that signed it. */
export interface KnownAuthority {
  readonly certificate: X509Certificate;
  /** PEM; one of those that are trusted. */
  readonly root: string;
}

/** The certificate of the authority of a site, whoever signed it; undefined when a PEM text is none. */
export function authorityNamed(pem: string, siteCode: string): X509Certificate | undefined {
  return refusalOfAuthority(pem, siteCode) === undefined ? parsed(pem) : undefined;
}

/**
 * Why a PEM text is not the certificate of a site's authority, whoever signed it, as the end of a sentence: it must be
 * a CA of that name, which may sign certificates, but no further CA.
 */
export function refusalOfAuthority(pem: string, siteCode: string): string | undefined {
  const certificate = parsed(pem);
  const isNamed = certificate?.subject === `CN=${authorityNameOf(siteCode)}`;
  if (!certificate?.ca || !isNamed) {
    return `it is no certificate of the authority of site ${siteCode}`;
  }
  const terms = authorityTermsOf(pem);
  if (terms?.pathLength !== 0) return 'it lets the authority of a site make further authorities';
  if (!terms.maySignCertificates) return 'it does not let the authority sign certificates';
  const { notBeforeMs, notAfterMs } = lifeOf(certificate);
  return notBeforeMs < notAfterMs ? undefined : 'it ends before it begins';
}

/**
 * The authority of a site in a PEM text; undefined when it is none: not a CA of that site's name, or not signed by
 * a root that is trusted.
 */
export function knownAuthority(
  pem: string,
  siteCode: string,
  { roots }: Pick<HeldTrust, 'roots'>,
): KnownAuthority | undefined {
  const certificate = authorityNamed(pem, siteCode);
  if (!certificate) return undefined;
  const root = roots.find((one) => isSignedBy(certificate, new X509Certificate(one)));
  if (root !== undefined && !isWithinLife(certificate, new X509Certificate(root))) return undefined;
  return root === undefined ? undefined : { certificate, root };
}

/** The authority that travels with a site's own certificate, in a text of several certificates. */
export function travellingAuthority(chainPem: string): string {
  return certificateBlocks(Buffer.from(chainPem, 'latin1'))[1] ?? '';
}

/** The authority that a site shows with its own certificate; undefined when no root that is trusted stands behind it. */
export function shownAuthority(
  identity: Pick<SiteIdentity, 'siteCode' | 'certificate'> | undefined,
  trust: Pick<HeldTrust, 'roots'>,
): X509Certificate | undefined {
  if (!identity) return undefined;
  const pem = travellingAuthority(identity.certificate);
  return knownAuthority(pem, identity.siteCode, trust)?.certificate;
}

/**
 * Whether the top is to sign a site's authority again: it stands on another root than the newest, two thirds
 * of its life are over, or it does not count now: it was signed while a clock was wrong.
 */
export function isDueForSigning(known: KnownAuthority, newestRoot: string, nowMs: number): boolean {
  if (known.root !== newestRoot || isRefused(known, nowMs)) return true;
  const { validFrom, validTo } = known.certificate;
  const life = { notBeforeMs: Date.parse(validFrom), notAfterMs: Date.parse(validTo) };
  return nowMs >= renewalAtMs(life, 0);
}

/** What a site considers before it takes another certificate for its authority. */
export interface OfferedAuthority {
  readonly siteCode: string;
  /** PEM; what it shows now. */
  readonly current: string;
  /** PEM; what the top has signed. */
  readonly offered: string;
  readonly held: HeldTrust;
  /** From when on everybody is expected to trust the newest root. */
  readonly overlapEndsMs: number;
  readonly nowMs: number;
}

/**
 * Whether a site shows the offered certificate from now on. Only one for its own key, so that all it has issued
 * stays good; and one of a new root only when everybody has had the time to hear of that root, or when the old
 * one counts for nothing any more.
 */
export function isToBeTaken(facts: OfferedAuthority): boolean {
  const { siteCode, held, nowMs } = facts;
  const offered = knownAuthority(facts.offered, siteCode, held);
  const current = new X509Certificate(facts.current);
  if (!offered || isRefused(offered, nowMs)) return false;
  if (!isSameKey(offered.certificate, current)) return false;
  const shown = knownAuthority(facts.current, siteCode, held);
  if (!shown || isRefused(shown, nowMs)) return true;
  if (shown.root !== offered.root) {
    return held.roots.indexOf(offered.root) === 0 && nowMs >= facts.overlapEndsMs;
  }
  return isLater(offered, shown);
}

/**
 * Why a site stays with the authority that it shows, though it was given another one for its key, as the end of a
 * sentence; undefined when that may take its place. While what it shows counts, what takes its place stands on a newer
 * root, or is later on the same: any that the top has ever signed for it can be given again, by whoever answers.
 */
export function refusalOfFollower(
  facts: Omit<OfferedAuthority, 'held' | 'overlapEndsMs'> & {
    readonly held: Pick<HeldTrust, 'roots'>;
  },
): string | undefined {
  const { siteCode, held, nowMs } = facts;
  const shown = knownAuthority(facts.current, siteCode, held);
  if (!shown || isRefused(shown, nowMs)) return undefined;
  const offered = knownAuthority(facts.offered, siteCode, held);
  if (!offered) return 'no root that is trusted stands behind it';
  const rootsNewer = held.roots.indexOf(shown.root) - held.roots.indexOf(offered.root);
  if (rootsNewer > 0 || (rootsNewer === 0 && isLater(offered, shown))) return undefined;
  return 'it is no later than the one that it would follow';
}

/** Ends later; or, where the root's end is the end of both, has begun later. */
function isLater({ certificate }: KnownAuthority, before: KnownAuthority): boolean {
  const [life, lifeBefore] = [lifeOf(certificate), lifeOf(before.certificate)];
  if (life.notAfterMs !== lifeBefore.notAfterMs) return life.notAfterMs > lifeBefore.notAfterMs;
  return life.notBeforeMs > lifeBefore.notBeforeMs;
}

/** Those that count now first, and of these the newest. */
export function byUse(nowMs: number): (a: KnownAuthority, b: KnownAuthority) => number {
  const rankOf = (one: KnownAuthority) => (isRefused(one, nowMs) ? 1 : 0);
  const beginOf = ({ certificate }: KnownAuthority) => Date.parse(certificate.validFrom);
  return (a, b) => rankOf(a) - rankOf(b) || beginOf(b) - beginOf(a);
}

function isRefused({ certificate }: KnownAuthority, nowMs: number): boolean {
  return refusalOfTime(certificate, nowMs) !== undefined;
}

export function isSameKey(one: X509Certificate, other: X509Certificate): boolean {
  return publicKeyInfoIn(one).equals(publicKeyInfoIn(other));
}

/** SPKI, DER. */
export function publicKeyInfoIn({ publicKey }: X509Certificate): Buffer {
  return publicKey.export({ type: 'spki', format: 'der' });
}

/** Nothing outlives what signed it. */
function isWithinLife(certificate: X509Certificate, root: X509Certificate): boolean {
  return lifeOf(certificate).notAfterMs <= lifeOf(root).notAfterMs;
}

function isSignedBy(certificate: X509Certificate, root: X509Certificate): boolean {
  return certificate.checkIssued(root) && certificate.verify(root.publicKey);
}

function parsed(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

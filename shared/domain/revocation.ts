import type { Voucher } from './certificate-authority.ts';
import { fromIdentityUri, holderOf, type PeerIdentity } from './peer-identity.ts';
import type { SiteTree } from './site-tree.ts';

/** When certificates of a holder were made nobody's, and at which site that was said. */
export interface RevokedAt {
  readonly siteCode: string;
  /** Such as `dp/PS1DP1`, see `holderOf`. */
  readonly holder: string;
  /** Every certificate of the holder that begins at or before this moment. */
  readonly revokedAtMs: number;
}

/**
 * That certificates of a holder are nobody's any more: the row of the replicated table "revocations". A
 * site writes its own only; a later moment is never replaced by an earlier one.
 */
export interface Revocation extends RevokedAt {
  readonly reason: string;
  /** The identity URI of who said so. */
  readonly revokedBy: string;
}

/** Longest reason, in characters. */
export const revocationReasonCharsMax = 500;

/** Whether a certificate that begins then is revoked. */
export function isRevoked(
  notBeforeMs: number,
  revocation: Pick<Revocation, 'revokedAtMs'> | undefined,
): boolean {
  return revocation !== undefined && notBeforeMs <= revocation.revokedAtMs;
}

/** From when on a new certificate of a holder is valid: a little ago, but not before he was revoked. */
export function beginningOf(
  nowMs: number,
  skewMs: number,
  revocation: Pick<Revocation, 'revokedAtMs'> | undefined,
): number {
  // X.509 counts in seconds: the first whole one after it.
  const afterRevocation = revocation ? (Math.floor(revocation.revokedAtMs / 1000) + 1) * 1000 : 0;
  return Math.max(nowMs - skewMs, afterRevocation);
}

/** The text itself when it is a holder: `site/PS1`, `dp/PS1DP1`, `admin/bob` or `client/pc1`. */
export function parseHolder(text: string): string | undefined {
  // Whatever the role of an administrator: he is revoked in all of them.
  const uri = `waybill://${text.replace(/^admin\/(?=[^/]*$)/, 'admin/full/')}`;
  const identity = fromIdentityUri(uri);
  return identity && holderOf(identity) === text ? text : undefined;
}

/** What a holder is. */
export function holderKindOf(holder: string): PeerIdentity['kind'] {
  return holder.slice(0, holder.indexOf('/')) as PeerIdentity['kind'];
}

/** Who is above whom. */
export type SitePlaces = Pick<SiteTree, 'wayUp' | 'get'>;

/**
 * Whether what was revoked at one site counts at another, or at its DPs, for certificates of a voucher. A site has its say
 * about whom it or a site below it vouches for, everywhere; and about everybody, at itself and below. So a
 * site in the wrong hands puts nobody out where it has no say. Of what the root itself issued, as
 * development certificates are, every site has its say.
 */
export function isRevocationHeard(
  saidAt: string,
  { voucher, at }: { readonly voucher: Voucher; readonly at: string },
  places: SitePlaces,
): boolean {
  if (voucher === 'root' || places.wayUp(at).includes(saidAt)) return true;
  const isKnown = places.get(voucher.siteCode) !== undefined;
  return !isKnown || places.wayUp(voucher.siteCode).includes(saidAt);
}

/**
 * Where a revocation counts: everywhere; only at the site where it was said and the sites below it; or that is not
 * known there: everywhere if that site or one below it vouches for the holder.
 */
export type RevocationReach = 'everywhere' | 'below' | 'unknown';

/**
 * Where it counts what was revoked at a site.
 *
 * @param voucher undefined: not known
 */
export function reachOfRevocation(
  saidAt: string,
  voucher: Voucher | undefined,
  places: Pick<SiteTree, 'wayUp' | 'get' | 'list'>,
): RevocationReach {
  const everySite = [...places.list()].map(({ siteCode }) => siteCode);
  if (everySite.every((siteCode) => places.wayUp(siteCode).includes(saidAt))) return 'everywhere';
  if (voucher === undefined) return 'unknown';
  const isHeard = (at: string) => isRevocationHeard(saidAt, { voucher, at }, places);
  return everySite.every(isHeard) ? 'everywhere' : 'below';
}

/** Revocations in memory, by holder and by site: of a site there may be many, and of many sites few each. */
export class RevocationIndex<R extends RevokedAt> {
  readonly #byHolder = new Map<string, Map<string, R>>();
  readonly #bySite = new Map<string, Map<string, R>>();

  put(revocation: R): void {
    const { holder, siteCode } = revocation;
    const ofHolder = this.#byHolder.get(holder) ?? new Map<string, R>();
    this.#byHolder.set(holder, ofHolder.set(siteCode, revocation));
    const ofSite = this.#bySite.get(siteCode) ?? new Map<string, R>();
    this.#bySite.set(siteCode, ofSite.set(holder, revocation));
  }

  delete({ holder, siteCode }: Pick<RevokedAt, 'holder' | 'siteCode'>): void {
    const ofHolder = this.#byHolder.get(holder);
    if (ofHolder?.delete(siteCode) && ofHolder.size === 0) this.#byHolder.delete(holder);
    const ofSite = this.#bySite.get(siteCode);
    if (ofSite?.delete(holder) && ofSite.size === 0) this.#bySite.delete(siteCode);
  }

  get({ holder, siteCode }: Pick<RevokedAt, 'holder' | 'siteCode'>): R | undefined {
    return this.#byHolder.get(holder)?.get(siteCode);
  }

  /** How many holders a site has said it of. */
  countOf(siteCode: string): number {
    return this.#bySite.get(siteCode)?.size ?? 0;
  }

  /** The same of each site that has said it of any. */
  get counts(): ReadonlyMap<string, number> {
    return new Map([...this.#bySite].map(([siteCode, ofSite]) => [siteCode, ofSite.size]));
  }

  /** All that a site has said. */
  ofSite(siteCode: string): R[] {
    return [...(this.#bySite.get(siteCode)?.values() ?? [])];
  }

  /** What each site says of a holder. */
  of(holder: string): readonly R[] {
    return [...(this.#byHolder.get(holder)?.values() ?? [])];
  }

  /** The latest that any site says of a holder. */
  latestOf(holder: string): R | undefined {
    return latest(this.of(holder));
  }

  /** All, by holder and site. */
  list(): R[] {
    const all = [...this.#byHolder.values()].flatMap((ofHolder) => [...ofHolder.values()]);
    return all.sort((a, b) => compare(a.holder, b.holder) || compare(a.siteCode, b.siteCode));
  }
}

/** The one that was said last; undefined of none. */
export function latest<R extends RevokedAt>(revocations: readonly R[]): R | undefined {
  return revocations.reduce<R | undefined>(
    (last, one) => (last && last.revokedAtMs >= one.revokedAtMs ? last : one),
    undefined,
  );
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

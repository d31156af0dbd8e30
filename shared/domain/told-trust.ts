import type { RevokedAt } from './revocation.ts';
import type { SiteDefinition } from './site.ts';
import { treeOfPlaces } from './site-tree.ts';

/** What a site tells its DPs of whom to trust. */
export interface ToldTrust {
  /** The sites of the hierarchy, and who is above whom. */
  readonly sites: readonly Pick<SiteDefinition, 'siteCode' | 'parentSiteCode'>[];
  readonly revocations: readonly RevokedAt[];
  /** The roots, as the top site has signed them; absent where certificates are for development. */
  readonly bundle?: ToldBundle;
}

/** A trust bundle as it travels. */
export interface ToldBundle {
  readonly generation: number;
  readonly base64: string;
}

/** Revocations a DP keeps; which of more, says `keptRevocations`. */
export const toldRevocationCountMax = 50_000;

/** Longest trust bundle, in bytes: some roots. */
export const trustBundleBytesMax = 64 * 1024;

/**
 * What a DP keeps once its site has told it something: the newest of what both know, for a site whose store was
 * lost or is an older copy takes no revocation back.
 *
 * @param told its bundle is one that counts: by its number alone nobody knows which is newer
 * @param own.siteCode the site that the DP is of
 * @param own.forgetBeforeMs what was revoked longer ago is dropped: no certificate lives so long
 */
export function withTold(
  before: ToldTrust | undefined,
  told: ToldTrust,
  own: { readonly siteCode: string; readonly forgetBeforeMs: number },
): ToldTrust {
  const newest = new Map<string, RevokedAt>();
  for (const one of [...(before?.revocations ?? []), ...told.revocations]) {
    const key = `${one.siteCode}/${one.holder}`;
    const known = newest.get(key);
    if (!known || known.revokedAtMs < one.revokedAtMs) newest.set(key, one);
  }
  const known = [...newest.values()].filter(({ revokedAtMs }) => revokedAtMs >= own.forgetBeforeMs);
  const sitesAbove = treeOfPlaces(told.sites).wayUp(own.siteCode);
  const revocations = keptRevocations(known, sitesAbove);
  const bundle = told.bundle ?? before?.bundle;
  return { sites: told.sites, revocations, ...(bundle && { bundle }) };
}

/**
 * What is kept of revocations, those that were said last first. Of too many, those that the site itself and the
 * sites above it have said go before all others, for they count there for everybody; and among each, the site that
 * has said most loses its oldest. So no site, whatever it says, makes anybody forget what others have said.
 *
 * @param sitesAbove the DP's site and those above it
 */
export function keptRevocations<R extends RevokedAt>(
  all: readonly R[],
  sitesAbove: readonly string[],
): R[] {
  const sorted = [...all].sort((a, b) => b.revokedAtMs - a.revokedAtMs);
  if (sorted.length <= toldRevocationCountMax) return sorted;
  const above = new Set(sitesAbove);
  const near = fairShares(
    sorted.filter(({ siteCode }) => above.has(siteCode)),
    toldRevocationCountMax,
  );
  const far = fairShares(
    sorted.filter(({ siteCode }) => !above.has(siteCode)),
    toldRevocationCountMax - near.length,
  );
  return [...near, ...far].sort((a, b) => b.revokedAtMs - a.revokedAtMs);
}

/** The first ones of each site, as many as may be: none has more than another that lost some. */
function fairShares<R extends RevokedAt>(sorted: readonly R[], countMax: number): R[] {
  const bySite = new Map<string, R[]>();
  for (const one of sorted) {
    const ofSite = bySite.get(one.siteCode) ?? [];
    bySite.set(one.siteCode, ofSite);
    ofSite.push(one);
  }
  const fewestFirst = [...bySite.values()].sort((a, b) => a.length - b.length);
  let room = countMax;
  return fewestFirst.flatMap((ofSite, index) => {
    const share = ofSite.slice(0, Math.floor(room / (fewestFirst.length - index)));
    room -= share.length;
    return share;
  });
}

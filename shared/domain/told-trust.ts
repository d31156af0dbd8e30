import type { RevokedAt } from './revocation.ts';
import type { SiteDefinition } from './site.ts';
import { type SiteTree, treeOfPlaces } from './site-tree.ts';

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
  const revocations = keptRevocations(known, own.siteCode, treeOfPlaces(told.sites));
  const bundle = told.bundle ?? before?.bundle;
  return { sites: told.sites, revocations, ...(bundle && { bundle }) };
}

/**
 * What is kept of revocations, those that were said last first. Of too many, those that the site itself and the
 * sites above it have said go before all others, for they count there for everybody. Of these, the site that has said
 * most loses its oldest; of all others the branch that has, and in it the site: a site in the wrong hands makes as
 * many sites below itself as it likes. So none, whatever it says, makes anybody forget what other branches have said.
 *
 * @param siteCode the site whose DPs keep them
 */
export function keptRevocations<R extends RevokedAt>(
  all: readonly R[],
  siteCode: string,
  places: Pick<SiteTree, 'wayUp' | 'branchOf'>,
): R[] {
  const sorted = [...all].sort((a, b) => b.revokedAtMs - a.revokedAtMs);
  if (sorted.length <= toldRevocationCountMax) return sorted;
  const above = new Set(places.wayUp(siteCode));
  const isNear = (one: RevokedAt) => above.has(one.siteCode);
  const ofSite = (one: RevokedAt) => one.siteCode;
  // Sites of which nobody knows where they stand are one branch.
  const codes = new Set(sorted.map(ofSite));
  const branches = new Map([...codes].map((code) => [code, places.branchOf(code) ?? '']));
  const ofBranch = (one: RevokedAt) => branches.get(one.siteCode) ?? '';
  const near = fairShares(sorted.filter(isNear), toldRevocationCountMax, [ofSite]);
  const far = fairShares(
    sorted.filter((one) => !isNear(one)),
    toldRevocationCountMax - near.length,
    [ofBranch, ofSite],
  );
  return [...near, ...far].sort((a, b) => b.revokedAtMs - a.revokedAtMs);
}

/**
 * The first ones of each group, as many as may be: none has more than another that lost some.
 *
 * @param groupings by what they are grouped, and each group again
 */
function fairShares<R extends RevokedAt>(
  sorted: readonly R[],
  countMax: number,
  groupings: readonly ((one: R) => string)[],
): R[] {
  const [groupOf, ...within] = groupings;
  if (!groupOf) return sorted.slice(0, countMax);
  const groups = new Map<string, R[]>();
  for (const one of sorted) {
    const name = groupOf(one);
    const group = groups.get(name) ?? [];
    groups.set(name, group);
    group.push(one);
  }
  const fewestFirst = [...groups.values()].sort((a, b) => a.length - b.length);
  let room = countMax;
  return fewestFirst.flatMap((group, index) => {
    const share = fairShares(group, Math.floor(room / (fewestFirst.length - index)), within);
    room -= share.length;
    return share;
  });
}

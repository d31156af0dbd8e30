import { fairAmounts } from '../../shared/domain/fair-amounts.ts';
import type { SiteTree } from '../../shared/domain/site-tree.ts';

/** Where the sites stand, seen from this one. */
export interface SharingPlaces {
  /** This site. */
  readonly siteCode: string;
  readonly tree: Pick<SiteTree, 'wayUp' | 'branchOf'>;
  /** Whether a site has shown a certificate of the hierarchy: others may be made up by the one above them. */
  readonly isProven: (siteCode: string) => boolean;
}

export interface RevocationSharesConfig {
  /** Revocations heard of a branch: a site below the top with all below it, but for this one and those above it. @default 60_000 */
  readonly branchCountMax: number;
  /** The same of all branches. @default 200_000 */
  readonly branchesCountMax: number;
}

/** Of what no branch is known. No site has this code. */
export const unknownBranch = '';
/** Sites of a branch that have shown no certificate are one: whoever makes them up gains nothing. */
export const unprovenParty = '';

/**
 * How many revocations of each site are heard, of those that are here: all of this one and the sites above it; of the
 * others each branch has a fair share, and in it each site. So a site that says few is heard whole, however much
 * others of its branch say; and in whatever order it came.
 *
 * @param counts what is here of each site
 */
export function revocationShares(
  counts: ReadonlyMap<string, number>,
  places: SharingPlaces,
  config: RevocationSharesConfig,
): Map<string, number> {
  const { siteCode: own, tree, isProven } = places;
  const above = new Set(tree.wayUp(own));
  const branches = grouped(
    [...counts].filter(([siteCode]) => !above.has(siteCode)),
    (siteCode) => tree.branchOf(siteCode) ?? unknownBranch,
  );
  const wants = [...branches].map(([name, sites]) => {
    return [name, Math.min(sumOf(sites), config.branchCountMax)] as const;
  });
  const shares = new Map([...counts].filter(([siteCode]) => above.has(siteCode)));
  for (const [name, amount] of fairAmounts(new Map(wants), config.branchesCountMax)) {
    const partyOf = (siteCode: string) => (isProven(siteCode) ? siteCode : unprovenParty);
    const parties = grouped([...(branches.get(name) ?? [])], partyOf);
    const ofParties = new Map([...parties].map(([party, sites]) => [party, sumOf(sites)]));
    for (const [party, part] of fairAmounts(ofParties, amount)) {
      const ofSites = fairAmounts(parties.get(party) ?? new Map(), part);
      for (const [siteCode, share] of ofSites) shares.set(siteCode, share);
    }
  }
  return shares;
}

function grouped(
  counts: readonly (readonly [siteCode: string, count: number])[],
  groupOf: (siteCode: string) => string,
): Map<string, Map<string, number>> {
  const groups = new Map<string, Map<string, number>>();
  for (const [siteCode, count] of counts) {
    const name = groupOf(siteCode);
    const group = groups.get(name) ?? new Map<string, number>();
    groups.set(name, group.set(siteCode, count));
  }
  return groups;
}

function sumOf(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

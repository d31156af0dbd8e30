import type { PeerIdentity } from './peer-identity.ts';

/** Who can be a source: another DP, or the site server itself. */
export type SourceIdentity = Extract<PeerIdentity, { kind: 'dp' } | { kind: 'site' }>;

/** Where a pull DP may fetch a package from. */
export interface PullSource {
  readonly identity: SourceIdentity;
  /** host:port of its agent. */
  readonly address: string;
  /** Lowest first; equal ranks serve together (PULL-1). */
  readonly rank: number;
}

/** Whom a source is, for people: "distribution point PS1DP1". */
export function sourceInWords(identity: SourceIdentity): string {
  return identity.kind === 'site'
    ? `site ${identity.siteCode}`
    : `distribution point ${identity.dpId}`;
}

/** Most sources one notification names. */
export const pullSourceCountMax = 64;
/** Highest rank an administrator may give; what `allowFallback` brings in stands behind it. */
export const sourceRankMax = 1_000;
/** Rank of other DPs of the site, and of the site server, where fallback is allowed. */
export const fallbackRanks = { distributionPoint: 10_000, site: 20_000 } as const;

/** What an administrator says of how a pull DP gets its content (PULL-1, PULL-10). */
export interface PullSettings {
  readonly sources: readonly ConfiguredSource[];
  readonly allowFallback: boolean;
  /** Packages the DP fetches at once. */
  readonly packagesMax: number;
}

/** A source DP as it is configured. */
export interface ConfiguredSource {
  readonly dpId: string;
  readonly rank: number;
}

export const pullPackagesMaxDefault = 5;
/** Most source DPs an administrator may name for one pull DP. */
export const configuredSourceCountMax = 32;

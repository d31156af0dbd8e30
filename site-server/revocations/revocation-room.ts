import type { RevokedAt } from '../../shared/domain/revocation.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import { unknownBranch, unprovenParty } from './revocation-shares.ts';

/** What is asked for the room of revocations. */
export interface RevocationRoomNeeds {
  /** This site. */
  readonly siteCode: string;
  readonly sites: Pick<SiteDirectory, 'tree' | 'identityOf'>;
  /** Those that are here, heard or not. */
  readonly kept: {
    /** How many of each site. */
    readonly counts: ReadonlyMap<string, number>;
    /** Undefined: it is not here. */
    revokedAtMsOf(one: Pick<RevokedAt, 'siteCode' | 'holder'>): number | undefined;
  };
}

export interface RevocationRoomConfig {
  /** Revocations kept of another site: what it deletes, it revokes beyond what it may say. @default 40_000 */
  readonly otherCountMax: number;
  /** The same of a branch, heard or not: a site below the top with all below it; beyond it each site may still have an equal part. @default 120_000 */
  readonly branchKeptMax: number;
  /** The same of all branches; beyond it each may still have an equal part. @default 400_000 */
  readonly branchesKeptMax: number;
}

/**
 * How many more revocations of other sites are kept, heard or not: a site in the wrong hands fills no disk, nor takes
 * it room from others. The sites above this one have their own room, for what they say counts here for everybody. Sites
 * of which it is not known where they stand are one branch: only the parent brings those. No branch, and no site in
 * one, takes from another the equal part that is its own, which is more than is heard of it where all say much; in a branch
 * all sites that have shown no certificate have one together, for they may be made up. Made for the rows of one message,
 * which it counts; what is here already may be said again.
 */
export class RevocationRoom {
  readonly #needs: RevocationRoomNeeds;
  readonly #config: RevocationRoomConfig;
  readonly #above: ReadonlySet<string>;
  readonly #bySite = new Map<string, number>();
  readonly #byBranch = new Map<string, number>();
  /** By branch and party: a site that has shown a certificate, or all others of the branch. */
  readonly #byParty = new Map<string, number>();
  /** How many parties each branch has. */
  readonly #partyCounts: ReadonlyMap<string, number>;
  #branchesCount = 0;

  constructor(needs: RevocationRoomNeeds, config: RevocationRoomConfig) {
    this.#needs = needs;
    this.#config = config;
    this.#above = new Set(needs.sites.tree.wayUp(needs.siteCode));
    this.#partyCounts = this.#countParties();
    for (const [siteCode, count] of needs.kept.counts) this.#add(siteCode, count);
  }

  /** Takes room for one. @returns why there is none, as a sentence without its end; undefined when it was taken */
  take({ siteCode, holder }: Pick<RevokedAt, 'siteCode' | 'holder'>): string | undefined {
    const { siteCode: own, kept } = this.#needs;
    if (siteCode === own || kept.revokedAtMsOf({ siteCode, holder }) !== undefined)
      return undefined;
    const problem = this.#problemOfSite(siteCode) ?? this.#problemOfBranch(siteCode);
    if (problem === undefined) this.#add(siteCode, 1);
    return problem;
  }

  #problemOfSite(siteCode: string): string | undefined {
    const { otherCountMax } = this.#config;
    const count = this.#bySite.get(siteCode) ?? 0;
    return count < otherCountMax ? undefined : `of a site ${otherCountMax} revocations are kept`;
  }

  #problemOfBranch(siteCode: string): string | undefined {
    if (this.#above.has(siteCode)) return undefined;
    const { branchKeptMax, branchesKeptMax } = this.#config;
    const branch = this.#branchOf(siteCode);
    const branchPart = Math.floor(branchesKeptMax / Math.max(1, this.#partyCounts.size));
    const partyCount = this.#partyCounts.get(branch) ?? 1;
    const part = Math.floor(Math.min(branchKeptMax, branchPart) / partyCount);
    if ((this.#byParty.get(this.#partyOf(siteCode)) ?? 0) < part) return undefined;
    const count = this.#byBranch.get(branch) ?? 0;
    if (count >= branchKeptMax) {
      return `of a site with those below it ${branchKeptMax} revocations are kept`;
    }
    const isFull = this.#branchesCount >= branchesKeptMax && count >= branchPart;
    return isFull ? `of all sites ${branchesKeptMax} revocations are kept` : undefined;
  }

  #add(siteCode: string, count: number): void {
    add(this.#bySite, siteCode, count);
    if (this.#above.has(siteCode)) return;
    add(this.#byParty, this.#partyOf(siteCode), count);
    add(this.#byBranch, this.#branchOf(siteCode), count);
    this.#branchesCount += count;
  }

  /** Of each branch, also that of which nothing is known, besides its sites the others together. */
  #countParties(): Map<string, number> {
    const counts = new Map([[unknownBranch, 1]]);
    for (const { siteCode } of this.#needs.sites.tree.list()) {
      if (this.#above.has(siteCode)) continue;
      const branch = this.#branchOf(siteCode);
      if (!counts.has(branch)) counts.set(branch, 1);
      if (this.#isProven(siteCode)) add(counts, branch, 1);
    }
    return counts;
  }

  #partyOf(siteCode: string): string {
    return `${this.#branchOf(siteCode)}/${this.#isProven(siteCode) ? siteCode : unprovenParty}`;
  }

  #isProven(siteCode: string): boolean {
    return this.#needs.sites.identityOf(siteCode) !== undefined;
  }

  #branchOf(siteCode: string): string {
    return this.#needs.sites.tree.branchOf(siteCode) ?? unknownBranch;
  }
}

function add(counts: Map<string, number>, name: string, count: number): void {
  counts.set(name, (counts.get(name) ?? 0) + count);
}

import type { Revocation, RevocationIndex } from '../../shared/domain/revocation.ts';
import { siteCountMax } from '../../shared/domain/site-tree.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';

/** What is asked for the room of revocations. */
export interface RevocationRoomNeeds {
  /** This site. */
  readonly siteCode: string;
  readonly sites: Pick<SiteDirectory, 'tree'>;
  /** Those that are here. */
  readonly index: Pick<RevocationIndex<Revocation>, 'get' | 'counts'>;
}

export interface RevocationRoomConfig {
  /** Revocations taken of another site: what it deletes, it revokes beyond what it may say. @default 40_000 */
  readonly otherCountMax: number;
  /** The same of a branch: a site below the top with all below it, but for this one and those above it. @default 60_000 */
  readonly branchCountMax: number;
  /** The same of all branches; beyond it each may still have an equal part of it. @default 200_000 */
  readonly branchesCountMax: number;
}

/** Of what no branch is known. No site has this code. */
const unknownBranch = '';

/**
 * How many more revocations of other sites are taken: a site in the wrong hands fills nobody's memory, nor takes it
 * room from other branches, however many sites it makes below itself. The sites above this one have their own
 * room, for what they say counts here for everybody. Sites of which it is not known where they stand are one branch:
 * only the parent brings those, and no other neighbour loses by them. Made for the rows of one message,
 * which it counts; what is here already may be said again.
 */
export class RevocationRoom {
  readonly #needs: RevocationRoomNeeds;
  readonly #config: RevocationRoomConfig;
  readonly #above: ReadonlySet<string>;
  readonly #bySite = new Map<string, number>();
  readonly #byBranch = new Map<string, number>();
  #branchesCount = 0;

  constructor(needs: RevocationRoomNeeds, config: RevocationRoomConfig) {
    this.#needs = needs;
    this.#config = config;
    this.#above = new Set(needs.sites.tree.wayUp(needs.siteCode));
    for (const [siteCode, count] of needs.index.counts) this.#add(siteCode, count);
  }

  /** Takes room for one. @returns why there is none, as a sentence without its end; undefined when it was taken */
  take({ siteCode, holder }: Pick<Revocation, 'siteCode' | 'holder'>): string | undefined {
    const { siteCode: own, index } = this.#needs;
    if (siteCode === own || index.get({ siteCode, holder })) return undefined;
    const problem = this.#problemOfSite(siteCode) ?? this.#problemOfBranch(siteCode);
    if (problem === undefined) this.#add(siteCode, 1);
    return problem;
  }

  #problemOfSite(siteCode: string): string | undefined {
    const { otherCountMax } = this.#config;
    const count = this.#bySite.get(siteCode) ?? 0;
    return count < otherCountMax ? undefined : `of a site ${otherCountMax} revocations are taken`;
  }

  #problemOfBranch(siteCode: string): string | undefined {
    if (this.#above.has(siteCode)) return undefined;
    const { branchCountMax, branchesCountMax } = this.#config;
    const count = this.#byBranch.get(this.#branchOf(siteCode)) ?? 0;
    if (count >= branchCountMax) {
      return `of a site with those below it ${branchCountMax} revocations are taken`;
    }
    const partCount = Math.floor(branchesCountMax / siteCountMax);
    const isFull = this.#branchesCount >= branchesCountMax && count >= partCount;
    return isFull ? `of all sites ${branchesCountMax} revocations are taken` : undefined;
  }

  #add(siteCode: string, count: number): void {
    this.#bySite.set(siteCode, (this.#bySite.get(siteCode) ?? 0) + count);
    if (this.#above.has(siteCode)) return;
    const branch = this.#branchOf(siteCode);
    this.#byBranch.set(branch, (this.#byBranch.get(branch) ?? 0) + count);
    this.#branchesCount += count;
  }

  #branchOf(siteCode: string): string {
    return this.#needs.sites.tree.branchOf(siteCode) ?? unknownBranch;
  }
}

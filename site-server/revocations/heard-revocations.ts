import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  type Revocation,
  RevocationIndex,
  type RevokedAt,
} from '../../shared/domain/revocation.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import { type RevocationSharesConfig, revocationShares } from './revocation-shares.ts';

/** What hearing revocations needs. */
export interface HeardRevocationsNeeds {
  readonly store: Pick<StateStore, 'records'>;
  /** This site. */
  readonly siteCode: string;
  readonly sites: Pick<SiteDirectory, 'tree' | 'identityOf'>;
}

/** What another `fit` changed. */
export interface Fitted {
  /** Whether others are heard than before. */
  readonly isOther: boolean;
  /** Of whom something is heard that was passed over: nobody writes that row again. */
  readonly heardAgain: ReadonlySet<string>;
}

/** Rows that are read at once. */
const readCount = 1_000;

/**
 * Which of the rows of "revocations" are heard, in memory: of a site with more than its share the newest. The others
 * are passed over: they stay in the table, so that neighbours get them, here only their time is remembered, and they
 * are heard as soon as the share of their site is large enough. What is new is heard at once, until `fit` is called.
 */
export class HeardRevocations {
  /** Those that are heard. */
  readonly index = new RevocationIndex<Revocation>();
  readonly #needs: HeardRevocationsNeeds;
  readonly #config: RevocationSharesConfig;
  /** When it was said, by site and holder. */
  readonly #passedOver = new Map<string, Map<string, number>>();
  /** Sites of which something is others since the last `fit`. */
  readonly #touched = new Set<string>();
  /** Rows that were put since the last `fit`. */
  #putCount = 0;

  constructor(needs: HeardRevocationsNeeds, config: RevocationSharesConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  put(row: Revocation): void {
    this.#hear(row);
    this.#touched.add(row.siteCode);
    this.#putCount += 1;
  }

  /** Whether so many are new that another `fit` is worth its time, for the sake of memory. */
  get isFitDue(): boolean {
    return this.#putCount >= this.#config.branchCountMax;
  }

  delete(one: Pick<RevokedAt, 'siteCode' | 'holder'>): void {
    this.index.delete(one);
    this.#forgetPassedOver(one);
    this.#touched.add(one.siteCode);
  }

  /** When it was said, heard or not; undefined: it is not here. */
  revokedAtMsOf(one: Pick<RevokedAt, 'siteCode' | 'holder'>): number | undefined {
    const heard = this.index.get(one)?.revokedAtMs;
    return heard ?? this.#passedOver.get(one.siteCode)?.get(one.holder);
  }

  /** How many are here of each site of which there are any, heard or not. */
  get counts(): ReadonlyMap<string, number> {
    const counts = new Map(this.index.counts);
    for (const [siteCode, ofSite] of this.#passedOver) {
      counts.set(siteCode, (counts.get(siteCode) ?? 0) + ofSite.size);
    }
    return counts;
  }

  /** How many are passed over, of each site of which any are. */
  get passedOverCounts(): ReadonlyMap<string, number> {
    return new Map([...this.#passedOver].map(([siteCode, ofSite]) => [siteCode, ofSite.size]));
  }

  /** Gives each site its share; after each that gets another one, others have their turn. One call at a time. */
  async fit(): Promise<Fitted> {
    const { siteCode: own, sites } = this.#needs;
    this.#putCount = 0;
    const isProven = (siteCode: string) => sites.identityOf(siteCode) !== undefined;
    const places = { siteCode: own, tree: sites.tree, isProven };
    const heardAgain = new Set<string>();
    let isOther = false;
    for (const [siteCode, share] of revocationShares(this.counts, places, this.#config)) {
      const isTouched = this.#touched.delete(siteCode);
      const heardCount = this.index.countOf(siteCode);
      const isWhole = heardCount <= share && !this.#passedOver.has(siteCode);
      if (isWhole || (heardCount === share && !isTouched)) continue;
      if (await this.#fitSite(siteCode, { share, heardAgain })) isOther = true;
      await nextTurn();
    }
    return { isOther, heardAgain };
  }

  async #fitSite(
    siteCode: string,
    { share, heardAgain }: { readonly share: number; readonly heardAgain: Set<string> },
  ): Promise<boolean> {
    const passedOver = [...(this.#passedOver.get(siteCode) ?? [])].map(([holder, revokedAtMs]) => {
      return { siteCode, holder, revokedAtMs };
    });
    const all: RevokedAt[] = [...this.index.ofSite(siteCode), ...passedOver].sort(newestFirst);
    const isHeard = (one: RevokedAt) => this.index.get(one) !== undefined;
    const surplus = all.slice(share).filter(isHeard);
    const missing = all.slice(0, share).filter((one) => !isHeard(one));
    for (const one of surplus) this.#passOver(one);
    for (let at = 0; at < missing.length; at += readCount) {
      await this.#hearAgain(missing.slice(at, at + readCount));
    }
    for (const { holder } of missing) heardAgain.add(holder);
    return surplus.length + missing.length > 0;
  }

  async #hearAgain(missing: readonly RevokedAt[]): Promise<void> {
    const keys = missing.map(({ siteCode, holder }) => `${siteCode}/${holder}`);
    const rows = await this.#needs.store.records(keySpaces.revocations).getMany(keys);
    for (const [index, one] of missing.entries()) {
      const row = rows[index];
      // What was written meanwhile is heard already, or gone.
      if (!this.#passedOver.get(one.siteCode)?.has(one.holder)) continue;
      if (row) this.#hear(row);
      else this.#forgetPassedOver(one);
    }
  }

  #hear(row: Revocation): void {
    this.#forgetPassedOver(row);
    this.index.put(row);
  }

  #passOver({ siteCode, holder, revokedAtMs }: RevokedAt): void {
    this.index.delete({ siteCode, holder });
    const ofSite = this.#passedOver.get(siteCode) ?? new Map<string, number>();
    this.#passedOver.set(siteCode, ofSite.set(holder, revokedAtMs));
  }

  #forgetPassedOver({ siteCode, holder }: Pick<RevokedAt, 'siteCode' | 'holder'>): void {
    const ofSite = this.#passedOver.get(siteCode);
    if (ofSite?.delete(holder) && ofSite.size === 0) this.#passedOver.delete(siteCode);
  }
}

/** Of the same moment by their names: each start chooses the same. */
function newestFirst(a: RevokedAt, b: RevokedAt): number {
  return b.revokedAtMs - a.revokedAtMs || (a.holder < b.holder ? -1 : 1);
}

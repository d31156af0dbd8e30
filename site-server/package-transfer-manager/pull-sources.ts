import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import {
  type ConfiguredSource,
  fallbackRanks,
  type PullSource,
  pullSourceCountMax,
} from '../../shared/domain/pull-source.ts';
import type { ContentDpMap, ContentLocations } from '../hierarchy-manager/content-dp-map.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import { remembered } from './remembered.ts';

/** What finding sources needs. */
export interface PullSourcesNeeds {
  readonly hierarchy: Pick<HierarchyManager, 'get' | 'sourcesOf'>;
  readonly contentMap: Pick<ContentDpMap, 'locationsOf' | 'locationsAt'>;
  readonly siteCode: string;
  /** host:port by which DPs reach this site. */
  readonly siteAddress: () => string;
}

/** Where a pull DP can fetch a package from. */
export interface FoundSources {
  /** Lowest rank first. */
  readonly sources: readonly PullSource[];
  /** Whether there is a source for each content. */
  readonly isComplete: boolean;
}

/** Other DPs of the site that are named where fallback is allowed. */
const fallbackCountMax = 16;

/** A look for the sources of many DPs: what they share is read once, so all are told of one moment. */
export type SourceLook = Pick<PullSources, 'of'>;

/** Finds the sources of pull DPs: joins "pull DP map" and "content DP map" (PULL-2, first phase). */
export class PullSources {
  readonly #needs: PullSourcesNeeds;

  constructor(needs: PullSourcesNeeds) {
    this.#needs = needs;
  }

  /** To be used at once, and for a moment only. */
  look(): SourceLook {
    const { hierarchy, contentMap } = this.#needs;
    const locationsOf = remembered((contentId) => contentMap.locationsOf(contentId));
    return new PullSources({
      ...this.#needs,
      hierarchy: {
        get: remembered((dpId) => hierarchy.get(dpId)),
        sourcesOf: remembered((dpId) => hierarchy.sourcesOf(dpId)),
      },
      contentMap: {
        locationsOf,
        locationsAt: async (contentId, dpIds) => ofThese(await locationsOf(contentId), dpIds),
      },
    });
  }

  /** The sources of a pull DP for these contents: those that hold, or are just fetching, one at least. */
  async of(dp: DistributionPoint, contentIds: readonly string[]): Promise<FoundSources> {
    const configured = await this.#needs.hierarchy.sourcesOf(dp.dpId);
    const useful = new Set<string>();
    let isComplete = true;
    for (const contentId of contentIds) {
      const locations = await this.#locationsAt(contentId, configured);
      for (const dpId of locations.keys()) useful.add(dpId);
      isComplete &&= await this.#isServed(dp.dpId, contentId, locations);
    }
    const named = configured.filter(({ dpId }) => useful.has(dpId));
    const sources = await this.#toSources(named);
    if (!dp.pull?.allowFallback) return { sources, isComplete: isComplete && sources.length > 0 };
    const others = await this.#fallback(dp, contentIds, new Set(named.map(({ dpId }) => dpId)));
    return { sources: [...sources, ...others].slice(0, pullSourceCountMax), isComplete: true };
  }

  #locationsAt(contentId: string, sources: readonly ConfiguredSource[]): Promise<ContentLocations> {
    const dpIds = sources.map(({ dpId }) => dpId);
    return this.#needs.contentMap.locationsAt(contentId, dpIds);
  }

  /** Whether one holds it, or is fetching it from somewhere that is not, in the end, the DP itself. */
  async #isServed(dpId: string, contentId: string, locations: ContentLocations): Promise<boolean> {
    if ([...locations.values()].some(({ state }) => state === 'held')) return true;
    const passed = new Set([dpId]);
    for (const sourceId of locations.keys()) {
      if (await this.#isRooted(sourceId, contentId, passed)) return true;
    }
    return false;
  }

  /** Whether what arrives there comes from a DP that holds it, or may come from the site. */
  async #isRooted(dpId: string, contentId: string, passed: Set<string>): Promise<boolean> {
    if (passed.has(dpId)) return false;
    passed.add(dpId);
    const dp = await this.#needs.hierarchy.get(dpId);
    if (!dp) return false;
    if (dp.kind === 'standard' || dp.pull?.allowFallback) return true;
    const sources = await this.#needs.hierarchy.sourcesOf(dpId);
    const locations = await this.#locationsAt(contentId, sources);
    for (const [sourceId, { state }] of locations) {
      if (passed.has(sourceId)) continue;
      if (state === 'held' || (await this.#isRooted(sourceId, contentId, passed))) return true;
    }
    return false;
  }

  /** Other DPs, those that hold most first, and behind them the site itself. */
  async #fallback(
    dp: DistributionPoint,
    contentIds: readonly string[],
    known: ReadonlySet<string>,
  ): Promise<PullSource[]> {
    const held = new Map<string, number>();
    for (const contentId of contentIds) {
      for (const [dpId, { state }] of await this.#needs.contentMap.locationsOf(contentId)) {
        if (dpId === dp.dpId || known.has(dpId)) continue;
        held.set(dpId, (held.get(dpId) ?? 0) + (state === 'held' ? 1 : 0));
      }
    }
    const best = [...held].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
    const rank = fallbackRanks.distributionPoint;
    const named = best.slice(0, fallbackCountMax).map(([dpId]) => ({ dpId, rank }));
    return [...(await this.#toSources(named)), this.#site()];
  }

  async #toSources(sources: readonly ConfiguredSource[]): Promise<PullSource[]> {
    const found: PullSource[] = [];
    for (const { dpId, rank } of sources) {
      const point = await this.#needs.hierarchy.get(dpId);
      if (point) found.push({ identity: { kind: 'dp', dpId }, address: point.address, rank });
    }
    return found;
  }

  #site(): PullSource {
    const { siteCode } = this.#needs;
    const address = this.#needs.siteAddress();
    return { identity: { kind: 'site', siteCode }, address, rank: fallbackRanks.site };
  }
}

function ofThese(locations: ContentLocations, dpIds: readonly string[]): ContentLocations {
  const found = dpIds.flatMap((dpId) => {
    const location = locations.get(dpId);
    return location ? [[dpId, location] as const] : [];
  });
  return new Map(found);
}

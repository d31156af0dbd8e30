import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import { isLeaving } from '../../shared/domain/package-processing.ts';
import { fallbackRanks, type PullSource } from '../../shared/domain/pull-source.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { ContentDpMap } from '../hierarchy-manager/content-dp-map.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import {
  type ClientPlace,
  nearnessTo,
  type SourceNearness,
  sourceNearnesses,
} from './source-nearness.ts';

/** What locating needs. */
export interface ContentLocatorComponents {
  readonly packages: Pick<PackageStore, 'require'>;
  readonly library: Pick<ContentLibrary, 'getPackage'>;
  readonly contentMap: Pick<ContentDpMap, 'locationsOf'>;
  readonly hierarchy: Pick<HierarchyManager, 'known'>;
  readonly siteCode: string;
  /** host:port by which clients reach this site. */
  readonly siteAddress: () => string;
}

/** A source, and why it has its rank. */
export interface RankedSource {
  readonly source: PullSource;
  readonly nearness: SourceNearness | 'fallback';
}

/** A package and where it is. */
export interface LocatedPackage {
  readonly version: PackageVersion;
  /** Best one first; the site itself is the last. */
  readonly sources: readonly RankedSource[];
}

/** Sources one answer names. */
const sourceCountMax = 25;

/** Finds the DPs that hold the newest version of a package, nearest to a client first (CLIENT-1). */
export class ContentLocator {
  readonly #components: ContentLocatorComponents;

  constructor(components: ContentLocatorComponents) {
    this.#components = components;
  }

  /** @throws PACKAGE_UNKNOWN; PACKAGE_NOT_LOCATED when it is not published, or is being deleted */
  async locate(packageId: string, client: ClientPlace): Promise<LocatedPackage> {
    const sitePackage = await this.#components.packages.require(packageId);
    const version = await this.#components.library.getPackage(packageId);
    if (!version || isLeaving(sitePackage) || sitePackage.sourceVersion === 0) {
      throw new WaybillError({ code: 'PACKAGE_NOT_LOCATED', packageId });
    }
    const holders = await this.#components.hierarchy.known(await this.#holders(version));
    const nearnessOf = nearnessTo(client);
    const ranked = holders.map(({ dpId, address }): RankedSource => {
      const nearness = nearnessOf(address);
      const rank = sourceNearnesses.indexOf(nearness) + 1;
      return { source: { identity: { kind: 'dp', dpId }, address, rank }, nearness };
    });
    ranked.sort((a, b) => a.source.rank - b.source.rank);
    return { version, sources: [...ranked.slice(0, sourceCountMax - 1), this.#site()] };
  }

  /** DPs that hold every content of the version. */
  async #holders({ contents }: PackageVersion): Promise<string[]> {
    let holders: string[] | undefined;
    for (const { contentId } of contents) {
      const locations = await this.#components.contentMap.locationsOf(contentId);
      const holds = (dpId: string) => locations.get(dpId)?.state === 'held';
      holders = (holders ?? [...locations.keys()]).filter(holds);
    }
    return holders ?? [];
  }

  #site(): RankedSource {
    const { siteCode } = this.#components;
    const address = this.#components.siteAddress();
    const identity = { kind: 'site', siteCode } as const;
    return { source: { identity, address, rank: fallbackRanks.site }, nearness: 'fallback' };
  }
}

import { join } from 'node:path';
import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import type { Priority } from '../../shared/domain/package.ts';
import { baseVersionFor } from '../../shared/domain/site-content-work.ts';
import { estimatePackageFile } from '../../shared/package-file/package-file-maker.ts';
import type { VersionHistory } from '../../shared/package-file/version-history.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { forecastTransfer } from '../../shared/transfer-arbiter/transfer-forecast.ts';
import type { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import { type PreviewBasis, type PreviewedTransfer, sumsOf } from './preview-parts.ts';
import type { PreviewedVersion } from './previewed-version.ts';
import { type Hop, SiteWays, type SiteWaysNeeds } from './site-ways.ts';

/** What reckoning the ways to other sites needs. */
export interface PreviewedRoutesNeeds extends SiteWaysNeeds {
  readonly hierarchyPackages: Pick<HierarchyPackageRows, 'contents'>;
  readonly library: ContentLibrary;
  readonly versions: Pick<VersionHistory, 'find' | 'hasVersion'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly scratchDirectory: string;
}

/** What would be sent to other sites. */
export interface SitesToPreview {
  readonly previewed: PreviewedVersion;
  readonly siteCodes: Iterable<string>;
  readonly priority: Priority;
  readonly signal: AbortSignal;
}

/** How large a package file is, or would become. */
interface PackageFileSize {
  readonly bytes: number;
  readonly fileCount: number;
  readonly basis: PreviewBasis;
}

/** What package files would go from site to site, and how long that takes. */
export class PreviewedRoutes {
  readonly #needs: PreviewedRoutesNeeds;
  readonly #ways: SiteWays;
  readonly #sampleBytesMax: number;
  #estimateCount = 0;

  /** @param config.sampleBytesMax so much of a package file is compressed to see how large it becomes */
  constructor(needs: PreviewedRoutesNeeds, config: { readonly sampleBytesMax: number }) {
    this.#needs = needs;
    this.#ways = new SiteWays(needs);
    this.#sampleBytesMax = config.sampleBytesMax;
  }

  /** A part for each hop: a file that several sites get goes over it once. */
  async to(sites: SitesToPreview): Promise<PreviewedTransfer[]> {
    const files = new Map<number, PackageFileSize>();
    const hops = new Map<string, { hop: Hop; bases: Set<number> }>();
    for (const siteCode of sites.siteCodes) {
      const baseVersion = await this.#baseFor(sites, siteCode);
      if (baseVersion === undefined) continue;
      if (!files.has(baseVersion)) files.set(baseVersion, await this.#fileOf(sites, baseVersion));
      for (const hop of await this.#ways.hopsTo(siteCode)) {
        const key = joinKey(hop.fromSiteCode, hop.toSiteCode);
        const known = hops.get(key) ?? { hop, bases: new Set() };
        hops.set(key, known);
        known.bases.add(baseVersion);
      }
    }
    const transfers: PreviewedTransfer[] = [];
    for (const { hop, bases } of hops.values()) {
      const over = [...bases].flatMap((base) => files.get(base) ?? []);
      transfers.push(await this.#hopOf(sites, hop, over));
    }
    return transfers;
  }

  /** What the package file for a site would build on; undefined when the site has the version. */
  async #baseFor({ previewed }: SitesToPreview, siteCode: string): Promise<number | undefined> {
    const { hierarchyPackages, versions } = this.#needs;
    const { packageId, sourceVersion } = previewed.version;
    const content = await hierarchyPackages.contents.get(joinKey(packageId, siteCode));
    const stored = content?.storedVersion ?? 0;
    if (stored >= sourceVersion && content?.needsFull !== true) return undefined;
    const hasStored = stored > 0 && (await versions.hasVersion(packageId, stored));
    return baseVersionFor({ content, sourceVersion, hasVersion: () => hasStored });
  }

  /** One that is made already is as large as it is; else it is gone through. */
  async #fileOf(
    { previewed, signal }: SitesToPreview,
    baseVersion: number,
  ): Promise<PackageFileSize> {
    const { store, scratchDirectory, library, versions: history } = this.#needs;
    const { version, contents } = previewed;
    const key = joinKey(version.packageId, version.sourceVersion, baseVersion);
    const made = await store.records(keySpaces.packageFiles).get(key);
    if (made) {
      const { fileCount } = sumsOf(version.contents);
      return { bytes: made.fileBytes, fileCount, basis: 'package-file' };
    }
    this.#estimateCount += 1;
    const path = join(scratchDirectory, `estimate-${this.#estimateCount}`);
    const sampleBytesMax = this.#sampleBytesMax;
    const estimate = await estimatePackageFile(
      { library, history },
      { version, contents, baseVersion, path, sampleBytesMax },
      { signal },
    );
    return { bytes: estimate.fileBytes, fileCount: estimate.fileCount, basis: 'sample' };
  }

  async #hopOf(
    { priority }: SitesToPreview,
    hop: Hop,
    over: readonly PackageFileSize[],
  ): Promise<PreviewedTransfer> {
    const { siteCode, clock } = this.#needs;
    const bytes = over.reduce((sum, one) => sum + one.bytes, 0);
    const fileCount = over.reduce((sum, one) => sum + one.fileCount, 0);
    const basis = over.every((one) => one.basis === 'package-file') ? 'package-file' : 'sample';
    const isOwn = hop.fromSiteCode === siteCode;
    const measuredBytesPerSecond = isOwn ? await this.#ways.measuredTo(hop.toSiteCode) : 0;
    const controls = await this.#ways.controlsOf(hop);
    const subject = { bytes, priority, controls, measuredBytesPerSecond };
    const forecast = forecastTransfer(subject, clock.nowMs());
    return { way: 'route', ...hop, bytes, fileCount, manifestBytes: 0, basis, note: '', forecast };
  }
}

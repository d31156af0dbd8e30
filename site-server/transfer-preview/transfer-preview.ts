/**
 * Says what distributing or updating a package would bring over which way, and how long that would take,
 * and does nothing of it. Called by the admin service. Writes nothing but, while the source of an update
 * is read, a directory of its own, which a crash leaves and the next start removes.
 */
import { mkdir, rm } from 'node:fs/promises';
import { WaybillError } from '../../shared/domain/errors.ts';
import { isForeign, newestVersionOf } from '../../shared/domain/package-processing.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { VersionHistory } from '../../shared/package-file/version-history.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import type { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import { forecastLink } from './link-forecast.ts';
import {
  type PreviewedPackage,
  type PreviewedTransfer,
  type PreviewPart,
  type PreviewTarget,
  type ReckonedBytes,
  sumsOf,
  totalOf,
} from './preview-parts.ts';
import {
  type PointsToPreview,
  type PreviewedPoint,
  type PreviewedPointsNeeds,
  previewedPoints,
} from './previewed-points.ts';
import { PreviewedRoutes, type PreviewedRoutesNeeds } from './previewed-routes.ts';
import { openStoredVersion, type PreviewedVersion } from './previewed-version.ts';
import { forecastSite } from './site-forecast.ts';
import { SiteWays } from './site-ways.ts';
import { readSource } from './source-reading.ts';

/** What previews need. */
export interface TransferPreviewNeeds
  extends PreviewedRoutesNeeds,
    Pick<PreviewedPointsNeeds, 'connections' | 'hierarchy'> {
  readonly packages: PackageStore;
  readonly hierarchyPackages: HierarchyPackageRows;
  readonly versions: Pick<VersionHistory, 'find' | 'filesOf' | 'hasVersion'>;
  /** Where the site keeps its own files. */
  readonly ownPlaces: readonly string[];
}

/** How previews are tuned. */
export interface TransferPreviewConfig {
  /** DPs a package is sent to at once. @default 5 */
  readonly distributionPointsPerPackageMax: number;
  /** How long a DP may take to look for a batch of files. @default 15_000 */
  readonly callDeadlineMs: number;
  /** DPs that are asked at once. @default 8 */
  readonly askedAtOnceMax: number;
  /** So much of a package file is compressed to see how large it becomes, in bytes. @default 64 MiB */
  readonly sampleBytesMax: number;
}

export const defaultTransferPreviewConfig: TransferPreviewConfig = {
  distributionPointsPerPackageMax: 5,
  callDeadlineMs: 15_000,
  askedAtOnceMax: 8,
  sampleBytesMax: 64 * 1024 * 1024,
};

/** What is to be distributed, in thought. */
export interface DistributionToPreview {
  readonly packageId: string;
  readonly targets: readonly PreviewTarget[];
  /** The version that would travel; 0: the newest. */
  readonly sourceVersion: number;
  /** By DP, what another site reckons: for a version that is not here. */
  readonly reckoned: ReadonlyMap<string, ReckonedBytes>;
}

export class TransferPreview implements Component {
  readonly #needs: TransferPreviewNeeds;
  readonly #config: TransferPreviewConfig;
  readonly #ways: SiteWays;
  readonly #routes: PreviewedRoutes;
  /** A source is read at a time: its disk has other things to do. */
  readonly #readings = new SerialQueue();

  constructor(needs: TransferPreviewNeeds, config = defaultTransferPreviewConfig) {
    this.#needs = needs;
    this.#config = config;
    this.#ways = new SiteWays(needs);
    this.#routes = new PreviewedRoutes(needs, config);
  }

  async start(): Promise<void> {
    const { scratchDirectory } = this.#needs;
    await rm(scratchDirectory, { recursive: true, force: true });
    await mkdir(scratchDirectory, { recursive: true });
  }

  async stop(): Promise<void> {}

  /**
   * What distributing a package would bring.
   *
   * @throws PACKAGE_UNKNOWN; PACKAGE_STATE_CONFLICT when nothing of it is published yet; AbortError
   */
  async *distribution(
    request: DistributionToPreview,
    signal: AbortSignal,
  ): AsyncGenerator<PreviewPart> {
    const { packages, library } = this.#needs;
    const { packageId, targets, reckoned } = request;
    const sitePackage = await packages.require(packageId);
    const sourceVersion = request.sourceVersion || newestVersionOf(sitePackage);
    if (sourceVersion === 0) throw nothingPublished(packageId);
    await using previewed = await openStoredVersion(library, packageId, sourceVersion);
    const version = await this.#packageOf(sitePackage, sourceVersion, previewed);
    yield { version };
    const { priority } = sitePackage.properties;
    const links = await this.#ways.links();
    const points = { targets, reckoned, priority, links, previewed, whole: version };
    yield* this.#transfers(sitePackage, { ...points, signal });
  }

  /**
   * What an update of a package of this site would bring, as its source is now.
   *
   * @throws PACKAGE_UNKNOWN, the SOURCE_ codes, DISK_FULL; AbortError
   * @throws PACKAGE_STATE_CONFLICT when another site publishes it
   */
  async *update(
    packageId: string,
    targets: readonly PreviewTarget[],
    signal: AbortSignal,
  ): AsyncGenerator<PreviewPart> {
    const sitePackage = await this.#needs.packages.require(packageId);
    if (isForeign(sitePackage)) throw publishedElsewhere(sitePackage);
    await using read = await this.#readings.run(() => readSource(this.#needs, sitePackage, signal));
    const { version: next, isUnchanged, news } = read;
    const version = {
      ...{ packageId, publishedVersion: sitePackage.sourceVersion, sourceUnchanged: isUnchanged },
      ...{ sourceVersion: isUnchanged ? sitePackage.sourceVersion : next.sourceVersion },
      ...{ ...sumsOf(next.contents), newFiles: news.fileCount, newBytes: news.bytes },
    };
    yield { version };
    if (isUnchanged) return;
    const { priority } = sitePackage.properties;
    const links = await this.#ways.links();
    const points = { targets, reckoned: new Map(), priority, links, previewed: read, signal };
    yield* this.#transfers(sitePackage, { ...points, whole: version });
  }

  async #packageOf(
    sitePackage: SitePackage,
    sourceVersion: number,
    previewed: PreviewedVersion | undefined,
  ): Promise<PreviewedPackage> {
    const { packageId } = sitePackage;
    const published = await this.#needs.hierarchyPackages.published.get(packageId);
    const row = isForeign(sitePackage) ? (published ?? sitePackage) : sitePackage;
    const ofRow = row.sources.flatMap(({ content }) => content ?? []);
    const sums = sumsOf(previewed?.version.contents ?? ofRow);
    const publishedVersion = newestVersionOf(sitePackage);
    const facts = { packageId, sourceVersion, publishedVersion, sourceUnchanged: false };
    return { ...facts, ...sums, newFiles: 0, newBytes: 0 };
  }

  /** Of the DPs as they are reckoned, then of the links, of this site as a whole, and of the routes. */
  async *#transfers(
    { packageId }: SitePackage,
    points: PointsToPreview,
  ): AsyncGenerator<PreviewPart> {
    const { askedAtOnceMax, callDeadlineMs: deadlineMs } = this.#config;
    const { siteCode, hierarchyPackages } = this.#needs;
    const own: PreviewedPoint[] = [];
    const needs = { ...this.#needs, deadlineMs };
    for await (const point of previewedPoints(needs, points, askedAtOnceMax)) {
      const { transfer } = point;
      yield { transfer };
      if (transfer.way === 'distribution-point' && transfer.siteCode === siteCode) own.push(point);
    }
    const { previewed } = points;
    const isSource = previewed && hierarchyPackages.isOwn(packageId);
    const siteCodes = this.#otherSites(points);
    const routes = isSource ? await this.#routes.to({ ...points, previewed, siteCodes }) : [];
    const links = this.#linksOf(points, own, routes);
    for (const transfer of links) yield { transfer };
    if (own.length > 0) yield { transfer: this.#siteOf(own, links) };
    for (const transfer of routes) yield { transfer };
  }

  #otherSites({ targets }: PointsToPreview): Set<string> {
    const { siteCode: own } = this.#needs;
    const others = targets.filter(({ siteCode, isOnItsWay }) => siteCode !== own && !isOnItsWay);
    return new Set(others.map(({ siteCode }) => siteCode));
  }

  #siteOf(own: readonly PreviewedPoint[], links: readonly PreviewedTransfer[]): PreviewedTransfer {
    const { siteCode, clock } = this.#needs;
    const { distributionPointsPerPackageMax: atOnceMax } = this.#config;
    const forecast = forecastSite(
      own.map(({ queued }) => queued),
      { atOnceMax, links: links.map((one) => one.forecast) },
      clock.nowMs(),
    );
    const sums = totalOf(own.map(({ transfer }) => transfer));
    return { way: 'site', siteCode, ...sums, basis: 'sum', note: '', forecast };
  }

  /** Each link over which something would go, and what goes over it together. */
  #linksOf(
    { links, priority }: PointsToPreview,
    own: readonly PreviewedPoint[],
    routes: readonly PreviewedTransfer[],
  ): PreviewedTransfer[] {
    const { siteCode, clock } = this.#needs;
    const all = [...own.map(({ transfer }) => transfer), ...routes];
    return links.flatMap(({ linkName, dpIds, toSiteCodes, controls }) => {
      const isOver = (one: PreviewedTransfer) => {
        if (one.way === 'distribution-point') return dpIds.includes(one.dpId);
        if (one.way !== 'route' || one.fromSiteCode !== siteCode) return false;
        return toSiteCodes.includes(one.toSiteCode);
      };
      const over = all.filter(isOver);
      const sums = totalOf(over);
      if (sums.bytes === 0) return [];
      const parts = over.map(({ bytes, manifestBytes, forecast }) => {
        return { bytes: bytes + manifestBytes, forecast };
      });
      const moving = parts.filter(({ bytes }) => bytes > 0);
      const forecast = forecastLink({ controls, priority }, moving, clock.nowMs());
      const facts = { way: 'link', linkName, siteCode, basis: 'sum', note: '' } as const;
      return [{ ...facts, ...sums, forecast }];
    });
  }
}

function nothingPublished(packageId: string): WaybillError {
  const expected = 'published; what its source would bring: waybill package update --preview';
  const facts = { packageId, state: 'not published yet', expected };
  return new WaybillError({ code: 'PACKAGE_STATE_CONFLICT', ...facts });
}

function publishedElsewhere({ packageId, sourceSiteCode }: SitePackage): WaybillError {
  const state = `published by site ${sourceSiteCode}`;
  const expected = 'of the site that is asked';
  return new WaybillError({ code: 'PACKAGE_STATE_CONFLICT', packageId, state, expected });
}

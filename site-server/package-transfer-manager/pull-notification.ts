/**
 * Hands a package to a pull DP in the four phases of PULL-2: is there a source, (has the DP room for
 * a job: decided with the queue), the package info bundle, the notification. Called by Package
 * Transfer Manager for each run of a pull DP's job; stores nothing. A crash between the phases leaves
 * a job that is notified again, which changes nothing at a DP that has it.
 */
import { hashOf } from '../../shared/content-library/content-hash.ts';
import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import {
  fallbackRanks,
  type PullSource,
  pullPackagesMaxDefault,
} from '../../shared/domain/pull-source.ts';
import { inlineManifests } from '../../shared/package-info/inline-manifests.ts';
import { encodeBundle } from '../../shared/package-info/package-info-bundle.ts';
import type { StateReport__Output } from '../../shared/rpc/generated/waybill/v1/StateReport.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import type { DistributionPointConnections } from '../distribution-point-connections/distribution-point-connections.ts';
import type { ContentDpMap } from '../hierarchy-manager/content-dp-map.ts';
import { toNotification } from './pull-notification-message.ts';
import type { PullSources, SourceLook } from './pull-sources.ts';

export interface PullNotificationNeeds {
  readonly library: Pick<ContentLibrary, 'getPackage' | 'openContent'>;
  readonly connections: Pick<DistributionPointConnections, 'channelTo'>;
  readonly sources: Pick<PullSources, 'of' | 'look'>;
  readonly contentMap: Pick<ContentDpMap, 'arriving' | 'olderContentAt'>;
}

export interface PullNotificationConfig {
  /** Deadline of each call. @default 15_000 */
  readonly callDeadlineMs: number;
  /** host:port by which DPs reach this site's management point. */
  readonly siteAddress: () => string;
}

/** What a pull DP was told. */
export interface PullHandover {
  /** What its success must prove. */
  readonly expectedHash: string;
  /** Hash over the sources and settings it was told. */
  readonly toldHash: string;
  /** The rows that say what is arriving there; asked for in the package's turn. */
  readonly locations: () => Promise<Change[]>;
}

/** A job for a pull DP, and when to give up. */
export interface PullRun {
  readonly job: DistributionJob;
  readonly dp: DistributionPoint;
  readonly signal: AbortSignal;
}

export class PullNotification {
  readonly #needs: PullNotificationNeeds;
  readonly #config: PullNotificationConfig;

  constructor(needs: PullNotificationNeeds, config: PullNotificationConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  /**
   * All phases: the DP has the job on its disk when this resolves.
   *
   * @throws PULL_SOURCES_MISSING when a content has no source yet; CONTENT_NOT_HELD when this site
   *   does not hold the version; whatever the DP refuses; PEER_…, DEADLINE_EXCEEDED; AbortError
   */
  async notify(run: PullRun): Promise<PullHandover> {
    const { job, dp } = run;
    const version = await this.#version(job);
    const found = await this.#needs.sources.of(dp, contentIdsOf(version));
    if (!found.isComplete) {
      const { packageId, dpId } = job;
      throw new WaybillError({ code: 'PULL_SOURCES_MISSING', packageId, dpId });
    }
    await this.#putPackageInfo(run, version);
    await this.#notify(run, version, found.sources);
    const { packageId, sourceVersion } = version;
    const arriving = { packageId, dpId: dp.dpId, sourceVersion, contentIds: contentIdsOf(version) };
    const locations = () => this.#needs.contentMap.arriving(arriving);
    const toldHash = toldHashOf(dp, found.sources);
    return { expectedHash: version.packageHash, toldHash, locations };
  }

  /** A look for the sources of many jobs. */
  look(): SourceLook {
    return this.#needs.sources.look();
  }

  /** The sources of a job as they are in this look; undefined while there are none. @throws CONTENT_NOT_HELD */
  async sourcesOf(
    { job, dp }: Omit<PullRun, 'signal'>,
    look: SourceLook,
  ): Promise<readonly PullSource[] | undefined> {
    const version = await this.#version(job);
    const found = await look.of(dp, contentIdsOf(version));
    return found.isComplete ? found.sources : undefined;
  }

  /**
   * The last phase only, for a DP that has the job, when other sources serve it than it was last told,
   * or an administrator has changed how it fetches.
   *
   * @returns what it was told, for the job's row; undefined when there was nothing to tell
   * @throws as `notify`
   */
  async sourcesChanged(run: PullRun, sources: readonly PullSource[]): Promise<string | undefined> {
    const toldHash = toldHashOf(run.dp, sources);
    if (run.job.toldHash === toldHash) return undefined;
    await this.#notify(run, await this.#version(run.job), sources);
    return toldHash;
  }

  /** Asks how far a job is. @throws PULL_JOB_UNKNOWN; PEER_…, DEADLINE_EXCEEDED; AbortError */
  query({ job, dp, signal }: PullRun): Promise<StateReport__Output> {
    const { callDeadlineMs: deadlineMs } = this.#config;
    const request = { action: actionOf(job) };
    return this.#needs.connections
      .channelTo(dp)
      .unary('queryPull', request, { deadlineMs, signal });
  }

  /** The DP stops with the job, which is to go on later; what it has fetched stays. @throws as `query` */
  async suspend({ job, dp, signal }: PullRun): Promise<void> {
    const { callDeadlineMs: deadlineMs } = this.#config;
    const request = { action: actionOf(job) };
    await this.#needs.connections
      .channelTo(dp)
      .unary('suspendAction', request, { deadlineMs, signal });
  }

  async #version({ packageId, sourceVersion }: DistributionJob): Promise<PackageVersion> {
    const version = await this.#needs.library.getPackage(packageId);
    if (version?.sourceVersion === sourceVersion) return version;
    const contentId = `${packageId}.${sourceVersion}`;
    throw new WaybillError({ code: 'CONTENT_NOT_HELD', contentId });
  }

  async #putPackageInfo({ job, dp, signal }: PullRun, version: PackageVersion): Promise<void> {
    const { library, connections } = this.#needs;
    const { callDeadlineMs: deadlineMs } = this.#config;
    const { bytes: bundle } = encodeBundle(version);
    // One with a limit or hours of its own fetches them in its hours, within its limit (PULL-10).
    const isFree = !dp.controls?.limit && !dp.controls?.schedule;
    const manifests = isFree ? await inlineManifests(library, version) : [];
    const request = { action: actionOf(job), bundle, manifests };
    await connections.channelTo(dp).unary('putPackageInfo', request, { deadlineMs, signal });
  }

  async #notify(
    { job, dp, signal }: PullRun,
    version: PackageVersion,
    sources: readonly PullSource[],
  ): Promise<void> {
    const { callDeadlineMs: deadlineMs } = this.#config;
    const managementPoint = this.#config.siteAddress();
    const { contentMap, connections } = this.#needs;
    const contents = [];
    for (const contentId of contentIdsOf(version)) {
      const relatedContentId = await contentMap.olderContentAt(contentId, dp.dpId);
      contents.push({ contentId, relatedContentId });
    }
    const settings = settingsOf(dp);
    const facts = { job, version, contents, sources, managementPoint, settings };
    const request = toNotification(facts, encodeBundle(version).hash);
    await connections.channelTo(dp).unary('notifyPull', request, { deadlineMs, signal });
  }
}

function actionOf({ packageId, jobSerial }: DistributionJob) {
  return { packageId, jobSerial };
}

function contentIdsOf({ contents }: PackageVersion): string[] {
  return contents.map(({ contentId }) => contentId);
}

function settingsOf({ pull }: DistributionPoint) {
  const { allowFallback = false, packagesMax = pullPackagesMaxDefault } = pull ?? {};
  return { allowFallback, packagesMax };
}

/**
 * Over what a DP was told: its settings, and which of its own sources serve it. Those of the fallback
 * come and go without being told.
 */
function toldHashOf(dp: DistributionPoint, sources: readonly PullSource[]): string {
  const own = sources
    .filter(({ rank }) => rank < fallbackRanks.distributionPoint)
    .map(({ identity, address, rank }) => [toIdentityUri(identity), address, rank]);
  return hashOf(Buffer.from(JSON.stringify([settingsOf(dp), own])));
}

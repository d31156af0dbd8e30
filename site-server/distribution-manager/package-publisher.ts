import type { ContentDescriptor } from '../../shared/domain/content.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import {
  contentIdOf,
  isForeign,
  isLeaving,
  isSnapshotDue,
  type PublishedVersion,
  snapshotFailureOf,
  withSnapshotPostponed,
  withSnapshotRefused,
  withSnapshotStarted,
  withSourceUnchanged,
  withVersionPublished,
} from '../../shared/domain/package-processing.ts';
import { actionAfterPublishing } from '../../shared/domain/package-server-work.ts';
import { toPendingStatus } from '../../shared/domain/package-status-moves.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { StatusFacts, StatusReporter } from '../status-manager/status-manager.ts';
import type { PackageStore } from './package-store.ts';
import type { PublishingLibrary, SnapshotContent, TakeSnapshot } from './publishing-ports.ts';
import { arrivedReports, failureReports, publishedReports } from './publishing-reports.ts';
import type { SnapshotPosition, SnapshotProgress } from './snapshot-progress.ts';
import type { VersionDeltas } from './version-deltas.ts';

/** What the publisher needs. */
export interface PackagePublisherComponents {
  readonly store: Pick<StateStore, 'write'>;
  readonly packages: PackageStore;
  readonly library: PublishingLibrary;
  readonly takeSnapshot: TakeSnapshot;
  readonly packageHashOf: (contents: readonly ContentDescriptor[]) => string;
  /** None: deltas are not made. */
  readonly versionDeltas?: Pick<VersionDeltas, 'keep'>;
  readonly status: StatusReporter;
  readonly progress: SnapshotProgress;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
}

/** Whether the package is up to its requests, or has to wait for something that mends itself. */
export type PublishingResult = 'up-to-date' | 'postponed';

/** What a step of publishing writes, in one batch. */
interface Consequences {
  readonly changes: readonly Change[];
  readonly reports: readonly StatusFacts[];
}

/** A snapshot that has begun. */
interface BegunSnapshot {
  readonly sitePackage: SitePackage;
  /** The requests accepted before it began. */
  readonly coveredRequestCount: number;
  /** The same requests were tried before. */
  readonly isRetry: boolean;
}

/**
 * Takes the snapshot that is due and publishes it as the next version (PKG-2, PKG-3, PKG-5): reads
 * the source, commits to the site's library, then tells everybody in one batch of the state store.
 * A crash before the commit leaves nothing but staged files; a crash after it leaves a version in
 * the library that the rows do not know, which the next run makes known before it reads the source
 * again, so that a version number never means two things.
 */
export class PackagePublisher {
  readonly #components: PackagePublisherComponents;

  constructor(components: PackagePublisherComponents) {
    this.#components = components;
  }

  /**
   * Serves the create and update requests accepted so far.
   *
   * @throws AbortError when the signal fires; the requests stay due
   */
  async publishDue(packageId: string, signal: AbortSignal): Promise<PublishingResult> {
    const hasAdopted = await this.#adoptCommitted(packageId);
    const begun = await this.#begin(packageId);
    if (!begun) return 'up-to-date';
    try {
      await this.#publish(begun, { hasAdopted, signal });
      return 'up-to-date';
    } catch (error) {
      if (!(error instanceof WaybillError)) throw error;
      return await this.#fail(begun, error);
    } finally {
      this.#components.progress.delete(packageId);
    }
  }

  /** Makes known a version the row does not know: committed before a crash, or the row was lost. */
  async #adoptCommitted(packageId: string): Promise<boolean> {
    const { packages, library } = this.#components;
    const sitePackage = await packages.packages.get(packageId);
    if (!sitePackage || isLeaving(sitePackage)) return false;
    const version = await library.getPackage(packageId);
    if (!version || version.sourceVersion <= sitePackage.sourceVersion) return false;
    // Which requests it serves is not known any more: all of them are served once more.
    const coveredRequestCount = sitePackage.handledRequestCount;
    await this.#makeKnown(packageId, { version, coveredRequestCount });
    return true;
  }

  #begin(packageId: string): Promise<BegunSnapshot | undefined> {
    const { packages, clock, status, store } = this.#components;
    return packages.turn(packageId, async () => {
      const before = await packages.packages.get(packageId);
      if (!before || !isSnapshotDue(before)) return undefined;
      const sitePackage = withSnapshotStarted(before, clock.nowMs());
      const isRetry = before.state === 'snapshot' || before.reason !== '';
      const started = { messageId: 2300, insertionStrings: [packageId], packageId } as const;
      const reports = isRetry ? [] : status.message(started);
      await store.write([...packages.put(sitePackage), ...reports], { sync: false });
      return { sitePackage, coveredRequestCount: before.acceptedRequestCount, isRetry };
    });
  }

  async #publish(
    { sitePackage, coveredRequestCount }: BegunSnapshot,
    { hasAdopted, signal }: { hasAdopted: boolean; signal: AbortSignal },
  ): Promise<void> {
    const { library, logger } = this.#components;
    const { packageId } = sitePackage;
    const contents = await this.#takeSnapshot(sitePackage, signal);
    const isUnchanged = contents.every(({ unchanged }) => unchanged);
    if (isUnchanged && sitePackage.sourceVersion > 0) {
      await this.#makeUnchangedKnown(packageId, { coveredRequestCount, hasAdopted });
      return;
    }
    const version = this.#nextVersion(sitePackage, contents);
    const staged = contents
      .filter(({ unchanged }) => !unchanged)
      .map(({ descriptor: { contentId }, manifestPath, signaturePath }) => {
        return { contentId, manifestPath, signaturePath };
      });
    await using before = await this.#components.versionDeltas?.keep(
      await library.getPackage(packageId),
    );
    // The version numbers the site's own commits: nothing else writes to this package here.
    await library.commitPackage({ version, jobSerial: version.sourceVersion, staged });
    logger.info({ packageId, sourceVersion: version.sourceVersion }, 'Wrote package to library');
    // Before it is known: whoever gets it may get the deltas, too.
    await before?.makeDeltas(version, signal);
    await this.#makeKnown(packageId, { version, coveredRequestCount });
  }

  async #takeSnapshot(
    sitePackage: SitePackage,
    signal: AbortSignal,
  ): Promise<readonly SnapshotContent[]> {
    const { takeSnapshot, progress, logger } = this.#components;
    const { packageId } = sitePackage;
    const sources = sitePackage.sources.map((source) => ({
      directory: source.directory,
      contentId: contentIdOf(source, sitePackage.sourceVersion + 1),
      ...(source.content && { previous: source.content }),
    }));
    logger.info(
      { packageId, sources: sources.map((source) => source.directory) },
      'Taking package snapshot',
    );
    const onProgress = (position: SnapshotPosition) => progress.set(packageId, position);
    return (await takeSnapshot({ packageId, sources, onProgress, signal })).contents;
  }

  #nextVersion(sitePackage: SitePackage, taken: readonly SnapshotContent[]): PackageVersion {
    const contents = sitePackage.sources.map(({ content, directory }, index) => {
      const snapshot = taken[index];
      if (!snapshot) throw new Error(`No snapshot of ${directory}`);
      return snapshot.unchanged && content ? content : snapshot.descriptor;
    });
    return {
      packageId: sitePackage.packageId,
      sourceVersion: sitePackage.sourceVersion + 1,
      packageHash: this.#components.packageHashOf(contents),
      contents,
      properties: sitePackage.properties,
    };
  }

  /** One batch: the version, work for every DP that has the package, and the messages. */
  #makeKnown(packageId: string, published: PublishedVersion): Promise<void> {
    const { packages, logger } = this.#components;
    return this.#inTurn(packageId, async (current, nowMs) => {
      const sitePackage = withVersionPublished(current, published, nowMs);
      const distribution = await this.#distributionChanges(sitePackage, nowMs);
      const { sourceVersion, packageHash } = published.version;
      logger.info({ packageId, sourceVersion, packageHash }, 'Published package version');
      return {
        changes: [...packages.put(sitePackage), ...distribution],
        // Of what another site published, only that it is here is news.
        reports: isForeign(current)
          ? arrivedReports(published.version)
          : publishedReports(published.version),
      };
    });
  }

  async #distributionChanges(sitePackage: SitePackage, nowMs: number): Promise<Change[]> {
    const { packages } = this.#components;
    const { packageId, sourceVersion } = sitePackage;
    const servers = await packages.serversOf(packageId);
    const changes: Change[] = [];
    for (const server of servers) {
      if (server.intent !== 'installed') continue;
      const { dpId } = server;
      const status = await packages.getStatus(packageId, dpId);
      const work = { packageId, dpId, status, isRemoval: false, targetVersion: sourceVersion };
      const action = actionAfterPublishing(server);
      changes.push(packages.putServer({ ...server, action, changedAtMs: nowMs }));
      changes.push(packages.putStatus(toPendingStatus(work, nowMs)));
    }
    return changes;
  }

  #makeUnchangedKnown(
    packageId: string,
    { coveredRequestCount, hasAdopted }: { coveredRequestCount: number; hasAdopted: boolean },
  ): Promise<void> {
    const { packages, logger } = this.#components;
    return this.#inTurn(packageId, async (current, nowMs) => {
      const unchanged = withSourceUnchanged(current, coveredRequestCount, nowMs);
      logger.info({ packageId, sourceVersion: current.sourceVersion }, 'Source is unchanged');
      const { sourceVersion } = current;
      return {
        // A version these requests led to was published before a crash: something did change.
        changes: packages.put({ ...unchanged, sourceUnchanged: !hasAdopted }),
        reports: [{ messageId: 2301, insertionStrings: [packageId], packageId, sourceVersion }],
      };
    });
  }

  async #fail(begun: BegunSnapshot, error: WaybillError): Promise<PublishingResult> {
    const { packages, logger } = this.#components;
    const { packageId } = begun.sitePackage;
    const failure = snapshotFailureOf(error.code);
    const reason = error.message;
    await this.#inTurn(packageId, async (current, nowMs) => {
      if (failure === 'postponed') {
        logger.info({ packageId, err: error }, 'Postponed package snapshot');
        const changes = packages.put(withSnapshotPostponed(current, reason, nowMs));
        const messageIds = begun.isRetry ? [] : ([2302] as const);
        return { changes, reports: failureReports(packageId, messageIds, reason) };
      }
      logger.warn({ packageId, err: error }, 'Refused package snapshot');
      const { coveredRequestCount } = begun;
      const refused = withSnapshotRefused(current, { coveredRequestCount, reason }, nowMs);
      const messageIds = failure === 'source-refused' ? ([2306, 2302] as const) : ([2302] as const);
      const reports = failureReports(packageId, messageIds, reason);
      return { changes: packages.put(refused), reports };
    });
    return failure === 'postponed' ? 'postponed' : 'up-to-date';
  }

  /** Writes what follows from the row as it is by now; of a package that is leaving, nothing. */
  #inTurn(
    packageId: string,
    consequencesOf: (current: SitePackage, nowMs: number) => Promise<Consequences>,
  ): Promise<void> {
    const { packages, status, store, clock } = this.#components;
    return packages.turn(packageId, async () => {
      const current = await packages.packages.get(packageId);
      if (!current || isLeaving(current)) return;
      const { changes, reports } = await consequencesOf(current, clock.nowMs());
      const messages = reports.flatMap((facts) => status.message(facts));
      await store.write([...changes, ...messages], { sync: false });
    });
  }
}

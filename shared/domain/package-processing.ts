import type { ContentDescriptor } from './content.ts';
import { contentNameOf } from './content-location.ts';
import type { ErrorCode } from './errors.ts';
import type { PackageVersion } from './package.ts';
import type { PackageSource, SitePackage, SitePackageState } from './site-package.ts';

/** Whether another site publishes the package, so that its content comes from there. */
export function isForeign(sitePackage: SitePackage): boolean {
  return sitePackage.awaitedVersion !== undefined;
}

/** The newest version there is of the package, wherever; 0 before the first. */
export function newestVersionOf(sitePackage: SitePackage): number {
  return Math.max(sitePackage.sourceVersion, sitePackage.awaitedVersion ?? 0);
}

/** Why nothing can be sent to DPs yet of a package that another site publishes (DM-3). */
export function awaitedReason({ sourceSiteCode }: Pick<SitePackage, 'sourceSiteCode'>): string {
  return `content has not arrived from site ${sourceSiteCode} yet`;
}

/** Whether a create or update request waits for a snapshot of the source. */
export function isSnapshotDue(sitePackage: SitePackage): boolean {
  return (
    sitePackage.acceptedRequestCount > sitePackage.handledRequestCount &&
    !isLeaving(sitePackage) &&
    !isForeign(sitePackage)
  );
}

/** Whether the package is on its way out, so that nothing new is done for it. */
export function isLeaving(sitePackage: SitePackage): boolean {
  return sitePackage.state === 'deleting' || sitePackage.state === 'deleted';
}

/** Whether a snapshot is due that waits for something that can mend itself. */
export function isPostponed(sitePackage: SitePackage): boolean {
  return isSnapshotDue(sitePackage) && sitePackage.state === 'pending' && sitePackage.reason !== '';
}

/**
 * Name of the content a source becomes in a version. Never used again for other bytes, because a
 * version never is; a content that did not change keeps the name it has.
 */
export function contentIdOf(source: PackageSource, sourceVersion: number): string {
  return `${source.contentName}.${sourceVersion}`;
}

/** The package once another update of it was accepted. */
export function withUpdateAccepted(sitePackage: SitePackage, nowMs: number): SitePackage {
  return {
    ...sitePackage,
    // A snapshot that runs already goes on; this request is served after it.
    state: sitePackage.state === 'snapshot' ? 'snapshot' : 'pending',
    reason: '',
    acceptedRequestCount: sitePackage.acceptedRequestCount + 1,
    updatedAtMs: nowMs,
  };
}

/** The package while its source is read. */
export function withSnapshotStarted(sitePackage: SitePackage, nowMs: number): SitePackage {
  return { ...sitePackage, state: 'snapshot', reason: '', updatedAtMs: nowMs };
}

/** A version that stands in the site's library, in the order of the package's sources. */
export interface PublishedVersion {
  readonly version: PackageVersion;
  /** Requests that were accepted before the snapshot began: the ones it serves. */
  readonly coveredRequestCount: number;
}

/** The package once a version of it stands in the site's library. */
export function withVersionPublished(
  sitePackage: SitePackage,
  { version, coveredRequestCount }: PublishedVersion,
  nowMs: number,
): SitePackage {
  if (isForeign(sitePackage)) return withVersionArrived(sitePackage, version, nowMs);
  return {
    ...sitePackage,
    sources: sitePackage.sources.map((source, index) =>
      withContent(source, version.contents[index]),
    ),
    sourceVersion: version.sourceVersion,
    packageHash: version.packageHash,
    handledRequestCount: coveredRequestCount,
    sourceUnchanged: false,
    state: stateAfter(sitePackage, coveredRequestCount, 'published'),
    reason: '',
    updatedAtMs: nowMs,
  };
}

/** What was not published here is as it came: the source site may have other contents by now. */
function withVersionArrived(
  sitePackage: SitePackage,
  { sourceVersion, packageHash, contents }: PackageVersion,
  nowMs: number,
): SitePackage {
  const isNewest = sourceVersion >= (sitePackage.awaitedVersion ?? 0);
  const staying = isNewest ? 'published' : 'pending';
  return {
    ...sitePackage,
    sources: contents.map((content) => {
      const contentName = contentNameOf(content.contentId);
      const source = sitePackage.sources.find((known) => known.contentName === contentName);
      return { directory: source?.directory ?? '', contentName, content };
    }),
    sourceVersion,
    packageHash,
    state: isLeaving(sitePackage) ? sitePackage.state : staying,
    reason: isNewest || isLeaving(sitePackage) ? '' : awaitedReason(sitePackage),
    updatedAtMs: nowMs,
  };
}

/** The package once an update found its source as it was: no new version. */
export function withSourceUnchanged(
  sitePackage: SitePackage,
  coveredRequestCount: number,
  nowMs: number,
): SitePackage {
  return {
    ...sitePackage,
    handledRequestCount: coveredRequestCount,
    sourceUnchanged: true,
    state: stateAfter(sitePackage, coveredRequestCount, 'published'),
    reason: '',
    updatedAtMs: nowMs,
  };
}

/** The package once its snapshot was refused: the request is answered, the earlier version stays. */
export function withSnapshotRefused(
  sitePackage: SitePackage,
  refusal: { readonly coveredRequestCount: number; readonly reason: string },
  nowMs: number,
): SitePackage {
  return {
    ...sitePackage,
    handledRequestCount: refusal.coveredRequestCount,
    sourceUnchanged: false,
    state: stateAfter(sitePackage, refusal.coveredRequestCount, 'failed'),
    reason: refusal.reason,
    updatedAtMs: nowMs,
  };
}

/** The package while its snapshot waits for something that can mend itself, such as a full disk. */
export function withSnapshotPostponed(
  sitePackage: SitePackage,
  reason: string,
  nowMs: number,
): SitePackage {
  return { ...sitePackage, state: 'pending', reason, updatedAtMs: nowMs };
}

/** What becomes of a request whose snapshot failed. */
export type SnapshotFailure = 'source-refused' | 'postponed' | 'failed';

/** Sorts the failures of a snapshot: refused for good, tried again by itself, or failed otherwise. */
export function snapshotFailureOf(code: ErrorCode): SnapshotFailure {
  if (code.startsWith('SOURCE_')) return 'source-refused';
  // A file that was there a moment ago and is gone is found again by the next reading.
  return code === 'DISK_FULL' || code === 'CONTENT_INCOMPLETE' ? 'postponed' : 'failed';
}

function withContent(source: PackageSource, content: ContentDescriptor | undefined): PackageSource {
  if (!content) throw new Error(`No content for source ${source.directory}`);
  return { ...source, content };
}

function stateAfter(
  sitePackage: SitePackage,
  coveredRequestCount: number,
  otherwise: SitePackageState,
): SitePackageState {
  if (isLeaving(sitePackage)) return sitePackage.state;
  return sitePackage.acceptedRequestCount > coveredRequestCount ? 'pending' : otherwise;
}

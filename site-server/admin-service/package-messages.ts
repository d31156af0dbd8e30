import type { ContentDescriptor } from '../../shared/domain/content.ts';
import type { PackageProperties } from '../../shared/domain/package.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { Package as PackageMessage } from '../../shared/rpc/generated/waybill/v1/Package.ts';
import type { PackageProperties as PackagePropertiesMessage } from '../../shared/rpc/generated/waybill/v1/PackageProperties.ts';
import type { PackageStatus as PackageStatusMessage } from '../../shared/rpc/generated/waybill/v1/PackageStatus.ts';
import type { SnapshotPosition } from '../distribution-manager/snapshot-progress.ts';
import type { SeenPackageStatus } from './awaited-status.ts';
import { packageStateNames, packageStatusStateNames, priorityNames } from './enum-tables.ts';
import type { PackageCounts } from './package-counts.ts';

/** What a message about a package says beyond its row. */
export interface PackageExtras {
  readonly counts: PackageCounts;
  readonly progress: SnapshotPosition | undefined;
  /** Streams leave the icon out: it may be large, and rarely changes. */
  readonly hasIcon: boolean;
  /** The version whose content is at this site; 0: none. */
  readonly storedVersion: number;
  /** The groups that have it. */
  readonly groupNames: readonly string[];
}

/** A package as administrators see it. */
export function toPackageMessage(row: SitePackage, extras: PackageExtras): PackageMessage {
  const contents = row.sources.flatMap(({ content }) => content ?? []);
  return {
    packageId: row.packageId,
    properties: toPropertiesMessage(row.properties, extras.hasIcon),
    sourceSiteCode: row.sourceSiteCode,
    sourceDirectories: row.sources.map(({ directory }) => directory),
    sourceVersion: row.sourceVersion,
    state: packageStateNames[row.state],
    reason: row.reason,
    snapshotBytes: extras.progress?.bytes ?? 0,
    snapshotFiles: extras.progress?.files ?? 0,
    sizeBytes: sumOf(contents, ({ sizeBytes }) => sizeBytes),
    fileCount: sumOf(contents, ({ fileCount }) => fileCount),
    packageHash: Buffer.from(row.packageHash, 'hex'),
    createdAtMs: row.createdAtMs,
    updatedAtMs: row.updatedAtMs,
    contentIds: contents.map(({ contentId }) => contentId),
    handledRequestCount: row.handledRequestCount,
    acceptedRequestCount: row.acceptedRequestCount,
    sourceUnchanged: row.sourceUnchanged,
    counts: { ...extras.counts },
    storedVersion: extras.storedVersion,
    groupNames: [...extras.groupNames],
  };
}

/** A package on a DP, or on its own site, as administrators see it. */
export function toPackageStatusMessage(
  row: SeenPackageStatus,
  percent: number | undefined,
): PackageStatusMessage {
  return {
    packageId: row.packageId,
    dpId: row.dpId,
    state: packageStatusStateNames[row.state],
    installedVersion: row.installedVersion,
    targetVersion: row.targetVersion,
    ...(percent !== undefined && { percent }),
    reason: row.reason,
    changedAtMs: row.changedAtMs,
    verifiedHash: Buffer.from(row.verifiedHash, 'hex'),
    siteCode: row.siteCode,
    ...(row.isAwaited && { isAwaited: true }),
  };
}

function toPropertiesMessage(
  properties: PackageProperties,
  hasIcon: boolean,
): PackagePropertiesMessage {
  const { name, version, manufacturer, language, description, programs, iconName } = properties;
  return {
    name,
    version,
    manufacturer,
    language,
    description,
    priority: priorityNames[properties.priority],
    programs: programs.map((program) => ({ ...program })),
    iconName,
    icon: hasIcon ? Buffer.from(properties.iconBase64, 'base64') : Buffer.alloc(0),
  };
}

function sumOf(
  contents: readonly ContentDescriptor[],
  numberOf: (content: ContentDescriptor) => number,
): number {
  return contents.reduce((sum, content) => sum + numberOf(content), 0);
}

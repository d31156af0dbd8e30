import type { DistributionPointPackage__Output } from '../../../shared/rpc/generated/waybill/v1/DistributionPointPackage.ts';
import type { DistributionPointSweep__Output } from '../../../shared/rpc/generated/waybill/v1/DistributionPointSweep.ts';
import type { ImportPackageProgress__Output } from '../../../shared/rpc/generated/waybill/v1/ImportPackageProgress.ts';
import type { Package__Output } from '../../../shared/rpc/generated/waybill/v1/Package.ts';
import type { PackageStatus__Output } from '../../../shared/rpc/generated/waybill/v1/PackageStatus.ts';
import type { PreviewedTransfer__Output } from '../../../shared/rpc/generated/waybill/v1/PreviewedTransfer.ts';
import type { PreviewedVersion__Output } from '../../../shared/rpc/generated/waybill/v1/PreviewedVersion.ts';
import type { PreviewPart__Output } from '../../../shared/rpc/generated/waybill/v1/PreviewPart.ts';
import type { ValidationResult__Output } from '../../../shared/rpc/generated/waybill/v1/ValidationResult.ts';
import { thenMs } from './fake-moment.ts';

/** A package that is published and on two of three DPs. */
export function aPackage(changes: Partial<Package__Output> = {}): Package__Output {
  return {
    packageId: 'PS100001',
    properties: {
      name: 'Office 16',
      version: '16.0.2',
      manufacturer: 'Example',
      language: 'en',
      description: '',
      priority: 'PRIORITY_NORMAL',
      programs: [{ name: 'install', commandLine: 'setup.sh --quiet' }],
      iconName: '',
      icon: Buffer.alloc(0),
    },
    sourceSiteCode: 'PS1',
    sourceDirectories: ['/srv/sources/office'],
    sourceVersion: 3,
    state: 'PACKAGE_STATE_PUBLISHED',
    reason: '',
    snapshotBytes: '0',
    snapshotFiles: '0',
    sizeBytes: '2469606195',
    fileCount: '1234',
    packageHash: Buffer.alloc(32, 0xab),
    createdAtMs: String(thenMs),
    updatedAtMs: String(thenMs),
    contentIds: ['PS100001.3'],
    handledRequestCount: '3',
    acceptedRequestCount: '3',
    sourceUnchanged: false,
    counts: { targeted: 3, installed: 2, retrying: 1, failed: 0 },
    storedVersion: 3,
    groupNames: [],
    ...changes,
  };
}

/** The first part of a preview. */
export function aPreviewedVersion(
  changes: Partial<PreviewedVersion__Output> = {},
): PreviewPart__Output {
  const version = {
    ...{ packageId: 'PS100001', sourceVersion: 3, publishedVersion: 3, sourceUnchanged: false },
    ...{ sizeBytes: '2469606195', fileCount: '1234', newFiles: '0', newBytes: '0', ...changes },
  };
  return { part: 'version', version };
}

/** A part of a preview about a DP that was asked. */
export function aPreviewedTransfer(
  changes: Partial<PreviewedTransfer__Output> = {},
): PreviewPart__Output {
  const transfer = {
    ...({ way: 'PREVIEWED_WAY_DISTRIBUTION_POINT', dpId: 'PS1DP1', siteCode: 'PS1' } as const),
    ...{ linkName: '', fromSiteCode: '', toSiteCode: '', bytes: '104857600' },
    ...({
      manifestBytes: '2048',
      fileCount: '12',
      basis: 'PREVIEW_BASIS_ASKED',
      note: '',
    } as const),
    ...{ waitsMs: '0', durationMs: '10000', durationUnknown: '', bytesPerSecond: '10485760' },
    ...({ pace: 'PREVIEW_PACE_LIMIT', ...changes } as const),
  };
  return { part: 'transfer', transfer };
}

/** A package that is installed on a DP. */
export function aStatus(changes: Partial<PackageStatus__Output> = {}): PackageStatus__Output {
  return {
    packageId: 'PS100001',
    dpId: 'PS1DP1',
    state: 'PACKAGE_STATUS_STATE_INSTALLED',
    installedVersion: 3,
    targetVersion: 3,
    percent: 100,
    reason: '',
    changedAtMs: String(thenMs),
    verifiedHash: Buffer.alloc(32, 0xab),
    siteCode: 'PS1',
    ...changes,
  };
}

/** A step of an import. */
export function anImport(
  stage: ImportPackageProgress__Output['stage'],
  reason = '',
): ImportPackageProgress__Output {
  return {
    ...{ packageId: 'PS100001', sourceVersion: 4, baseVersion: 0, siteCode: 'PS1' },
    ...{ stage, doneBytes: '500', totalBytes: '1000', reason, keptUntilMs: '1790000000000' },
  };
}

/** A package that is on a DP, whole. */
export function anInstalledPackage(
  facts: Partial<DistributionPointPackage__Output> = {},
): DistributionPointPackage__Output {
  const packageHash = Buffer.alloc(32, 2);
  const rest = { packageHash, lackingFiles: 0, isAssigned: true };
  return { packageId: 'PS100001', sourceVersion: 3, ...rest, ...facts };
}

const aSurvey = {
  ...{ isIndexComplete: true, unused: { count: '3', bytes: '4096' } },
  ...{ due: { count: '2', bytes: '2048' }, setAside: { count: '1', bytes: '10' } },
  ...{ foreignFiles: 0, stagedPackages: 0, stalePackages: 0, leftoverContents: 0 },
};

/** Two files that nobody uses are swept; a package that nobody means to be there stays. */
export function aSweep(
  facts: Partial<DistributionPointSweep__Output> = {},
): DistributionPointSweep__Output {
  return {
    before: aSurvey,
    after: { ...aSurvey, unused: { count: '1', bytes: '2048' }, due: { count: '0', bytes: '0' } },
    unassignedPackages: ['PS100009'],
    removedPackages: [],
    ...facts,
  };
}

/** One damaged file on PS1DP1, which is whole again. */
export function aValidationResult(
  facts: Partial<ValidationResult__Output> = {},
): ValidationResult__Output {
  return {
    ...{ packageId: 'PS100001', siteCode: 'PS1', dpId: 'PS1DP1', sourceVersion: 3 },
    ...{ checkedAtMs: '1700000000000', fileCount: '12', damagedFiles: '1', missingFiles: '0' },
    repairedFiles: '1',
    files: [
      {
        path: 'bin/setup.exe',
        fileHash: Buffer.alloc(32, 1),
        finding: 'UNSOUND_FINDING_DAMAGED',
        detail: 'its bytes are not those of its hash',
      },
    ],
    wishId: 'wish',
    failure: '',
    ...facts,
  };
}

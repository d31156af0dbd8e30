import type { AdministratorRecord__Output } from '../../../shared/rpc/generated/waybill/v1/AdministratorRecord.ts';
import type { CertificateRecord__Output } from '../../../shared/rpc/generated/waybill/v1/CertificateRecord.ts';
import type { CreatedEnrollment__Output } from '../../../shared/rpc/generated/waybill/v1/CreatedEnrollment.ts';
import type { DistributionPointPackage__Output } from '../../../shared/rpc/generated/waybill/v1/DistributionPointPackage.ts';
import type { DistributionPointRecord__Output } from '../../../shared/rpc/generated/waybill/v1/DistributionPointRecord.ts';
import type { DistributionPointSweep__Output } from '../../../shared/rpc/generated/waybill/v1/DistributionPointSweep.ts';
import type { EnrollmentRecord__Output } from '../../../shared/rpc/generated/waybill/v1/EnrollmentRecord.ts';
import type { GroupRecord__Output } from '../../../shared/rpc/generated/waybill/v1/GroupRecord.ts';
import type { ImportPackageProgress__Output } from '../../../shared/rpc/generated/waybill/v1/ImportPackageProgress.ts';
import type { Job__Output } from '../../../shared/rpc/generated/waybill/v1/Job.ts';
import type { Link__Output } from '../../../shared/rpc/generated/waybill/v1/Link.ts';
import type { Package__Output } from '../../../shared/rpc/generated/waybill/v1/Package.ts';
import type { PackageStatus__Output } from '../../../shared/rpc/generated/waybill/v1/PackageStatus.ts';
import type { PreviewedTransfer__Output } from '../../../shared/rpc/generated/waybill/v1/PreviewedTransfer.ts';
import type { PreviewedVersion__Output } from '../../../shared/rpc/generated/waybill/v1/PreviewedVersion.ts';
import type { PreviewPart__Output } from '../../../shared/rpc/generated/waybill/v1/PreviewPart.ts';
import type { Revocation__Output } from '../../../shared/rpc/generated/waybill/v1/Revocation.ts';
import type { Route__Output } from '../../../shared/rpc/generated/waybill/v1/Route.ts';
import type { RouteSettings } from '../../../shared/rpc/generated/waybill/v1/RouteSettings.ts';
import type { SendRequest__Output } from '../../../shared/rpc/generated/waybill/v1/SendRequest.ts';
import type { Setting__Output } from '../../../shared/rpc/generated/waybill/v1/Setting.ts';
import type { Site__Output } from '../../../shared/rpc/generated/waybill/v1/Site.ts';
import type { SiteRecord__Output } from '../../../shared/rpc/generated/waybill/v1/SiteRecord.ts';
import type { StatusMessage__Output } from '../../../shared/rpc/generated/waybill/v1/StatusMessage.ts';
import type { ValidationResult__Output } from '../../../shared/rpc/generated/waybill/v1/ValidationResult.ts';

/** When everything in the fakes happened. */
export const thenMs = Date.UTC(2026, 2, 14, 9, 26, 53);

/** A site. */
export const aSite: Site__Output = {
  siteCode: 'PS1',
  kind: 'SITE_KIND_PRIMARY',
  agentVersion: '0.1.0',
  startedAtMs: String(thenMs),
  parentSiteCode: '',
};

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

/** A DP that is well. */
export function aDistributionPoint(
  changes: Partial<DistributionPointRecord__Output> = {},
): DistributionPointRecord__Output {
  return {
    dpId: 'PS1DP1',
    address: 'dp1.example.org:8531',
    kind: 'DISTRIBUTION_POINT_KIND_STANDARD',
    description: 'First floor',
    siteCode: 'PS1',
    priority: 200,
    reachability: 'DISTRIBUTION_POINT_REACHABILITY_REACHABLE',
    reason: '',
    checkedAtMs: String(thenMs),
    agentVersion: '0.1.0',
    isPriorityPinned: false,
    freeBytes: '53687091200',
    packageCount: 12,
    measuredBytesPerSecond: '45200000',
    pull: null,
    groupNames: [],
    controls: null,
    serveControls: null,
    validation: null,
    ...changes,
  };
}

/** A group of two DPs that has a package. */
export function aGroup(changes: Partial<GroupRecord__Output> = {}): GroupRecord__Output {
  return {
    groupName: 'Offices',
    description: 'Offices in the north',
    dpIds: ['PS1DP1', 'PS2DP1'],
    packageIds: ['PS100001'],
    ...changes,
  };
}

/** A setting that is as configured. */
export function aSetting(changes: Partial<Setting__Output> = {}): Setting__Output {
  return {
    ...{ name: 'packages-at-once', siteCode: 'PS1', setValue: '', configuredValue: '3' },
    ...{ minValue: '1', maxValue: '50', isTime: false },
    description: 'Packages processed and sent to DPs at once.',
    ...changes,
  };
}

/** A job that is a quarter done. */
export function aJob(changes: Partial<Job__Output> = {}): Job__Output {
  return {
    jobSerial: '17',
    packageId: 'PS100001',
    sourceVersion: 3,
    dpId: 'PS1DP1',
    action: 'JOB_ACTION_ADD',
    state: 'JOB_STATE_IN_PROGRESS',
    waitingReason: '',
    reason: '',
    priority: 'PRIORITY_NORMAL',
    dpPriority: 200,
    queuePlace: 0,
    createdAtMs: String(thenMs),
    startedAtMs: String(thenMs),
    updatedAtMs: String(thenMs),
    restartAtMs: '0',
    tryCount: 1,
    totalBytes: '4294967296',
    remainingBytes: '3221225472',
    bytesPerSecond: '45200000',
    etaMs: '71000',
    bytesSent: '1073741824',
    endedAtMs: '0',
    sendAction: '',
    pollCount: 0,
    unconfirmed: false,
    ignoresWindow: false,
    ...changes,
  };
}

/** A job that waits for an administrator. */
export function aSuspendedJob(changes: Partial<Job__Output> = {}): Job__Output {
  return aJob({
    state: 'JOB_STATE_SUSPENDED',
    waitingReason: 'suspended',
    reason: 'Suspended by an administrator',
    queuePlace: 2,
    ...changes,
  });
}

/** A job that waits for a DP that is down. */
export function aWaitingJob(changes: Partial<Job__Output> = {}): Job__Output {
  return aJob({
    jobSerial: '18',
    dpId: 'PS1DP2',
    state: 'JOB_STATE_PENDING_RESTART',
    waitingReason: 'dp-unreachable',
    reason: 'distribution point PS1DP2 at dp2:8531 cannot be reached: nothing listens there',
    queuePlace: 1,
    restartAtMs: String(thenMs + 300_000),
    remainingBytes: '4294967296',
    bytesPerSecond: '0',
    etaMs: '0',
    ...changes,
  });
}

/** A status message. */
export function aMessage(changes: Partial<StatusMessage__Output> = {}): StatusMessage__Output {
  return {
    serial: '5',
    messageId: 2330,
    severity: 'SEVERITY_INFORMATION',
    component: 'SMS_DISTRIBUTION_MANAGER',
    siteCode: 'PS1',
    timeMs: String(thenMs),
    insertionStrings: ['PS100001', 'PS1DP1', '3'],
    packageId: 'PS100001',
    sourceVersion: 3,
    dpId: 'PS1DP1',
    text: 'Package PS100001 version 3 is on distribution point PS1DP1, verified.',
    ...changes,
  };
}

/** A log line as pino writes it. */
export const aLogLine = {
  line: JSON.stringify({
    level: 30,
    time: thenMs + 7,
    component: 'package-transfer-manager',
    dpId: 'PS1DP1',
    sizeBytes: 4096,
    msg: 'Content transferred',
  }),
};

/** A site below a central administration site. */
export function aSiteRecord(changes: Partial<SiteRecord__Output> = {}): SiteRecord__Output {
  return {
    siteCode: 'PS1',
    kind: 'SITE_KIND_PRIMARY',
    parentSiteCode: '',
    address: 'site.example.org:8530',
    description: '',
    agentVersion: '0.1.0',
    signingKeyIds: [],
    replication: null,
    distributionPointCount: 1,
    ...changes,
  };
}

/** Another site, which is a little behind. */
export function aChildSite(changes: Partial<SiteRecord__Output> = {}): SiteRecord__Output {
  return aSiteRecord({
    siteCode: 'PS2',
    parentSiteCode: 'CS1',
    address: 'ps2.example.org:8530',
    description: 'Overseas',
    signingKeyIds: ['0123456789abcdef'],
    replication: {
      connected: true,
      reason: '',
      changesBehind: '12',
      behindMs: '2500',
      heardAtMs: String(thenMs),
    },
    distributionPointCount: 4,
    ...changes,
  });
}

/** A route. */
export function aRoute(changes: Partial<Route__Output> = {}): Route__Output {
  const addresses = ['ps2.example.org:8530', '192.0.2.9:8530'];
  return { fromSiteCode: 'CS1', toSiteCode: 'PS2', addresses, controls: null, ...changes };
}

/** A link that two DPs and the way to another site share. */
export function aLink(changes: Partial<Link__Output> = {}): Link__Output {
  return {
    linkName: 'madrid-line',
    siteCode: 'PS1',
    description: 'Rented',
    dpIds: ['PS1DP1', 'PS1DP2'],
    toSiteCodes: ['PS2'],
    controls: { schedule: null, limit: { kind: 'bytesPerSecond', bytesPerSecond: '20000000' } },
    ...changes,
  };
}

/** The certificate of a DP, a third of whose life is over. */
export function aCertificate(
  changes: Partial<CertificateRecord__Output> = {},
): CertificateRecord__Output {
  const dayMs = 24 * 3_600_000;
  return {
    kind: 'CERTIFICATE_KIND_IDENTITY',
    holder: 'dp/PS1DP1',
    identityUri: 'waybill://dp/PS1DP1',
    issuerSiteCode: 'PS1',
    notBeforeMs: String(thenMs - 30 * dayMs),
    notAfterMs: String(thenMs + 60 * dayMs),
    rootKeyId: Buffer.alloc(32, 0xab),
    isOnNewestRoot: true,
    state: 'CERTIFICATE_STATE_VALID',
    reason: '',
    toldAtMs: String(thenMs),
    due: 'CERTIFICATE_DUE_NOTHING',
    ...{ revokedAtMs: '0', revokedAtSiteCode: '', revokedHolder: '' },
    ...changes,
  };
}

/** A send request that is a quarter done. */
export function aSendRequest(changes: Partial<SendRequest__Output> = {}): SendRequest__Output {
  return {
    requestId: '0000002ACS1',
    jobId: 'CS1-0000002A',
    packageId: 'CS100001',
    sourceVersion: 3,
    baseVersion: 0,
    sourceSiteCode: 'CS1',
    destinationSiteCode: 'PS1',
    finalSiteCode: 'SS1',
    priority: 'PRIORITY_NORMAL',
    state: 'SEND_REQUEST_STATE_SENDING',
    reason: '',
    totalBytes: '4294967296',
    remainingBytes: '3221225472',
    bytesPerSecond: '45200000',
    etaMs: '71000',
    bytesSent: '1073741824',
    tryCount: 1,
    createdAtMs: String(thenMs),
    startedAtMs: String(thenMs),
    heartbeatAtMs: String(thenMs),
    finishedAtMs: '0',
    retryAtMs: '0',
    ...changes,
  };
}

/** A send request whose destination is away. */
export function aRetryingSendRequest(): SendRequest__Output {
  return aSendRequest({
    requestId: '0000002BCS1',
    destinationSiteCode: 'PS2',
    finalSiteCode: 'PS2',
    state: 'SEND_REQUEST_STATE_RETRYING',
    reason: 'site PS2 at ps2:8530 cannot be reached: nothing listens there',
    remainingBytes: '4294967296',
    bytesPerSecond: '0',
    etaMs: '0',
    bytesSent: '0',
    retryAtMs: String(thenMs + 300_000),
  });
}

/** A token for PS1DP1 that nobody has used. */
export function anEnrollment(
  changes: Partial<EnrollmentRecord__Output> = {},
): EnrollmentRecord__Output {
  return {
    ...{ tokenId: '0123456789abcdef', identityUri: 'waybill://dp/PS1DP1' },
    state: 'ENROLLMENT_STATE_UNUSED',
    ...{ createdAtMs: String(thenMs), createdBy: 'waybill://admin/full/alice' },
    ...{ expiresAtMs: String(thenMs + 3_780_000), usedAtMs: '0', usedFrom: '' },
    ...{ wrongSecretCount: 0, reason: '' },
    ...changes,
  };
}

/** The same, just made. */
export function aCreatedEnrollment(identityUri: string): CreatedEnrollment__Output {
  const enrollment = anEnrollment({ identityUri });
  return {
    token: 'wbt1_secret',
    enrollment,
    enrollmentAddress: 'site.example.org:8532',
    siteCode: 'PS1',
  };
}

/** An administrator of some DPs. */
export function anAdministrator(
  changes: Partial<AdministratorRecord__Output> = {},
): AdministratorRecord__Output {
  return {
    ...{ name: 'bob', identityUri: 'waybill://admin/operator/bob?site=PS1&group=Lab' },
    ...{ createdAtMs: String(thenMs), createdBy: 'waybill://admin/full/alice' },
    enrolledAtMs: '0',
    ...changes,
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

/** What runs again when nothing had failed. */
export const nothingRetried = { dpIds: [], packageIds: [], siteCodes: [], siteDpIds: [] };

/** What a FakeAdmin answers until it is told otherwise. */
export const defaultAnswers = {
  getSite: () => aSite,
  createEnrollment: ({ identityUri = '' }: { identityUri?: string }) =>
    aCreatedEnrollment(identityUri),
  revokeEnrollment: () => anEnrollment({ state: 'ENROLLMENT_STATE_REVOKED' as const }),
  deleteAdministrator: () => anAdministrator(),
  createPackage: () => aPackage({ sourceVersion: 1, counts: null }),
  setPackage: () => aPackage(),
  updatePackage: () => aPackage(),
  deletePackage: () => aPackage({ state: 'PACKAGE_STATE_DELETING' as const }),
  getPackage: () => aPackage(),
  distributePackage: () => ({ dpIds: ['PS1DP1', 'PS1DP2'], packageIds: [] }),
  redistributePackage: () => ({ dpIds: ['PS1DP1'], packageIds: [] }),
  removePackage: () => ({ dpIds: ['PS1DP2'], packageIds: [] }),
  sweepDistributionPoint: () => aSweep(),
  validatePackage: () => ({ dpIds: ['PS1DP1'], wishId: 'wish' }),
  retryFailed: () => ({ ...nothingRetried, dpIds: ['PS1DP2'], packageIds: ['PS100002'] }),
  addDistributionPoint: () => aDistributionPoint(),
  setDistributionPoint: () => aDistributionPoint(),
  deleteDistributionPoint: () => aDistributionPoint(),
  checkDistributionPoint: () => aDistributionPoint(),
  addSite: () => aChildSite(),
  setSite: () => aChildSite(),
  deleteSite: () => aChildSite(),
  revokeCertificates: () => aRevocation({ reach: 'REVOCATION_REACH_EVERYWHERE' }),
  rotateSigningKey: () => aSiteRecord({ signingKeyIds: ['fedcba9876543210'] }),
  getTrustBundle: () => ({ trustBundle: Buffer.alloc(0) }),
  addGroup: () => aGroup(),
  setGroup: () => aGroup(),
  deleteGroup: () => aGroup(),
  joinGroup: () => aGroup(),
  leaveGroup: () => aGroup(),
  setSettings: () => ({ settings: [aSetting({ setValue: '5' })] }),
  setRoute: (route: RouteSettings) => aRoute({ addresses: route.addresses ?? [] }),
  setLink: () => aLink(),
  deleteLink: () => aLink(),
};

/** What streams a FakeAdmin gives until it is told otherwise. */
export const defaultStreams = {
  listEnrollments: () => [anEnrollment()],
  listAdministrators: () => [anAdministrator()],
  exportPackage: () => [
    { doneBytes: '500', totalBytes: '1000', result: null },
    {
      doneBytes: '0',
      totalBytes: '0',
      result: {
        sourceVersion: 4,
        baseVersion: 0,
        fileBytes: '2097152',
        fileHash: Buffer.alloc(32),
      },
    },
  ],
  importPackage: () => [anImport('IMPORT_STAGE_COPYING'), anImport('IMPORT_STAGE_STORED')],
  listPackages: () => [aPackage()],
  watchPackage: () => [aPackage()],
  listPackageStatus: () => [aStatus()],
  listValidationResults: () => [aValidationResult()],
  listDistributionPointPackages: () => [anInstalledPackage()],
  watchPackageStatus: () => [aStatus()],
  listDistributionPoints: () => [aDistributionPoint()],
  listJobs: () => [aJob(), aWaitingJob()],
  watchJobs: () => [aJob(), aWaitingJob()],
  listStatusMessages: () => [aMessage()],
  readLog: () => [aLogLine],
  previewDistribution: () => [aPreviewedVersion(), aPreviewedTransfer()],
  previewUpdate: () => [aPreviewedVersion({ sourceVersion: 4 }), aPreviewedTransfer()],
  listSites: () => [aSiteRecord(), aChildSite()],
  listRoutes: () => [aRoute()],
  listGroups: () => [aGroup()],
  listSettings: () => [aSetting()],
  listLinks: () => [aLink()],
  listCertificates: () => [aCertificate()],
  listRevocations: () => [aRevocation()],
  listSendRequests: () => [aSendRequest(), aRetryingSendRequest()],
  watchSendRequests: () => [aSendRequest(), aRetryingSendRequest()],
  steerSendRequests: () => [aSendRequest()],
  moveJobs: () => [aWaitingJob()],
  suspendJobs: () => [aSuspendedJob()],
  resumeJobs: () => [aWaitingJob()],
  runJobs: () => [aWaitingJob()],
  cancelJobs: () => [aJob({ state: 'JOB_STATE_CANCELLED' })],
  listAuditRecords: () => [
    {
      serial: '9',
      timeMs: String(thenMs),
      caller: 'waybill://dp/PS1DP1',
      address: '192.0.2.7:40112',
      method: '/waybill.v1.Admin/CreatePackage',
      result: 'PEER_NOT_ALLOWED',
      detail: '',
      previousHash: Buffer.alloc(0),
      hash: Buffer.alloc(0),
    },
  ],
  readAuditTrail: () => [],
  listAuditHeads: () => [],
};

/** That a DP was put out. */
export function aRevocation(changes: Partial<Revocation__Output> = {}): Revocation__Output {
  return {
    ...{ siteCode: 'PS1', holder: 'dp/PS1DP1', revokedAtMs: String(thenMs) },
    ...{ reason: 'stolen', revokedBy: 'waybill://admin/full/alice?site=PS1' },
    reach: 'REVOCATION_REACH_UNSPECIFIED',
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

import type { RouteSettings } from '../../../shared/rpc/generated/waybill/v1/RouteSettings.ts';
import { thenMs } from './fake-moment.ts';
import {
  aJob,
  aRetryingSendRequest,
  aSendRequest,
  aSuspendedJob,
  aWaitingJob,
} from './job-answers.ts';
import { aLogLine, aMessage } from './message-answers.ts';
import {
  anImport,
  anInstalledPackage,
  aPackage,
  aPreviewedTransfer,
  aPreviewedVersion,
  aStatus,
  aSweep,
  aValidationResult,
} from './package-answers.ts';
import {
  aChildSite,
  aDistributionPoint,
  aGroup,
  aLink,
  aRoute,
  aSetting,
  aSite,
  aSiteRecord,
} from './site-answers.ts';
import {
  aCertificate,
  aCreatedEnrollment,
  anAdministrator,
  anEnrollment,
  aRevocation,
} from './trust-answers.ts';

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

import type { PeerIdentity } from '../domain/peer-identity.ts';
import type { ConversationName, ProtoMethodName } from './conversation.ts';

/** Who may call, in the very words of the protos' `Callers:` lines. */
export type CallerGroup =
  | 'administrators'
  | 'administrators who may do the daily work'
  | 'administrators with full rights'
  | 'the site of this DP'
  | 'distribution points of this site'
  | 'sites of the hierarchy'
  | 'every peer of the hierarchy'
  | 'administrators with full rights'
  | 'whoever has a token'
  | 'whoever has the key of a certificate of this hierarchy';

/** What the policy says about one method. */
export interface CallRule {
  readonly callers: readonly CallerGroup[];
  /**
   * What of its calls goes to the audit trail, besides those the policy refuses (ADM-5): every result of
   * one that changes something at somebody's word; of what agents report all day, what was refused.
   */
  readonly audited: 'always' | 'refusals' | 'never';
}

type WaybillMethodPath = {
  [C in ConversationName]: `/waybill.v1.${C}/${ProtoMethodName<C>}`;
}[ConversationName];

const adminReads: CallRule = { callers: ['administrators'], audited: 'never' };
const dailyWork: CallRule = {
  callers: ['administrators who may do the daily work'],
  audited: 'always',
};
/** Changes nothing, but costs a site, its DPs and its disks work: what is asked before the daily work is done. */
const dailyLooks: CallRule = {
  callers: ['administrators who may do the daily work'],
  audited: 'never',
};
const fullRights: CallRule = { callers: ['administrators with full rights'], audited: 'always' };
const siteReads: CallRule = { callers: ['the site of this DP'], audited: 'never' };
const siteChanges: CallRule = { callers: ['the site of this DP'], audited: 'always' };
const pullDpReports: CallRule = {
  callers: ['distribution points of this site'],
  audited: 'refusals',
};
const siteReports: CallRule = { callers: ['sites of the hierarchy'], audited: 'refusals' };
const siteInstructs: CallRule = { callers: ['sites of the hierarchy'], audited: 'always' };
const everyPeerReads: CallRule = { callers: ['every peer of the hierarchy'], audited: 'never' };

/** Our own methods; one that is missing here does not compile. */
const waybillRules = {
  '/waybill.v1.Admin/GetSite': adminReads,
  '/waybill.v1.Admin/CreatePackage': dailyWork,
  '/waybill.v1.Admin/SetPackage': dailyWork,
  '/waybill.v1.Admin/UpdatePackage': dailyWork,
  '/waybill.v1.Admin/DeletePackage': dailyWork,
  '/waybill.v1.Admin/GetPackage': adminReads,
  '/waybill.v1.Admin/ListPackages': adminReads,
  '/waybill.v1.Admin/GetTrustBundle': adminReads,
  '/waybill.v1.Admin/WatchPackage': adminReads,
  '/waybill.v1.Admin/ExportPackage': dailyWork,
  '/waybill.v1.Admin/ImportPackage': dailyWork,
  '/waybill.v1.Admin/DistributePackage': dailyWork,
  '/waybill.v1.Admin/RedistributePackage': dailyWork,
  '/waybill.v1.Admin/RemovePackage': dailyWork,
  '/waybill.v1.Admin/PreviewDistribution': dailyLooks,
  '/waybill.v1.Admin/PreviewUpdate': dailyLooks,
  '/waybill.v1.Admin/RetryFailed': dailyWork,
  '/waybill.v1.Admin/ValidatePackage': dailyWork,
  '/waybill.v1.Admin/ListValidationResults': adminReads,
  '/waybill.v1.Admin/ListPackageStatus': adminReads,
  '/waybill.v1.Admin/WatchPackageStatus': adminReads,
  '/waybill.v1.Admin/AddDistributionPoint': fullRights,
  '/waybill.v1.Admin/SetDistributionPoint': fullRights,
  '/waybill.v1.Admin/DeleteDistributionPoint': fullRights,
  '/waybill.v1.Admin/CheckDistributionPoint': adminReads,
  '/waybill.v1.Admin/ListDistributionPointPackages': adminReads,
  '/waybill.v1.Admin/SweepDistributionPoint': dailyWork,
  '/waybill.v1.Admin/ListDistributionPoints': adminReads,
  '/waybill.v1.Admin/AddGroup': fullRights,
  '/waybill.v1.Admin/SetGroup': fullRights,
  '/waybill.v1.Admin/DeleteGroup': fullRights,
  '/waybill.v1.Admin/JoinGroup': dailyWork,
  '/waybill.v1.Admin/LeaveGroup': dailyWork,
  '/waybill.v1.Admin/ListGroups': adminReads,
  '/waybill.v1.Admin/ListJobs': adminReads,
  '/waybill.v1.Admin/WatchJobs': adminReads,
  '/waybill.v1.Admin/MoveJobs': dailyWork,
  '/waybill.v1.Admin/SuspendJobs': dailyWork,
  '/waybill.v1.Admin/ResumeJobs': dailyWork,
  '/waybill.v1.Admin/RunJobs': dailyWork,
  '/waybill.v1.Admin/CancelJobs': dailyWork,
  '/waybill.v1.Admin/ListStatusMessages': adminReads,
  '/waybill.v1.Admin/ReadLog': adminReads,
  '/waybill.v1.Admin/ListAuditRecords': adminReads,
  '/waybill.v1.Admin/ReadAuditTrail': adminReads,
  '/waybill.v1.Admin/ListAuditHeads': adminReads,
  '/waybill.v1.Admin/AddSite': fullRights,
  '/waybill.v1.Admin/SetSite': fullRights,
  '/waybill.v1.Admin/DeleteSite': fullRights,
  '/waybill.v1.Admin/ListSites': adminReads,
  '/waybill.v1.Admin/RotateSigningKey': fullRights,
  '/waybill.v1.Admin/RevokeCertificates': fullRights,
  '/waybill.v1.Admin/ListRevocations': adminReads,
  '/waybill.v1.Admin/ListSettings': adminReads,
  '/waybill.v1.Admin/SetSettings': fullRights,
  '/waybill.v1.Admin/SetRoute': fullRights,
  '/waybill.v1.Admin/ListRoutes': adminReads,
  '/waybill.v1.Admin/SetLink': fullRights,
  '/waybill.v1.Admin/DeleteLink': fullRights,
  '/waybill.v1.Admin/ListLinks': adminReads,
  '/waybill.v1.Admin/ListCertificates': adminReads,
  '/waybill.v1.Admin/ListSendRequests': adminReads,
  '/waybill.v1.Admin/WatchSendRequests': adminReads,
  '/waybill.v1.Admin/SteerSendRequests': dailyWork,
  '/waybill.v1.Admin/CreateEnrollment': fullRights,
  '/waybill.v1.Admin/ListEnrollments': adminReads,
  '/waybill.v1.Admin/RevokeEnrollment': fullRights,
  '/waybill.v1.Admin/ListAdministrators': adminReads,
  '/waybill.v1.Admin/DeleteAdministrator': fullRights,
  '/waybill.v1.DistributionPoint/Check': siteReads,
  '/waybill.v1.DistributionPoint/Begin': siteChanges,
  '/waybill.v1.DistributionPoint/PutManifest': siteChanges,
  '/waybill.v1.DistributionPoint/Inspect': siteReads,
  '/waybill.v1.DistributionPoint/FindFiles': siteReads,
  '/waybill.v1.DistributionPoint/PutContent': siteChanges,
  '/waybill.v1.DistributionPoint/Commit': siteChanges,
  '/waybill.v1.DistributionPoint/RemovePackage': siteChanges,
  '/waybill.v1.DistributionPoint/CancelAction': siteChanges,
  '/waybill.v1.DistributionPoint/SuspendAction': siteChanges,
  '/waybill.v1.DistributionPoint/OfferDeltas': siteChanges,
  '/waybill.v1.DistributionPoint/ApplyDeltas': siteChanges,
  '/waybill.v1.DistributionPoint/PutPackageInfo': siteChanges,
  '/waybill.v1.DistributionPoint/NotifyPull': siteChanges,
  '/waybill.v1.DistributionPoint/QueryPull': siteReads,
  '/waybill.v1.DistributionPoint/ImportPrestaged': {
    callers: ['distribution points of this site', 'administrators who may do the daily work'],
    audited: 'always',
  },
  '/waybill.v1.DistributionPoint/SetControls': siteChanges,
  '/waybill.v1.DistributionPoint/SetTrust': siteChanges,
  '/waybill.v1.DistributionPoint/Validate': siteChanges,
  '/waybill.v1.DistributionPoint/SweepLibrary': siteChanges,
  '/waybill.v1.DistributionPoint/ListPackages': {
    callers: ['the site of this DP', 'administrators'],
    audited: 'never',
  },
  '/waybill.v1.Content/GetManifest': everyPeerReads,
  '/waybill.v1.Content/WatchHoldings': everyPeerReads,
  '/waybill.v1.Content/Fetch': everyPeerReads,
  '/waybill.v1.Content/ListDeltas': everyPeerReads,
  '/waybill.v1.ManagementPoint/ReportState': pullDpReports,
  '/waybill.v1.ManagementPoint/LocateContent': everyPeerReads,
  '/waybill.v1.Replication/Synchronise': siteReports,
  // On a port of their own, where nobody shows a certificate; they tell the audit trail themselves.
  '/waybill.v1.Enrollment/Enroll': { callers: ['whoever has a token'], audited: 'always' },
  '/waybill.v1.Enrollment/Renew': {
    callers: ['whoever has the key of a certificate of this hierarchy'],
    audited: 'always',
  },
  '/waybill.v1.SiteEnrollment/PassEnroll': siteInstructs,
  '/waybill.v1.SiteEnrollment/PassRenew': siteInstructs,
  '/waybill.v1.SiteTransfer/OfferFile': siteReports,
  '/waybill.v1.SiteTransfer/PutFile': siteReports,
  '/waybill.v1.SiteTransfer/PutInstruction': siteInstructs,
} as const satisfies Record<WaybillMethodPath, CallRule>;

/** Methods of gRPC's own services, which every server of ours has (ADM-7). */
const platformRules = {
  '/grpc.health.v1.Health/Check': everyPeerReads,
  '/grpc.health.v1.Health/List': everyPeerReads,
  '/grpc.health.v1.Health/Watch': everyPeerReads,
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo': everyPeerReads,
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': everyPeerReads,
} as const satisfies Record<string, CallRule>;

/**
 * The one table of who may call what (SEC-1), keyed by full method. What is not in it may be called
 * by nobody. A test holds it equal to the comments of the protos.
 */
export const callPolicy: ReadonlyMap<string, CallRule> = new Map(
  Object.entries({ ...waybillRules, ...platformRules }),
);

/**
 * Whether a peer may call a method of a server that belongs to site `siteCode`, his scope aside: that is
 * for `scopePolicy` and the method.
 */
export function mayCall(identity: PeerIdentity, path: string, siteCode: string): boolean {
  return groupsOfCaller(identity, path, siteCode).length > 0;
}

/** As which of those who may call a method a peer may; as none when it may not. */
export function groupsOfCaller(
  identity: PeerIdentity,
  path: string,
  siteCode: string,
): readonly CallerGroup[] {
  const groups = callPolicy.get(path)?.callers ?? [];
  return groups.filter((group) => isInGroup(identity, group, siteCode));
}

function isInGroup(identity: PeerIdentity, group: CallerGroup, siteCode: string): boolean {
  switch (group) {
    case 'administrators':
      return identity.kind === 'admin';
    case 'administrators who may do the daily work':
      return identity.kind === 'admin' && identity.role !== 'read-only';
    case 'administrators with full rights':
      return identity.kind === 'admin' && identity.role === 'full';
    case 'the site of this DP':
      return identity.kind === 'site' && identity.siteCode === siteCode;
    case 'distribution points of this site':
      // Which of them are of this site, the management point knows.
      return identity.kind === 'dp';
    case 'sites of the hierarchy':
      // Which of them are neighbours, the methods know.
      return identity.kind === 'site';
    case 'every peer of the hierarchy':
      return true;
    case 'whoever has a token':
    case 'whoever has the key of a certificate of this hierarchy':
      // Who has a certificate that counts has no business there.
      return false;
  }
}

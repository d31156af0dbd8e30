import type { Administrator } from '../domain/administrator.ts';
import type { Alarm } from '../domain/alarm.ts';
import type { AuditHead, AuditPlace, AuditRecord } from '../domain/audit-record.ts';
import type {
  ChangeLogEntry,
  NeighbourState,
  OriginState,
  OwnLogState,
  RowVersion,
} from '../domain/change-log.ts';
import type { ComponentSetting } from '../domain/component-settings.ts';
import type { ContentLocation } from '../domain/content-location.ts';
import type { ContentValidationState } from '../domain/content-validation.ts';
import type { DistributionJob } from '../domain/distribution-job.ts';
import type { DistributionPoint } from '../domain/distribution-point.ts';
import type {
  DistributionPointGroup,
  GroupAssignment,
  GroupMember,
} from '../domain/distribution-point-group.ts';
import type { DistributionPointHealth } from '../domain/distribution-point-health.ts';
import type { EnrollmentRow } from '../domain/enrollment.ts';
import type {
  PackageAssignment,
  PackageDefinition,
  PackageRequests,
  SiteContent,
} from '../domain/hierarchy-package.ts';
import type { HybridTime } from '../domain/hybrid-time.ts';
import type { IssuedCertificateRecord } from '../domain/issued-certificate.ts';
import type { LibraryIndexState, UnreferencedFile } from '../domain/library-index.ts';
import type { PackageAction } from '../domain/package-action.ts';
import type { PackageStatus } from '../domain/package-status.ts';
import type { PrestagedHold } from '../domain/prestaged-content.ts';
import type { PullJob } from '../domain/pull-job.ts';
import type { ConfiguredSource } from '../domain/pull-source.ts';
import type { Revocation } from '../domain/revocation.ts';
import type { RootStanding } from '../domain/root-standing.ts';
import type { MiniJob, PackageFileFacts, SendRequest } from '../domain/send-request.ts';
import type { SiteDefinition, SiteIdentity, SiteRoute } from '../domain/site.ts';
import type {
  ForwardingFailure,
  SiteDelivery,
  SiteDeliveryResult,
} from '../domain/site-delivery.ts';
import type { ReceivedInstruction, SeenInstruction } from '../domain/site-instruction.ts';
import type { PackageServer, SitePackage } from '../domain/site-package.ts';
import type { PullResponse, StateMessage } from '../domain/state-message.ts';
import type { StatusMessage } from '../domain/status-message.ts';
import type { ToldControlsRow } from '../domain/told-controls.ts';
import type { ToldTrust } from '../domain/told-trust.ts';
import type { TransferLink } from '../domain/transfer-link.ts';
import type { SiteAuthorityRow, TrustBundleRow } from '../domain/trust-bundle.ts';
import type {
  ActedValidation,
  OwnLibraryValidation,
  ValidationRequest,
} from '../domain/validation-request.ts';
import type { ValidationResult } from '../domain/validation-result.ts';
import type { KnownSchedule } from '../domain/validation-schedule.ts';

declare const row: unique symbol;

/** One table of the state store: its name, and (for the compiler only) the type of its rows. */
export interface KeySpace<V> {
  /** Part of every stored key: never renamed, never used again for something else. */
  readonly name: string;
  readonly [row]?: V;
}

/** The register of all tables: what is not here is not stored. Keys are made by `joinKey`. */
export const keySpaces = {
  /** packageId → the package as its source site keeps it. */
  packages: keySpace<SitePackage>('packages'),
  /** packageId / dpId → the package's assignment to that DP. */
  packageServers: keySpace<PackageServer>('package-servers'),
  /** topic / subject / serial → nothing: the key says it all. */
  packageNotifications: keySpace<Record<string, never>>('package-notifications'),
  /** packageId / dpId, or '' for the site itself → status. */
  packageStatus: keySpace<PackageStatus>('package-status'),
  /** jobSerial → a job that is open. */
  distributionJobs: keySpace<DistributionJob>('distribution-jobs'),
  /** jobSerial → a job that has ended. */
  jobHistory: keySpace<DistributionJob>('job-history'),
  /** dpId → the DP as it is configured. */
  distributionPoints: keySpace<DistributionPoint>('distribution-points'),
  /** dpId → what was measured of it. */
  distributionPointHealth: keySpace<DistributionPointHealth>('distribution-point-health'),
  /** pull dpId / source dpId → that source's rank. */
  pullDpMap: keySpace<ConfiguredSource>('pull-dp-map'),
  /** contentId / dpId → that content is there, or arriving. */
  contentDpMap: keySpace<ContentLocation>('content-dp-map'),
  /** dpId / jobSerial → what was last heard of a job of a pull DP. */
  pullDpResponse: keySpace<PullResponse>('pull-dp-response'),
  /** kind / name → what stands still, or is away, since when. */
  alarms: keySpace<Alarm>('alarms'),
  /** serial → status message. */
  statusMessages: keySpace<StatusMessage>('status-messages'),
  /** serial → who called what. */
  auditRecords: keySpace<AuditRecord>('audit-records'),
  /** tokenId → a token that somebody can be enrolled with, without its secret. */
  enrollmentTokens: keySpace<EnrollmentRow>('enrollment-tokens'),
  /** name → an administrator whom this site vouches for, or is to. */
  administrators: keySpace<Administrator>('administrators'),
  /** 'anchor' → the newest of the audit records that went in time: what is left goes on from it. */
  auditAnchor: keySpace<AuditPlace>('audit-anchor'),
  /** siteCode → the newest record of that site's audit trail, as it has told. */
  auditHeads: keySpace<AuditHead>('audit-heads'),
  /** siteCode / serial → what it told before; nobody but this site writes here, and it changes no row. */
  auditHeadHistory: keySpace<AuditHead>('audit-head-history'),
  /** 'leaf' or 'authority' / kind of the holder / its name / when / serial number → a certificate this site issued. */
  issuedCertificates: keySpace<IssuedCertificateRecord>('issued-certificates'),
  /** name → the last serial number given out. */
  counters: keySpace<number>('counters'),
  /** fileHash / contentId → true: that content uses that file. */
  libraryReferences: keySpace<true>('library-references'),
  /** fileHash → since when no content uses it. */
  libraryUnreferenced: keySpace<UnreferencedFile>('library-unreferenced'),
  /** 'index' → whether the two tables above are complete. */
  libraryState: keySpace<LibraryIndexState>('library-state'),
  /** packageId → the newest action the DP has seen for it. */
  packageActions: keySpace<PackageAction>('package-actions'),
  /** packageId → how far its validation is in the library of this machine. */
  contentValidations: keySpace<ContentValidationState>('content-validations'),
  /** packageId → the package this pull DP fetches. */
  pullJobs: keySpace<PullJob>('pull-jobs'),
  /** serial → a state message the management point has not taken yet. */
  stateMessageOutbox: keySpace<StateMessage>('state-message-outbox'),
  /** name → what the site has told this pull DP, and since when it has its outbox. */
  pullDpSettings: keySpace<unknown>('pull-dp-settings'),
  /** 'own' → what the site has told this DP of its schedule and limits. */
  transferControls: keySpace<ToldControlsRow>('transfer-controls'),
  /** dpId → hash over the controls this site has told that DP last; none while that is not known. */
  toldControls: keySpace<string>('told-controls'),
  /** siteCode → the site as administrators define it. */
  sites: keySpace<SiteDefinition>('sites'),
  /** siteCode → what the site says of itself, signed. */
  siteIdentities: keySpace<SiteIdentity>('site-identities'),
  /** from siteCode / to siteCode → the ways there. */
  routes: keySpace<SiteRoute>('routes'),
  /** 'roots' → the roots of the hierarchy, signed by one of them. */
  trustBundles: keySpace<TrustBundleRow>('trust-bundles'),
  /** siteCode → the newest certificate of that site's authority, as the top issued it. */
  siteAuthorities: keySpace<SiteAuthorityRow>('site-authorities'),
  /** siteCode → who stands on an older root there, while the root changes. */
  rootStandings: keySpace<RootStanding>('root-standings'),
  /** dpId → a DP of whatever site, as it is configured. */
  hierarchyDistributionPoints: keySpace<DistributionPoint>('hierarchy-distribution-points'),
  /** packageId → what administrators say of it. */
  packageDefinitions: keySpace<PackageDefinition>('package-definitions'),
  /** packageId / siteCode → what was asked of it there. */
  packageRequests: keySpace<PackageRequests>('package-requests'),
  /** packageId / dpId → what is wanted of it there. */
  packageAssignments: keySpace<PackageAssignment>('package-assignments'),
  /** packageId → the package as another site, its source site, keeps it. */
  publishedPackages: keySpace<SitePackage>('published-packages'),
  /** packageId / siteCode → what that site holds of it. */
  siteContents: keySpace<SiteContent>('site-contents'),
  /** packageId / forwarding siteCode / final siteCode → what that site could not pass on. */
  forwardingFailures: keySpace<ForwardingFailure>('forwarding-failures'),
  /** packageId / siteCode / dpId → status that other sites sent here. */
  sitePackageStatus: keySpace<PackageStatus>('site-package-status'),
  /** linkName → a line that several ways share. */
  links: keySpace<TransferLink>('links'),
  /** groupName → a group of DPs. */
  distributionPointGroups: keySpace<DistributionPointGroup>('distribution-point-groups'),
  /** groupName / dpId → since when a DP is in the group, or that it has left. */
  groupMembers: keySpace<GroupMember>('group-members'),
  /** packageId / groupName → what the group is to do with the package. */
  groupAssignments: keySpace<GroupAssignment>('group-assignments'),
  /** packageId / dpId → what the DP's site has concluded from its groups. */
  groupWishes: keySpace<PackageAssignment>('group-wishes'),
  /** packageId / siteCode / dpId → what the last validation there has found. */
  validationResults: keySpace<ValidationResult>('validation-results'),
  /** siteCode / settingName → what is set for a component of a site. */
  componentSettings: keySpace<ComponentSetting>('component-settings'),
  /** siteCode where it was said / kind of holder / name → whose certificates are nobody's any more. */
  revocations: keySpace<Revocation>('revocations'),
  /** dpId → hash over what this site has told that DP last of whom to trust; none while that is not known. */
  toldTrustHashes: keySpace<string>('told-trust-hashes'),
  /** 'own' → what the site has told this DP of whom to trust. */
  toldTrust: keySpace<ToldTrust>('told-trust'),
  /** packageId / dpId → that the content of the package there is to be validated. */
  validationRequests: keySpace<ValidationRequest>('validation-requests'),
  /** dpId → the schedule of its validations, and since when. */
  validationSchedules: keySpace<KnownSchedule>('validation-schedules'),
  /** packageId / dpId → what this site itself wants validated: by schedule, or after another one. */
  ownValidationRequests: keySpace<ValidationRequest>('own-validation-requests'),
  /** packageId → that it is to be validated in the site's own library. */
  ownLibraryValidations: keySpace<OwnLibraryValidation>('own-library-validations'),
  /** packageId / dpId / 'asked' or 'own' → the request of these that was acted on last. */
  actedValidations: keySpace<ActedValidation>('acted-validations'),
  /** siteCode / serial → status message that other sites sent here. */
  siteStatusMessages: keySpace<StatusMessage>('site-status-messages'),
  /** replicated table / key of the row → its last change; deleted rows stay for a while. */
  rowVersions: keySpace<RowVersion>('row-versions'),
  /** origin site / number of the change → the row it changed; void once the row changed again. */
  changeLog: keySpace<ChangeLogEntry>('change-log'),
  /** site → what is here of its changes and status messages. */
  originStates: keySpace<OriginState>('origin-states'),
  /** site → what a neighbour has of ours. */
  neighbourStates: keySpace<NeighbourState>('neighbour-states'),
  /** 'own' → what this site remembers of its own log. */
  ownLogState: keySpace<OwnLogState>('own-log-state'),
  /** 'clock' → the latest hybrid time seen. */
  hybridClock: keySpace<HybridTime>('hybrid-clock'),
  /** neighbour / table / key → true: the full copy that arrives from it has that row. */
  fullCopyRows: keySpace<true>('full-copy-rows'),
  /** jobId → an order to bring a package to another site. */
  miniJobs: keySpace<MiniJob>('mini-jobs'),
  /** requestId → a hop of a mini-job that is open. */
  sendRequests: keySpace<SendRequest>('send-requests'),
  /** requestId → a hop that has ended. */
  sendRequestHistory: keySpace<SendRequest>('send-request-history'),
  /** packageId / source version / base version → the package file that was made of it here. */
  packageFiles: keySpace<PackageFileFacts>('package-files'),
  /** packageId / siteCode → the newest mini-job that was made to bring the package there. */
  siteDeliveries: keySpace<SiteDelivery>('site-deliveries'),
  /** packageId / siteCode → how the mini-job that ended last ended. */
  siteDeliveryResults: keySpace<SiteDeliveryResult>('site-delivery-results'),
  /** jobId → an instruction of another site that is not carried out yet. */
  receivedInstructions: keySpace<ReceivedInstruction>('received-instructions'),
  /** packageId → content that was imported from a prestaged file, and how long it is kept. */
  prestagedPackages: keySpace<PrestagedHold>('prestaged-packages'),
  /** sending siteCode / nonce → an instruction that was taken lately. */
  seenInstructions: keySpace<SeenInstruction>('seen-instructions'),
  /** 'layout' and 'damage' → what the store knows of itself. */
  storeState: keySpace<unknown>('store-state'),
} as const;

/** A number of a key has as many digits as the largest safe integer, so that keys sort as numbers. */
const keyDigits = 16;

/** A key of several parts, joined by `/`; whole numbers from 0 up get a fixed width. */
export function joinKey(...parts: (string | number)[]): string {
  return parts.map(toKeyPart).join('/');
}

function toKeyPart(part: string | number): string {
  if (typeof part === 'number') {
    if (!Number.isSafeInteger(part) || part < 0) throw new RangeError(`${part} cannot be in a key`);
    return String(part).padStart(keyDigits, '0');
  }
  if (part.includes('/')) throw new RangeError(`"${part}" cannot be a part of a key: it has a "/"`);
  return part;
}

function keySpace<V>(name: string): KeySpace<V> {
  return { name };
}

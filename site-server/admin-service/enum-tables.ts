import type { DistributionPointKind } from '../../shared/domain/distribution-point.ts';
import type { Reachability } from '../../shared/domain/distribution-point-health.ts';
import type { Priority } from '../../shared/domain/package.ts';
import type { PackageStatusState } from '../../shared/domain/package-status.ts';
import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { SendRequestState } from '../../shared/domain/send-request.ts';
import type { SiteKind } from '../../shared/domain/site.ts';
import type { SitePackageState } from '../../shared/domain/site-package.ts';
import type { Severity } from '../../shared/domain/status-message.ts';
import type { DistributionPointKind__Output as KindName } from '../../shared/rpc/generated/waybill/v1/DistributionPointKind.ts';
import type { DistributionPointReachability__Output as ReachabilityName } from '../../shared/rpc/generated/waybill/v1/DistributionPointReachability.ts';
import type { PackageState__Output as PackageStateName } from '../../shared/rpc/generated/waybill/v1/PackageState.ts';
import type { PackageStatusState__Output as PackageStatusStateName } from '../../shared/rpc/generated/waybill/v1/PackageStatusState.ts';
import type { Priority__Output as PriorityName } from '../../shared/rpc/generated/waybill/v1/Priority.ts';
import type { SendRequestState__Output as SendRequestStateName } from '../../shared/rpc/generated/waybill/v1/SendRequestState.ts';
import type { Severity__Output as SeverityName } from '../../shared/rpc/generated/waybill/v1/Severity.ts';
import type { SiteKind__Output as SiteKindName } from '../../shared/rpc/generated/waybill/v1/SiteKind.ts';

/** Where the domain's words and the wire's enums meet. A word without its name does not compile. */

export const siteKindNames: Record<SiteKind, SiteKindName> = {
  'central-administration': 'SITE_KIND_CENTRAL_ADMINISTRATION',
  primary: 'SITE_KIND_PRIMARY',
  secondary: 'SITE_KIND_SECONDARY',
};

export const priorityNames: Record<Priority, PriorityName> = {
  1: 'PRIORITY_HIGH',
  2: 'PRIORITY_NORMAL',
  3: 'PRIORITY_LOW',
};

export const packageStateNames: Record<SitePackageState, PackageStateName> = {
  pending: 'PACKAGE_STATE_PENDING',
  snapshot: 'PACKAGE_STATE_SNAPSHOT',
  published: 'PACKAGE_STATE_PUBLISHED',
  failed: 'PACKAGE_STATE_FAILED',
  deleting: 'PACKAGE_STATE_DELETING',
  deleted: 'PACKAGE_STATE_DELETED',
};

export const packageStatusStateNames: Record<PackageStatusState, PackageStatusStateName> = {
  installed: 'PACKAGE_STATUS_STATE_INSTALLED',
  'install-pending': 'PACKAGE_STATUS_STATE_INSTALL_PENDING',
  'install-retrying': 'PACKAGE_STATUS_STATE_INSTALL_RETRYING',
  'install-failed': 'PACKAGE_STATUS_STATE_INSTALL_FAILED',
  'removal-pending': 'PACKAGE_STATUS_STATE_REMOVAL_PENDING',
  'removal-retrying': 'PACKAGE_STATUS_STATE_REMOVAL_RETRYING',
  'removal-failed': 'PACKAGE_STATUS_STATE_REMOVAL_FAILED',
  'content-updating': 'PACKAGE_STATUS_STATE_CONTENT_UPDATING',
};

export const distributionPointKindNames: Record<DistributionPointKind, KindName> = {
  standard: 'DISTRIBUTION_POINT_KIND_STANDARD',
  pull: 'DISTRIBUTION_POINT_KIND_PULL',
};

export const reachabilityNames: Record<Reachability, ReachabilityName> = {
  unknown: 'DISTRIBUTION_POINT_REACHABILITY_UNKNOWN',
  reachable: 'DISTRIBUTION_POINT_REACHABILITY_REACHABLE',
  unreachable: 'DISTRIBUTION_POINT_REACHABILITY_UNREACHABLE',
};

export const severityNames: Record<Severity, SeverityName> = {
  information: 'SEVERITY_INFORMATION',
  warning: 'SEVERITY_WARNING',
  error: 'SEVERITY_ERROR',
};

export const sendRequestStateNames: Record<SendRequestState, SendRequestStateName> = {
  pending: 'SEND_REQUEST_STATE_PENDING',
  sending: 'SEND_REQUEST_STATE_SENDING',
  retrying: 'SEND_REQUEST_STATE_RETRYING',
  suspended: 'SEND_REQUEST_STATE_SUSPENDED',
  complete: 'SEND_REQUEST_STATE_COMPLETE',
  failed: 'SEND_REQUEST_STATE_FAILED',
  cancelled: 'SEND_REQUEST_STATE_CANCELLED',
};

const siteKinds: Record<SiteKindName, SiteKind | undefined> = {
  SITE_KIND_UNSPECIFIED: undefined,
  SITE_KIND_CENTRAL_ADMINISTRATION: 'central-administration',
  SITE_KIND_PRIMARY: 'primary',
  SITE_KIND_SECONDARY: 'secondary',
};

const priorities: Record<PriorityName, Priority | undefined> = {
  PRIORITY_UNSPECIFIED: undefined,
  PRIORITY_HIGH: 1,
  PRIORITY_NORMAL: 2,
  PRIORITY_LOW: 3,
};

const distributionPointKinds: Record<KindName, DistributionPointKind | undefined> = {
  DISTRIBUTION_POINT_KIND_UNSPECIFIED: undefined,
  DISTRIBUTION_POINT_KIND_STANDARD: 'standard',
  DISTRIBUTION_POINT_KIND_PULL: 'pull',
};

const severities: Record<SeverityName, Severity | undefined> = {
  SEVERITY_UNSPECIFIED: undefined,
  SEVERITY_INFORMATION: 'information',
  SEVERITY_WARNING: 'warning',
  SEVERITY_ERROR: 'error',
};

/** The priority of a request; undefined when it names none. @throws REQUEST_INVALID */
export function toPriority(field: string, name: PriorityName): Priority | undefined {
  return wordOf(field, { table: priorities, name });
}

/** The kind of DP of a request; undefined when it names none. @throws REQUEST_INVALID */
export function toDistributionPointKind(name: KindName): DistributionPointKind | undefined {
  return wordOf('kind', { table: distributionPointKinds, name });
}

/** The kind of site of a request; undefined when it names none. @throws REQUEST_INVALID */
export function toSiteKind(name: SiteKindName): SiteKind | undefined {
  return wordOf('kind', { table: siteKinds, name });
}

/** The severity of a request; undefined when it names none. @throws REQUEST_INVALID */
export function toSeverity(name: SeverityName): Severity | undefined {
  return wordOf('severity', { table: severities, name });
}

function wordOf<Name extends string, Word>(
  field: string,
  { table, name }: { table: Record<Name, Word | undefined>; name: Name },
): Word | undefined {
  // A number no proto of ours knows comes as it is, whatever the type says.
  if (Object.hasOwn(table, name)) return table[name];
  throw requestInvalid(field, {
    expected: `one of ${Object.keys(table).slice(1).join(', ')}`,
    actual: quoted(String(name)),
  });
}

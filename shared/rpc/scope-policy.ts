import { scopeText } from '../domain/admin-scope.ts';
import { WaybillError } from '../domain/errors.ts';
import { type PeerIdentity, toIdentityUri } from '../domain/peer-identity.ts';
import { callPolicy } from './call-policy.ts';

/**
 * What must be in a scoped administrator's scope when he calls a method that changes something
 * (docs/trust.md, 7). The method itself checks it, before anything is written.
 */
export type ScopedWork =
  /** Whatever is meant: nothing is changed. */
  | 'anything: it only looks'
  /** Every DP that is meant. */
  | 'the DPs'
  /** Every DP that is meant, and the groups that are named. */
  | 'the DPs and groups'
  /** The site that the DP is, or is to be, of. */
  | "the DP's site"
  /** The source site of each package that is meant. */
  | "the package's source site"
  /** Every DP, and the source site of each package whose source is read again. */
  | 'the DPs and packages'
  /** The site that is asked: something is made, or written, there. */
  | 'the site that is asked'
  /** The DPs; when its own copy is meant, the site that is asked. */
  | 'the DPs, or the site that is asked'
  /** The site of the DP that is asked. A DP does not know its groups. */
  | 'the site of this DP';

/**
 * The changing methods that an administrator with a scope may call, by full method. What is not here,
 * he may not: it changes what belongs to no site, or nobody has thought about it.
 */
export const scopePolicy: ReadonlyMap<string, ScopedWork> = new Map<string, ScopedWork>([
  ['/waybill.v1.Admin/CreatePackage', 'the site that is asked'],
  ['/waybill.v1.Admin/SetPackage', "the package's source site"],
  ['/waybill.v1.Admin/UpdatePackage', "the package's source site"],
  ['/waybill.v1.Admin/DeletePackage', "the package's source site"],
  ['/waybill.v1.Admin/ExportPackage', 'the site that is asked'],
  ['/waybill.v1.Admin/ImportPackage', 'the site that is asked'],
  ['/waybill.v1.Admin/DistributePackage', 'the DPs and groups'],
  ['/waybill.v1.Admin/RedistributePackage', 'the DPs'],
  ['/waybill.v1.Admin/RemovePackage', 'the DPs and groups'],
  ['/waybill.v1.Admin/PreviewDistribution', 'anything: it only looks'],
  ['/waybill.v1.Admin/PreviewUpdate', 'anything: it only looks'],
  ['/waybill.v1.Admin/RetryFailed', 'the DPs and packages'],
  ['/waybill.v1.Admin/ValidatePackage', 'the DPs, or the site that is asked'],
  ['/waybill.v1.Admin/AddDistributionPoint', "the DP's site"],
  ['/waybill.v1.Admin/SetDistributionPoint', 'the DPs'],
  ['/waybill.v1.Admin/DeleteDistributionPoint', 'the DPs'],
  ['/waybill.v1.Admin/SweepDistributionPoint', 'the DPs'],
  ['/waybill.v1.Admin/CreateEnrollment', "the DP's site"],
  ['/waybill.v1.Admin/JoinGroup', 'the DPs and groups'],
  ['/waybill.v1.Admin/LeaveGroup', 'the DPs and groups'],
  ['/waybill.v1.Admin/MoveJobs', 'the DPs'],
  ['/waybill.v1.Admin/SuspendJobs', 'the DPs'],
  ['/waybill.v1.Admin/ResumeJobs', 'the DPs'],
  ['/waybill.v1.Admin/RunJobs', 'the DPs'],
  ['/waybill.v1.Admin/CancelJobs', 'the DPs'],
  ['/waybill.v1.Admin/SteerSendRequests', "the package's source site"],
  ['/waybill.v1.DistributionPoint/ImportPrestaged', 'the site of this DP'],
]);

/**
 * Why a call is refused for the scope of its caller alone, before its method sees it; undefined when it is
 * not. What every administrator and every peer may call only reads: a scope has no say in it.
 */
export function scopeRefusalOf(identity: PeerIdentity, path: string): WaybillError | undefined {
  if (identity.kind !== 'admin' || !identity.scope || scopePolicy.has(path)) return undefined;
  const callers = callPolicy.get(path)?.callers ?? [];
  if (callers.includes('administrators') || callers.includes('every peer of the hierarchy')) {
    return undefined;
  }
  const facts = { caller: toIdentityUri(identity), scope: scopeText(identity.scope) };
  const outside = 'what belongs to no site or group';
  return new WaybillError({ code: 'SCOPE_EXCEEDED', ...facts, outside });
}

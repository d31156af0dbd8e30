import type { DistributionJob } from './distribution-job.ts';
import type { PackageStatus, PackageStatusState } from './package-status.ts';
import type { PackageServer, SitePackage, SitePackageState } from './site-package.ts';

/**
 * The package on a site, as the package's row says: the status row with an empty dpId. None where a
 * package of another site is neither stored nor wanted.
 */
export function toSiteStatus(sitePackage: SitePackage): PackageStatus | undefined {
  const { awaitedVersion, sourceVersion, state } = sitePackage;
  const isAwaited = state === 'pending' || sourceVersion > 0;
  if (awaitedVersion !== undefined && !isAwaited) return undefined;
  return {
    packageId: sitePackage.packageId,
    dpId: '',
    state: siteStateOf(sitePackage),
    installedVersion: sitePackage.sourceVersion,
    targetVersion: siteTargetVersionOf(sitePackage),
    reason: sitePackage.reason,
    changedAtMs: sitePackage.updatedAtMs,
    jobSerial: 0,
    verifiedHash: sitePackage.packageHash,
  };
}

/** What changes about a package on a DP when there is something to do there. */
export interface PendingWork {
  readonly packageId: string;
  readonly dpId: string;
  /** The row as it stands; absent for a DP that is new to the package. */
  readonly status: PackageStatus | undefined;
  readonly isRemoval: boolean;
  /** The version the DP is meant to have; 0 for a removal. */
  readonly targetVersion: number;
  /** The job that does it; absent while there is none yet. */
  readonly jobSerial?: number;
}

/** The row once there is something to do: pending, whatever it was. */
export function toPendingStatus(work: PendingWork, nowMs: number): PackageStatus {
  const installedVersion = work.status?.installedVersion ?? 0;
  const installing = installedVersion > 0 ? 'content-updating' : 'install-pending';
  return {
    packageId: work.packageId,
    dpId: work.dpId,
    state: work.isRemoval ? 'removal-pending' : installing,
    installedVersion,
    targetVersion: work.targetVersion,
    reason: '',
    changedAtMs: nowMs,
    jobSerial: work.jobSerial ?? work.status?.jobSerial ?? 0,
    verifiedHash: work.status?.verifiedHash ?? '',
  };
}

/** The row while its job waits for its next try, or undefined when the row tells of newer work. */
export function toRetryingStatus(
  status: PackageStatus | undefined,
  job: DistributionJob,
  retry: { readonly reason: string; readonly nowMs: number },
): PackageStatus | undefined {
  if (status?.jobSerial !== job.jobSerial || isRemoving(status.state) !== isRemoval(job)) {
    return undefined;
  }
  const state = isRemoval(job) ? 'removal-retrying' : 'install-retrying';
  return { ...status, state, reason: retry.reason, changedAtMs: retry.nowMs };
}

/** What an ended job does to its rows. */
export interface TransferOutcome {
  /** The row from now on; `undefined` deletes it. */
  readonly status: PackageStatus | undefined;
  /** The package is not assigned to the DP any more. */
  readonly isUnassigned: boolean;
  /** What is reported; nothing for a result that newer work has overtaken. */
  readonly messageId: 2328 | 2330 | 2331 | undefined;
}

/**
 * What the result of a job means (the .STA file of Configuration Manager). A result that newer
 * work has overtaken tells only what the DP holds, never what is due there. Of a DP that was taken
 * away meanwhile nothing stays.
 */
export function transferOutcome(
  job: DistributionJob,
  rows: { readonly status: PackageStatus; readonly server: PackageServer | undefined },
  nowMs: number,
): TransferOutcome {
  const { status, server } = rows;
  if (!server) return { status: undefined, isUnassigned: false, messageId: undefined };
  if (job.action === 'cancel') return heardOfCancel(job, { status, server }, nowMs);
  const isNewest = status.jobSerial === job.jobSerial && server.action === 'none';
  if (job.state !== 'complete') {
    return isNewest ? failed(job, status, nowMs) : unheeded(status);
  }
  if (isNewest) return isRemoval(job) ? removed() : installed(job, status, nowMs);
  return overtaken(job, status, nowMs);
}

function installed(job: DistributionJob, status: PackageStatus, nowMs: number): TransferOutcome {
  const held = { ...status, ...heldAfter(job), reason: '', changedAtMs: nowMs };
  return { status: { ...held, state: 'installed' }, isUnassigned: false, messageId: 2330 };
}

/** Why a job ended that an administrator has cancelled. */
export const cancelledReason = 'Cancelled by an administrator';

function removed(): TransferOutcome {
  return { status: undefined, isUnassigned: true, messageId: 2331 };
}

function failed(job: DistributionJob, status: PackageStatus, nowMs: number): TransferOutcome {
  const state = isRemoval(job) ? 'removal-failed' : 'install-failed';
  return {
    status: { ...status, state, reason: job.reason, changedAtMs: nowMs },
    isUnassigned: false,
    // That it was cancelled is told by itself: it is no failure.
    messageId: job.cancellation ? undefined : 2328,
  };
}

/** The DP has heard that a job was cancelled, and has said what it serves: that is what counts. */
function heardOfCancel(
  job: DistributionJob,
  { status, server }: { readonly status: PackageStatus; readonly server: PackageServer },
  nowMs: number,
): TransferOutcome {
  const isOfNewest = job.cancels === status.jobSerial && server.action === 'none';
  if (!isOfNewest || job.state !== 'complete') return unheeded(status);
  const { heldVersion: installedVersion = 0, verifiedHash = '' } = job;
  const wasRemoval = isRemoving(status.state);
  if (wasRemoval && installedVersion === 0) return removed();
  const held = { ...status, installedVersion, verifiedHash, changedAtMs: nowMs };
  if (!wasRemoval && installedVersion > 0 && installedVersion === status.targetVersion) {
    const installed = { ...held, state: 'installed', reason: '' } as const;
    return { status: installed, isUnassigned: false, messageId: 2330 };
  }
  return unheeded({ ...held, reason: cancelledReason });
}

function unheeded(status: PackageStatus): TransferOutcome {
  return { status, isUnassigned: false, messageId: undefined };
}

function overtaken(job: DistributionJob, status: PackageStatus, nowMs: number): TransferOutcome {
  // The newer job has told already what the DP holds, and knows better.
  if (hasEnded(status.state)) return unheeded(status);
  const held = { ...status, ...heldAfter(job), changedAtMs: nowMs };
  const isUpdating = held.state === 'content-updating' || held.state === 'install-pending';
  const installing = held.installedVersion > 0 ? 'content-updating' : 'install-pending';
  return {
    status: { ...held, state: isUpdating ? installing : held.state },
    isUnassigned: false,
    messageId: isRemoval(job) ? 2331 : 2330,
  };
}

function heldAfter(job: DistributionJob): Pick<PackageStatus, 'installedVersion' | 'verifiedHash'> {
  if (isRemoval(job)) return { installedVersion: 0, verifiedHash: '' };
  return { installedVersion: job.sourceVersion, verifiedHash: job.verifiedHash ?? '' };
}

function isRemoval(job: DistributionJob): boolean {
  return job.action === 'remove';
}

function isRemoving(state: PackageStatusState): boolean {
  return state.startsWith('removal-');
}

function hasEnded(state: PackageStatusState): boolean {
  return state === 'installed' || state === 'install-failed' || state === 'removal-failed';
}

function siteStateOf(sitePackage: SitePackage): PackageStatusState {
  const isUpdate = sitePackage.sourceVersion > 0;
  // Content of another site is not tried for here; it comes.
  const isWaiting = sitePackage.reason === '' || sitePackage.awaitedVersion !== undefined;
  const waiting = {
    pending: isWaiting ? 'install-pending' : 'install-retrying',
    snapshot: 'install-pending',
    published: 'installed',
    failed: 'install-failed',
    deleting: 'removal-pending',
    deleted: 'removal-pending',
  } as const satisfies Record<SitePackageState, PackageStatusState>;
  const state = waiting[sitePackage.state];
  return state === 'install-pending' && isUpdate ? 'content-updating' : state;
}

function siteTargetVersionOf(sitePackage: SitePackage): number {
  if (sitePackage.state === 'deleting' || sitePackage.state === 'deleted') return 0;
  const { awaitedVersion, sourceVersion, state } = sitePackage;
  if (awaitedVersion !== undefined) return Math.max(1, awaitedVersion, sourceVersion);
  return state === 'published' ? sourceVersion : sourceVersion + 1;
}

import type { DistributionJob, JobAction } from './distribution-job.ts';
import type { PackageStatus } from './package-status.ts';
import type { PackageServer, PackageServerAction, SitePackage } from './site-package.ts';

/** What Distribution Manager does for one row of "package servers". */
export type PackageServerWork =
  | { readonly kind: 'nothing' }
  /** The package has no version yet; publishing one comes back here. */
  | { readonly kind: 'wait-for-version' }
  /** The row goes without a job: its DP is gone, or nothing was ever sent to it. */
  | { readonly kind: 'drop' }
  | { readonly kind: 'job'; readonly action: JobAction; readonly sourceVersion: number };

/** The rows a decision about a package on a DP rests on; all read in one turn. */
export interface PackageServerRows {
  readonly sitePackage: SitePackage | undefined;
  readonly server: PackageServer | undefined;
  readonly status: PackageStatus | undefined;
  /** Whether the DP belongs to the site. */
  readonly isDistributionPointKnown: boolean;
  /** The job `status` speaks of, while it is open. */
  readonly openJob: DistributionJob | undefined;
}

/** The work that is due, from the rows alone: asked twice, it answers the same. */
export function packageServerWork(rows: PackageServerRows): PackageServerWork {
  const { sitePackage, server, status } = rows;
  if (!server) return { kind: 'nothing' };
  if (!rows.isDistributionPointKnown || !sitePackage) return { kind: 'drop' };
  if (server.action === 'none') return { kind: 'nothing' };
  if (server.action === 'remove') {
    const wasNeverSent = !status || status.jobSerial === 0;
    if (wasNeverSent) return { kind: 'drop' };
    return { kind: 'job', action: 'remove', sourceVersion: sitePackage.sourceVersion };
  }
  if (sitePackage.sourceVersion === 0) return { kind: 'wait-for-version' };
  const action = jobActionOf(server.action, rows.openJob);
  return { kind: 'job', action, sourceVersion: sitePackage.sourceVersion };
}

/** The action a newly published version leaves at a DP that is to have the package. */
export function actionAfterPublishing(server: PackageServer): PackageServerAction {
  // Distribute and redistribute bring the newest version anyway; a removal is not undone.
  return server.action === 'none' && server.intent === 'installed' ? 'update' : server.action;
}

function jobActionOf(
  action: Exclude<PackageServerAction, 'none' | 'remove'>,
  openJob: DistributionJob | undefined,
): JobAction {
  // A repair that has not finished is not lost when a newer version overtakes it.
  const isRepair = action === 'redistribute' || openJob?.action === 'redistribute';
  return isRepair ? 'redistribute' : 'add';
}

import { toPendingStatus } from '../../shared/domain/package-status-moves.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageStore } from './package-store.ts';

/** The package leaves every DP of this site. Inside a turn of the package, with the write. */
export async function removalChanges(
  packages: PackageStore,
  packageId: string,
  nowMs: number,
): Promise<Change[]> {
  const changes: Change[] = [];
  for (const server of await packages.serversOf(packageId)) {
    const { dpId } = server;
    const status = await packages.getStatus(packageId, dpId);
    const pending = { packageId, dpId, status, isRemoval: true, targetVersion: 0 };
    const removed = { ...server, intent: 'removed', action: 'remove', changedAtMs: nowMs } as const;
    changes.push(packages.putServer(removed), packages.putStatus(toPendingStatus(pending, nowMs)));
  }
  return changes;
}

/** What notifications of a package's jobs are made from. */
export interface JobNotificationNeeds {
  readonly store: Pick<StateStore, 'records'>;
  readonly packages: PackageStore;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
}

/**
 * Makes Package Transfer Manager look at the package's jobs again, one for the newest of each DP, and
 * the Scheduler at its mini-jobs, the newest of each site; it passes over those that have ended.
 */
export async function jobNotifications(
  { store, packages, notifier }: JobNotificationNeeds,
  packageId: string,
): Promise<Change[]> {
  const changes: Change[] = [];
  const deliveries = store.records(keySpaces.siteDeliveries);
  for await (const [, { jobId }] of deliveries.list({ prefix: `${packageId}/` })) {
    changes.push(notifier.notification('mini-job', jobId));
  }
  for (const { dpId } of await packages.serversOf(packageId)) {
    const jobSerial = (await packages.getStatus(packageId, dpId))?.jobSerial ?? 0;
    if (jobSerial > 0) changes.push(notifier.notification('distribution-job', joinKey(jobSerial)));
  }
  return changes;
}

import { toPendingStatus } from '../../shared/domain/package-status-moves.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey } from '../../shared/state-store/key-space.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
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

/** Makes Package Transfer Manager look at the package's jobs again; one for the newest of each DP. */
export async function jobNotifications(
  {
    packages,
    notifier,
  }: { packages: PackageStore; notifier: Pick<ChangeNotifier, 'notification'> },
  packageId: string,
): Promise<Change[]> {
  const changes: Change[] = [];
  for (const { dpId } of await packages.serversOf(packageId)) {
    const jobSerial = (await packages.getStatus(packageId, dpId))?.jobSerial ?? 0;
    if (jobSerial > 0) changes.push(notifier.notification('distribution-job', joinKey(jobSerial)));
  }
  return changes;
}

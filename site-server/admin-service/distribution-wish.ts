import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { pendingStatus } from '../distribution-manager/hierarchy-wishes.ts';
import type { DistributionTargetsComponents, Target } from './distribution-targets.ts';

/** What writing wishes about packages on DPs needs. */
export interface DistributionWishNeeds extends DistributionTargetsComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly newUuid: () => string;
  /** Later than all that was said before, here or, as far as it is known here, anywhere. */
  readonly nextMs: () => number;
}

export type WantedAction = 'add' | 'redistribute' | 'remove';

/** The changes that make this the wish for a target; for a DP of this site its rows, too. */
export function wishChanges(
  needs: DistributionWishNeeds,
  sitePackage: SitePackage,
  work: {
    readonly target: Target;
    readonly action: WantedAction;
    readonly nowMs: number;
    readonly wishedAtMs: number;
  },
): Change[] {
  const { target, action, nowMs, wishedAtMs } = work;
  const { packages, hierarchyPackages, newUuid } = needs;
  const { packageId } = sitePackage;
  const { dpId, siteCode, status } = target;
  const isRemoval = action === 'remove';
  const intent = isRemoval ? 'removed' : 'installed';
  const wish = { packageId, dpId, intent, action, wishId: newUuid() } as const;
  const assignment = { ...wish, siteCode, wishedAtMs };
  const changes = [hierarchyPackages.putAssignment(assignment)];
  if (!target.isOwn) return changes;
  return [
    ...changes,
    packages.putServer({ ...wish, changedAtMs: nowMs }),
    packages.putStatus(pendingStatus(sitePackage, { dpId, isRemoval, status, nowMs })),
  ];
}

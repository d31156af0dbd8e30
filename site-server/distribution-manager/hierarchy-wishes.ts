import type { PackageAssignment } from '../../shared/domain/hierarchy-package.ts';
import { wishEffect } from '../../shared/domain/hierarchy-package-work.ts';
import {
  awaitedReason,
  isForeign,
  isLeaving,
  newestVersionOf,
} from '../../shared/domain/package-processing.ts';
import type { PackageStatus } from '../../shared/domain/package-status.ts';
import { toPendingStatus } from '../../shared/domain/package-status-moves.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { HierarchyPackageRows } from './hierarchy-package-rows.ts';
import type { PackageStore } from './package-store.ts';

/** What acting on wishes needs. */
export interface HierarchyWishesComponents {
  readonly packages: PackageStore;
  readonly hierarchyPackages: Pick<HierarchyPackageRows, 'assignmentsOf' | 'siteCode'>;
  readonly hierarchy: Pick<HierarchyManager, 'get'>;
  readonly clock: Pick<Clock, 'nowMs'>;
}

/**
 * Turns what administrators anywhere want of a package on DPs of this site ("package assignments") into
 * this site's own rows: each wish once, and of several only the newest.
 */
export class HierarchyWishes {
  readonly #components: HierarchyWishesComponents;

  constructor(components: HierarchyWishesComponents) {
    this.#components = components;
  }

  /** What the wishes change. Inside a turn of the package, with the write. */
  async changesOf(sitePackage: SitePackage): Promise<Change[]> {
    const { hierarchy, hierarchyPackages } = this.#components;
    const changes: Change[] = [];
    for (const wish of await hierarchyPackages.assignmentsOf(sitePackage.packageId)) {
      if (wish.siteCode !== hierarchyPackages.siteCode || !(await hierarchy.get(wish.dpId)))
        continue;
      changes.push(...(await this.#actOn(wish, sitePackage)));
    }
    return changes;
  }

  async #actOn(wish: PackageAssignment, sitePackage: SitePackage): Promise<Change[]> {
    const { packages } = this.#components;
    const { packageId, dpId } = wish;
    const server = await packages.getServer(packageId, dpId);
    const status = await packages.getStatus(packageId, dpId);
    const effect = wishEffect(wish, { server, status, isLeaving: isLeaving(sitePackage) });
    if (!effect) return [];
    const changes = [packages.putServer(effect.server)];
    if (effect.isWork) changes.push(packages.putStatus(this.#pending(wish, sitePackage, status)));
    return changes;
  }

  #pending(
    { dpId, action }: PackageAssignment,
    sitePackage: SitePackage,
    status: PackageStatus | undefined,
  ): PackageStatus {
    const isRemoval = action === 'remove';
    return pendingStatus(sitePackage, {
      dpId,
      isRemoval,
      status,
      nowMs: this.#components.clock.nowMs(),
    });
  }
}

/** The status of a package on a DP once there is something to do; what it waits for, it says (DM-3). */
export function pendingStatus(
  sitePackage: SitePackage,
  work: {
    readonly dpId: string;
    readonly isRemoval: boolean;
    readonly status: PackageStatus | undefined;
    readonly nowMs: number;
  },
): PackageStatus {
  const { packageId, sourceVersion } = sitePackage;
  const targetVersion = work.isRemoval ? 0 : Math.max(1, newestVersionOf(sitePackage));
  const pending = toPendingStatus({ ...work, packageId, targetVersion }, work.nowMs);
  const isAwaited = !work.isRemoval && isForeign(sitePackage) && sourceVersion === 0;
  return isAwaited ? { ...pending, reason: awaitedReason(sitePackage) } : pending;
}

import { contentNamesOf } from '../../shared/domain/content-location.ts';
import { isWishOfGroup } from '../../shared/domain/distribution-point-group.ts';
import type { PackageAssignment } from '../../shared/domain/hierarchy-package.ts';
import {
  isDamagedCopy,
  wishEffect,
  withDamage,
} from '../../shared/domain/hierarchy-package-work.ts';
import {
  awaitedReason,
  isForeign,
  isLeaving,
  newestVersionOf,
} from '../../shared/domain/package-processing.ts';
import type { PackageStatus } from '../../shared/domain/package-status.ts';
import { toPendingStatus } from '../../shared/domain/package-status-moves.ts';
import type {
  PackageServer,
  PackageServerIntent,
  SitePackage,
} from '../../shared/domain/site-package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey } from '../../shared/state-store/key-space.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import type { ContentDpMap } from '../hierarchy-manager/content-dp-map.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { HierarchyPackageRows } from './hierarchy-package-rows.ts';
import type { PackageStore } from './package-store.ts';

/** What acting on wishes needs. */
export interface HierarchyWishesComponents {
  readonly packages: PackageStore;
  readonly hierarchyPackages: Pick<
    HierarchyPackageRows,
    'assignmentsOf' | 'kept' | 'ownContent' | 'putOwnContent'
  >;
  readonly hierarchy: Pick<HierarchyManager, 'get'>;
  readonly contentMap: Pick<ContentDpMap, 'gone'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  /** Rows of this site may be missing. */
  readonly isStoreDamaged: boolean;
  readonly clock: Pick<Clock, 'nowMs'>;
}

/** What follows from the wishes for one DP. */
export interface ServerEffect {
  readonly dpId: string;
  /** What is to be there then; undefined: nothing is wanted of it. */
  readonly intent: PackageServerIntent | undefined;
  readonly changes: readonly Change[];
}

/**
 * Turns what administrators anywhere want of a package on DPs of this site ("package assignments", and
 * what follows from groups) into this site's own rows: each wish once, and of several only the newest. What
 * follows from a group is kept ("group wishes") in the batch in which it is acted on: the DP keeps the
 * package when it leaves the group.
 */
export class HierarchyWishes {
  readonly #components: HierarchyWishesComponents;

  constructor(components: HierarchyWishesComponents) {
    this.#components = components;
  }

  /** What follows from the wishes. Inside a turn of the package, with the write. */
  async effectsOf(sitePackage: SitePackage): Promise<ServerEffect[]> {
    const { hierarchy, hierarchyPackages } = this.#components;
    const wishes = await hierarchyPackages.assignmentsOf(sitePackage.packageId);
    const effects: ServerEffect[] = [];
    for (const wish of wishes) {
      // Whose the DP is, its own site knows best.
      if (!(await hierarchy.get(wish.dpId))) continue;
      const effect = await this.#actOn(wish, sitePackage);
      if (effect) effects.push(effect);
    }
    const dpIds = new Set(wishes.map(({ dpId }) => dpId));
    return [...effects, ...(await this.#unwished(sitePackage, dpIds))];
  }

  async #actOn(
    wish: PackageAssignment,
    sitePackage: SitePackage,
  ): Promise<ServerEffect | undefined> {
    const { packages } = this.#components;
    const { packageId, dpId } = wish;
    const server = await packages.getServer(packageId, dpId);
    const status = await packages.getStatus(packageId, dpId);
    const kept = await this.#kept(wish, sitePackage);
    const effect = wishEffect(wish, { server, status, isLeaving: isLeaving(sitePackage) });
    if (!effect && kept.length === 0) return undefined;
    if (!effect) return { dpId, intent: server?.intent, changes: kept };
    const changes = [...kept, packages.putServer(effect.server)];
    if (wish.action !== 'remove') changes.push(...(await this.#copyWished(sitePackage)));
    if (effect.isWork) changes.push(packages.putStatus(this.#pending(wish, sitePackage, status)));
    return { dpId, intent: effect.server.intent, changes };
  }

  /** Who asks anew for what is damaged at this site, and does not come by itself, gets it. */
  async #copyWished(sitePackage: SitePackage): Promise<Change[]> {
    if (!isForeign(sitePackage)) return [];
    const { hierarchyPackages, clock } = this.#components;
    const content = await hierarchyPackages.ownContent(sitePackage.packageId);
    if (!content || !isDamagedCopy(content)) return [];
    if (content.needsFull && content.refusedJobId === '') return [];
    const asked = { reason: content.reason, isToCome: true };
    return [hierarchyPackages.putOwnContent(withDamage(content, asked, clock.nowMs()))];
  }

  async #kept(wish: PackageAssignment, sitePackage: SitePackage): Promise<Change[]> {
    if (isLeaving(sitePackage) || !isWishOfGroup(wish)) return [];
    return this.#components.hierarchyPackages.kept(wish);
  }

  /**
   * Rows of wishes that were taken back with their DP, elsewhere: the DP was added anew since, and nothing
   * is wanted of it. It keeps its files, as one does that is deleted.
   */
  async #unwished(
    sitePackage: SitePackage,
    wishedIds: ReadonlySet<string>,
  ): Promise<ServerEffect[]> {
    const { packages, isStoreDamaged } = this.#components;
    // After damage it may be that the wishes are still to come; of what is deleted, all leave.
    if (isStoreDamaged || isLeaving(sitePackage)) return [];
    const effects: ServerEffect[] = [];
    for (const server of await packages.serversOf(sitePackage.packageId)) {
      const isUnwished = server.wishId !== undefined && !wishedIds.has(server.dpId);
      if (!isUnwished || server.intent !== 'installed') continue;
      const changes = await this.#gone(sitePackage, server);
      effects.push({ dpId: server.dpId, intent: undefined, changes });
    }
    return effects;
  }

  async #gone(sitePackage: SitePackage, { packageId, dpId }: PackageServer): Promise<Change[]> {
    const { packages, contentMap, notifier } = this.#components;
    const jobSerial = (await packages.getStatus(packageId, dpId))?.jobSerial ?? 0;
    const job =
      jobSerial > 0 ? [notifier.notification('distribution-job', joinKey(jobSerial))] : [];
    return [
      packages.deleteServer(packageId, dpId),
      packages.deleteStatus(packageId, dpId),
      ...(await contentMap.gone(dpId, contentNamesOf(sitePackage, packageId))),
      ...job,
    ];
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

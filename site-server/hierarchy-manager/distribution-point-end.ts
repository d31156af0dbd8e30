import { contentNamesOf } from '../../shared/domain/content-location.ts';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { ownValidationsGone } from '../content-validation/validations-gone.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import { deletedDpReason, revocationsOf } from '../revocations/revocation-rows.ts';
import { assignmentsGone } from './assignments-gone.ts';
import type { ContentDpMap } from './content-dp-map.ts';
import { lookAgainAt, openJobsOf } from './distribution-point-jobs.ts';
import { linksWithout } from './links-without.ts';
import { pullMapChanges, withoutSource } from './pull-settings.ts';

export interface DistributionPointEndNeeds {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly packages: Pick<PackageStore, 'packages' | 'turn' | 'deleteServer' | 'deleteStatus'>;
  readonly contentMap: Pick<ContentDpMap, 'allGone' | 'gone'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly siteCode: string;
}

/** The administrator who deletes a DP here. */
export interface DeletedBy {
  readonly deletedBy: string;
}

/** What goes with a DP that is deleted. */
export class DistributionPointEnd {
  readonly #needs: DistributionPointEndNeeds;

  constructor(needs: DistributionPointEndNeeds) {
    this.#needs = needs;
  }

  /** The packages that are assigned to a DP. */
  async packagesOf(dpId: string): Promise<string[]> {
    const packageIds: string[] = [];
    for await (const [, server] of this.#needs.store.records(keySpaces.packageServers).list()) {
      if (server.dpId === dpId) packageIds.push(server.packageId);
    }
    return packageIds;
  }

  /** All that goes with its row, for one batch. */
  async changes(
    distributionPoint: DistributionPoint,
    from: 'hierarchy' | DeletedBy,
    packageIds: readonly string[],
  ): Promise<Change[]> {
    const { dpId } = distributionPoint;
    const { store, notifier, siteCode } = this.#needs;
    const changes: Change[] = [this.#points.delete(dpId)];
    changes.push(store.records(keySpaces.distributionPointHealth).delete(dpId));
    if (from !== 'hierarchy') changes.push(...(await this.#untold(dpId)));
    changes.push(...(await this.#revoked(dpId, from)));
    for (const packageId of packageIds) changes.push(...this.#wake(packageId));
    changes.push(...pullMapChanges(store, distributionPoint, undefined));
    changes.push(...(await this.#withoutSource(dpId)));
    const jobs = lookAgainAt(notifier, await openJobsOf(store, dpId));
    changes.push(...(await this.#contentsOf(dpId)), ...jobs);
    changes.push(...(await ownValidationsGone(store, { siteCode, dpId })));
    return changes;
  }

  /** Distribution Manager would see to this too, after a crash; so it is done when this ends. */
  async unassign(dpId: string, packageIds: readonly string[]): Promise<void> {
    const { packages, store } = this.#needs;
    for (const packageId of packageIds) {
      await packages.turn(packageId, async () => {
        const rows = [
          packages.deleteServer(packageId, dpId),
          packages.deleteStatus(packageId, dpId),
          // A result may have been taken since the DP's rows went.
          ...(await this.#locationsAt(dpId, packageId)),
        ];
        await store.write([...rows, ...this.#wake(packageId)], { sync: false });
      });
    }
  }

  /** The DP goes for all sites, with what was wanted of it. */
  async #untold(dpId: string): Promise<Change[]> {
    const { store } = this.#needs;
    const isGoneDp = (one: string) => one === dpId;
    const changes = await assignmentsGone(store, dpId);
    changes.push(...(await linksWithout(store, { isGoneDp })));
    // A row that is not there is not deleted: that would be news to every site.
    if (await this.#replicated.get(dpId)) changes.push(this.#replicated.delete(dpId));
    return changes;
  }

  /** No other DP has a DP that goes among its sources any more. */
  async #withoutSource(dpId: string): Promise<Change[]> {
    const { store } = this.#needs;
    const changes: Change[] = [];
    for await (const [, point] of this.#points.list()) {
      const next = withoutSource(point, dpId);
      if (next === point || point.dpId === dpId) continue;
      changes.push(this.#points.put(next.dpId, next), ...pullMapChanges(store, point, next));
      changes.push(this.#replicated.put(next.dpId, next));
    }
    return changes;
  }

  /** Deleted at another site: certificates may have been renewed here since. One that another site has is its. */
  async #revoked(dpId: string, from: 'hierarchy' | DeletedBy): Promise<readonly Change[]> {
    if (from === 'hierarchy' && (await this.#replicated.get(dpId))) return [];
    const own = toIdentityUri({ kind: 'site', siteCode: this.#needs.siteCode });
    const revokedBy = from === 'hierarchy' ? own : from.deletedBy;
    const why = { reason: deletedDpReason, revokedBy };
    return (await revocationsOf(this.#needs, [`dp/${dpId}`], why)).changes;
  }

  /** What is known of contents at a DP that goes, and what it said of its jobs. */
  async #contentsOf(dpId: string): Promise<Change[]> {
    const { store, contentMap } = this.#needs;
    const changes = await contentMap.allGone({ dpId });
    const responses = store.records(keySpaces.pullDpResponse);
    for await (const [key] of responses.list({ prefix: `${dpId}/` })) {
      changes.push(responses.delete(key));
    }
    return changes;
  }

  async #locationsAt(dpId: string, packageId: string): Promise<Change[]> {
    const { packages, contentMap } = this.#needs;
    const names = contentNamesOf(await packages.packages.get(packageId), packageId);
    return contentMap.gone(dpId, names);
  }

  /** Whoever acts on the package's DPs here, and whoever says whether one is to have it. */
  #wake(packageId: string): Change[] {
    const { notifier } = this.#needs;
    return [
      notifier.notification('package', packageId),
      notifier.notification('hierarchy-package', packageId),
    ];
  }

  get #points() {
    return this.#needs.store.records(keySpaces.distributionPoints);
  }

  /** The DPs of all sites, as administrators define them. */
  get #replicated() {
    return this.#needs.store.records(keySpaces.hierarchyDistributionPoints);
  }
}

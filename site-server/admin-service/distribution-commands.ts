import type { JobAction } from '../../shared/domain/distribution-job.ts';
import { withUpdateAccepted } from '../../shared/domain/package-processing.ts';
import { isFailed, type PackageStatus } from '../../shared/domain/package-status.ts';
import { toPendingStatus } from '../../shared/domain/package-status-moves.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type {
  PackageServer,
  PackageServerAction,
  SitePackage,
} from '../../shared/domain/site-package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import { requireStaying } from './package-commands.ts';
import type { PackageStatusQuery, RequestedTargets } from './package-requests.ts';

/** What commands about packages on DPs need. */
export interface DistributionCommandsComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly packages: PackageStore;
  readonly hierarchy: Pick<HierarchyManager, 'list' | 'require'>;
  readonly clock: Pick<Clock, 'nowMs'>;
}

/** A package on a DP as the rows have it. */
interface Target {
  readonly dpId: string;
  readonly server: PackageServer | undefined;
  readonly status: PackageStatus | undefined;
}

/** What runs again. */
interface Retried {
  readonly dpIds: string[];
  readonly packageIds: string[];
}

type WantedAction = Exclude<PackageServerAction, 'none' | 'update'>;

/**
 * What an administrator does to packages on DPs: distribute (PKG-4), redistribute (PKG-6), remove
 * (PKG-7), retry (ADM-1). Only the wish is written, in one synced batch a package; the newest wish
 * of a package on a DP is what Distribution Manager acts on.
 */
export class DistributionCommands {
  readonly #components: DistributionCommandsComponents;

  constructor(components: DistributionCommandsComponents) {
    this.#components = components;
  }

  /**
   * Sends a package to DPs that do not have it, or do not have it for sure.
   *
   * @returns the DPs for which something will happen
   * @throws PACKAGE_UNKNOWN, PACKAGE_STATE_CONFLICT, DISTRIBUTION_POINT_UNKNOWN
   */
  async distribute({ packageId, dpIds }: RequestedTargets): Promise<string[]> {
    const names = dpIds === 'all' ? await this.#allDpIds() : dpIds;
    if (names.length === 0) {
      const expected = 'at least one distribution point at this site; "waybill dp add" adds one';
      throw requestInvalid('all_dps', { expected, actual: 'none' });
    }
    for (const dpId of names) await this.#components.hierarchy.require(dpId);
    return this.#want(packageId, 'add', async (sitePackage) => {
      requireStaying(sitePackage);
      const targets = await this.#targets(packageId, names);
      return targets.filter((target) => !isOnItsWay(target));
    });
  }

  /**
   * Sends every file again to DPs that are meant to have the package.
   *
   * @returns the DPs for which something will happen
   * @throws PACKAGE_UNKNOWN, PACKAGE_STATE_CONFLICT, DISTRIBUTION_POINT_UNKNOWN
   * @throws REQUEST_INVALID when a DP that is named does not have the package
   */
  async redistribute({ packageId, dpIds }: RequestedTargets): Promise<string[]> {
    if (dpIds !== 'all') await this.#requireAll(dpIds);
    return this.#want(packageId, 'redistribute', async (sitePackage) => {
      requireStaying(sitePackage);
      const targets = await this.#targets(packageId, await this.#names(packageId, dpIds));
      const strangers = targets.filter(({ server }) => server?.intent !== 'installed');
      const [stranger] = strangers;
      if (stranger && dpIds !== 'all') {
        const expected = `a distribution point that package ${packageId} was distributed to`;
        throw requestInvalid('dp_ids', { expected, actual: stranger.dpId });
      }
      return targets.filter((target) => !strangers.includes(target));
    });
  }

  /**
   * Takes a package off DPs. Those that do not have it are passed over.
   *
   * @returns the DPs for which something will happen
   * @throws PACKAGE_UNKNOWN, DISTRIBUTION_POINT_UNKNOWN
   */
  async remove({ packageId, dpIds }: RequestedTargets): Promise<string[]> {
    if (dpIds !== 'all') await this.#requireAll(dpIds);
    return this.#want(packageId, 'remove', async () => {
      const targets = await this.#targets(packageId, await this.#names(packageId, dpIds));
      return targets.filter(({ server, status }) => {
        if (!server) return false;
        return server.intent === 'installed' || (status !== undefined && isFailed(status.state));
      });
    });
  }

  /**
   * Makes everything that failed run again now, snapshots included.
   *
   * @returns the DPs for which something will happen, and the packages whose source is read again
   */
  async retryFailed(query: PackageStatusQuery): Promise<Retried> {
    const failed = new Map<string, string[]>();
    const prefix = query.packageId === undefined ? {} : { prefix: `${query.packageId}/` };
    for await (const [, status] of this.#components.packages.statuses.list(prefix)) {
      if (!isFailed(status.state) || (query.dpId ?? status.dpId) !== status.dpId) continue;
      failed.set(status.packageId, [...(failed.get(status.packageId) ?? []), status.dpId]);
    }
    const dpIds = new Set<string>();
    const packageIds = new Set<string>();
    for (const [packageId, targets] of failed) {
      for (const target of await this.#retry(packageId, targets)) {
        if (target === '') packageIds.add(packageId);
        else dpIds.add(target);
      }
    }
    return { dpIds: [...dpIds].sort(), packageIds: [...packageIds].sort() };
  }

  /** @returns the DPs that are tried again; an empty name for the source */
  #retry(packageId: string, dpIds: readonly string[]): Promise<string[]> {
    const { packages, store, notifier, clock } = this.#components;
    return packages.turn(packageId, async () => {
      const sitePackage = await packages.packages.get(packageId);
      if (!sitePackage) return [];
      const nowMs = clock.nowMs();
      const changes: Change[] = [];
      const retried: string[] = [];
      for (const target of await this.#targets(packageId, dpIds)) {
        // Looked at again in the package's turn: meanwhile it may have been mended.
        if (!target.server || !target.status || !isFailed(target.status.state)) continue;
        const action = await this.#actionToRetry(target.server, target.status);
        changes.push(...this.#wish(sitePackage, { target, action, nowMs }));
        retried.push(target.dpId);
      }
      if (dpIds.includes('') && sitePackage.state === 'failed') {
        changes.push(...packages.put(withUpdateAccepted(sitePackage, nowMs)));
        retried.push('');
      }
      if (changes.length === 0) return [];
      await store.write([...changes, notifier.notification('package', packageId)], { sync: true });
      return retried;
    });
  }

  async #actionToRetry(server: PackageServer, status: PackageStatus): Promise<WantedAction> {
    if (server.intent === 'removed') return 'remove';
    const history = this.#components.store.records(keySpaces.jobHistory);
    const failedJob = await history.get(joinKey(status.jobSerial));
    const action: JobAction = failedJob?.action ?? 'add';
    return action === 'redistribute' ? 'redistribute' : 'add';
  }

  /** Writes the wish for the targets `choose` picks in the package's turn. */
  #want(
    packageId: string,
    action: WantedAction,
    choose: (sitePackage: SitePackage) => Promise<Target[]>,
  ): Promise<string[]> {
    const { packages, store, notifier, clock } = this.#components;
    return packages.turn(packageId, async () => {
      const sitePackage = await packages.require(packageId);
      const targets = await choose(sitePackage);
      if (targets.length === 0) return [];
      const nowMs = clock.nowMs();
      const changes = targets.flatMap((target) =>
        this.#wish(sitePackage, { target, action, nowMs }),
      );
      await store.write([...changes, notifier.notification('package', packageId)], { sync: true });
      return targets.map(({ dpId }) => dpId);
    });
  }

  #wish(
    { packageId, sourceVersion }: SitePackage,
    { target, action, nowMs }: { target: Target; action: WantedAction; nowMs: number },
  ): Change[] {
    const { packages } = this.#components;
    const { dpId, status } = target;
    const isRemoval = action === 'remove';
    const targetVersion = isRemoval ? 0 : Math.max(1, sourceVersion);
    const pending = { packageId, dpId, status, isRemoval, targetVersion };
    const intent = isRemoval ? 'removed' : 'installed';
    return [
      packages.putServer({ packageId, dpId, intent, action, changedAtMs: nowMs }),
      packages.putStatus(toPendingStatus(pending, nowMs)),
    ];
  }

  async #targets(packageId: string, dpIds: readonly string[]): Promise<Target[]> {
    const { packages } = this.#components;
    const targets: Target[] = [];
    for (const dpId of dpIds) {
      const server = await packages.getServer(packageId, dpId);
      targets.push({ dpId, server, status: await packages.getStatus(packageId, dpId) });
    }
    return targets;
  }

  async #names(packageId: string, dpIds: readonly string[] | 'all'): Promise<readonly string[]> {
    if (dpIds !== 'all') return dpIds;
    const servers = await this.#components.packages.serversOf(packageId);
    return servers.map(({ dpId }) => dpId);
  }

  async #allDpIds(): Promise<string[]> {
    const names: string[] = [];
    for await (const { dpId } of this.#components.hierarchy.list()) names.push(dpId);
    return names;
  }

  async #requireAll(dpIds: readonly string[]): Promise<void> {
    for (const dpId of dpIds) await this.#components.hierarchy.require(dpId);
  }
}

/** Whether distributing would change nothing: the DP has it, or is getting it. */
function isOnItsWay({ server, status }: Target): boolean {
  if (server?.intent !== 'installed') return false;
  return status === undefined || !isFailed(status.state);
}

import { isForeign } from '../../shared/domain/package-processing.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { Package as PackageMessage } from '../../shared/rpc/generated/waybill/v1/Package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { SnapshotProgress } from '../distribution-manager/snapshot-progress.ts';
import { ChangedKeys } from './changed-keys.ts';
import { type PackageCountsComponents, packageCounts } from './package-counts.ts';
import { toPackageMessage } from './package-messages.ts';
import { toSeenPackage } from './seen-package.ts';

/** What the view of packages needs. */
export interface PackageViewComponents extends PackageCountsComponents {
  readonly store: Pick<StateStore, 'onWritten'>;
  readonly progress: SnapshotProgress;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

/** A watcher hears of the progress of a snapshot at most this often; of all else at once. */
const progressIntervalMs = 250;

/** Packages as administrators see them: rows, counts, and the progress of a running snapshot. */
export class PackageView {
  readonly #components: PackageViewComponents;

  constructor(components: PackageViewComponents) {
    this.#components = components;
  }

  /** One package with all there is to say. @throws PACKAGE_UNKNOWN */
  async get(packageId: string): Promise<PackageMessage> {
    return this.toMessage(await this.#components.packages.require(packageId));
  }

  /** All packages, by package ID, without their icons. */
  async *list(): AsyncGenerator<PackageMessage> {
    for await (const [, row] of this.#components.packages.packages.list()) {
      yield await this.#toMessage(row, false);
    }
  }

  /**
   * A package now and at every change, without its icon. Ends when it is deleted or the signal
   * fires.
   *
   * @throws PACKAGE_UNKNOWN when it is not there at first
   */
  async *watch(packageId: string, signal: AbortSignal): AsyncGenerator<PackageMessage> {
    const { store, packages } = this.#components;
    using changed = new ChangedKeys(store, (change) => aboutPackage(change, packageId));
    const unsubscribe = this.#onProgress(packageId, () => changed.add(packageId));
    try {
      let last = await packages.require(packageId);
      yield await this.#toMessage(last, false);
      while ((await changed.next(signal)).length > 0) {
        const row = await packages.packages.get(packageId);
        yield await this.#toMessage(row ?? { ...last, state: 'deleted' }, false);
        if (!row) return;
        last = row;
      }
    } finally {
      unsubscribe();
    }
  }

  /** A row as a message, icon included. */
  toMessage(row: SitePackage): Promise<PackageMessage> {
    return this.#toMessage(row, true);
  }

  #onProgress(packageId: string, listener: () => void): () => void {
    const { progress, clock } = this.#components;
    let toldAtMs = Number.NEGATIVE_INFINITY;
    return progress.onProgress((id) => {
      const nowMs = clock.monotonicMs();
      if (id !== packageId || nowMs - toldAtMs < progressIntervalMs) return;
      toldAtMs = nowMs;
      listener();
    });
  }

  async #toMessage(row: SitePackage, hasIcon: boolean): Promise<PackageMessage> {
    const { hierarchyPackages, progress } = this.#components;
    const { packageId } = row;
    const counts = await packageCounts(this.#components, packageId);
    const isRunning = row.state === 'snapshot';
    const position = isRunning ? progress.get(packageId) : undefined;
    const storedVersion = row.sourceVersion;
    const assigned = await hierarchyPackages.groups.assignmentsOf(packageId);
    const having = assigned.filter(({ intent }) => intent === 'installed');
    const groupNames = having.map(({ groupName }) => groupName);
    const extras = { counts, progress: position, hasIcon, storedVersion, groupNames };
    if (!isForeign(row)) return toPackageMessage(row, extras);
    return toPackageMessage(
      toSeenPackage(row, {
        definition: await hierarchyPackages.definitions.get(packageId),
        published: await hierarchyPackages.published.get(packageId),
        requests: await hierarchyPackages.ownRequests(packageId),
      }),
      extras,
    );
  }
}

const tablesOfPackage: readonly string[] = [
  keySpaces.packages.name,
  keySpaces.packageDefinitions.name,
  keySpaces.publishedPackages.name,
];

const tablesOfCounts: readonly string[] = [
  keySpaces.packageServers.name,
  keySpaces.packageStatus.name,
  keySpaces.packageAssignments.name,
  keySpaces.groupAssignments.name,
  keySpaces.groupWishes.name,
  keySpaces.packageRequests.name,
  keySpaces.sitePackageStatus.name,
];

function aboutPackage(change: Change, packageId: string): string | undefined {
  const isRow = tablesOfPackage.includes(change.space) && change.key === packageId;
  const isCounted = tablesOfCounts.includes(change.space) && change.key.startsWith(`${packageId}/`);
  return isRow || isCounted ? packageId : undefined;
}

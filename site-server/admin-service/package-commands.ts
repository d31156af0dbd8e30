import { WaybillError } from '../../shared/domain/errors.ts';
import {
  type PackageProperties,
  packageIdCountMax,
  toPackageId,
} from '../../shared/domain/package.ts';
import { isLeaving, withUpdateAccepted } from '../../shared/domain/package-processing.ts';
import { toPendingStatus } from '../../shared/domain/package-status-moves.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { PackageSource, SitePackage } from '../../shared/domain/site-package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey } from '../../shared/state-store/key-space.ts';
import type { SerialCounter } from '../../shared/state-store/serial-counter.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import { requirePackageFits } from './package-size.ts';

/** What commands about packages need. */
export interface PackageCommandsComponents {
  readonly store: Pick<StateStore, 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly packages: PackageStore;
  /** The only counter of package IDs. */
  readonly packageIds: Pick<SerialCounter, 'next'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly newUuid: () => string;
  readonly siteCode: string;
}

/**
 * What an administrator does to packages. Each command is one synced batch: the row, and the
 * notification that makes Distribution Manager act; so an accepted command is never lost.
 */
export class PackageCommands {
  readonly #components: PackageCommandsComponents;

  constructor(components: PackageCommandsComponents) {
    this.#components = components;
  }

  /**
   * Defines a package (PKG-1).
   *
   * @throws PACKAGE_ID_EXHAUSTED, REQUEST_INVALID
   */
  async create(
    properties: PackageProperties,
    directories: readonly string[],
  ): Promise<SitePackage> {
    const { packages, store } = this.#components;
    requirePackageFits(properties, directories);
    const { packageId, change } = await this.#newId();
    const sitePackage = this.#newPackage(packageId, { properties, directories });
    const changes = [change, ...packages.put(sitePackage), this.#wake(packageId)];
    await store.write(changes, { sync: true });
    return sitePackage;
  }

  /** An ID nobody has: one may be taken by a package that was read back from the library. */
  async #newId(): Promise<{ packageId: string; change: Change }> {
    const { packageIds, packages, siteCode } = this.#components;
    for (;;) {
      const { value, change } = packageIds.next();
      if (value > packageIdCountMax) {
        throw new WaybillError({ code: 'PACKAGE_ID_EXHAUSTED', siteCode });
      }
      const packageId = toPackageId(siteCode, value);
      if (!(await packages.packages.get(packageId))) return { packageId, change };
    }
  }

  /**
   * Changes the properties, and from where the next update reads. Content stays as it is, so
   * nothing travels to the DPs. A new priority counts for jobs that are open, too (PTM-3).
   *
   * @param directories one for each source; none: they stay
   * @throws PACKAGE_UNKNOWN, PACKAGE_STATE_CONFLICT, REQUEST_INVALID, and what `change` throws
   */
  set(
    packageId: string,
    change: (properties: PackageProperties) => PackageProperties,
    directories: readonly string[],
  ): Promise<SitePackage> {
    return this.#change(packageId, async (sitePackage, nowMs) => {
      const properties = change(sitePackage.properties);
      const sources = withDirectories(sitePackage.sources, directories);
      requirePackageFits(
        properties,
        sources.map(({ directory }) => directory),
      );
      const changed = { ...sitePackage, properties, sources, updatedAtMs: nowMs };
      const isRanked = properties.priority !== sitePackage.properties.priority;
      const jobs = isRanked ? await this.#jobNotifications(packageId) : [];
      return {
        sitePackage: changed,
        changes: [...this.#components.packages.put(changed), ...jobs],
      };
    });
  }

  /**
   * Asks for a new snapshot of the source (PKG-5).
   *
   * @throws PACKAGE_UNKNOWN, PACKAGE_STATE_CONFLICT
   */
  update(packageId: string): Promise<SitePackage> {
    return this.#change(packageId, async (before, nowMs) => {
      const sitePackage = withUpdateAccepted(before, nowMs);
      const changes = [...this.#components.packages.put(sitePackage), this.#wake(packageId)];
      return { sitePackage, changes };
    });
  }

  /**
   * Removes the package from all DPs, then from the site (PKG-7). Of a package that is being
   * deleted already, asks for it again.
   *
   * @throws PACKAGE_UNKNOWN
   */
  delete(packageId: string): Promise<SitePackage> {
    const { packages, store, clock } = this.#components;
    return packages.turn(packageId, async () => {
      const before = await packages.require(packageId);
      const nowMs = clock.nowMs();
      const sitePackage: SitePackage = {
        ...before,
        state: 'deleting',
        reason: '',
        updatedAtMs: nowMs,
      };
      const changes = [...packages.put(sitePackage), this.#wake(packageId)];
      for (const server of await packages.serversOf(packageId)) {
        const removal = await this.#removal(server, nowMs);
        changes.push(...removal);
      }
      await store.write(changes, { sync: true });
      return sitePackage;
    });
  }

  /** One for the newest job of each DP, open or not. */
  async #jobNotifications(packageId: string): Promise<Change[]> {
    const { packages, notifier } = this.#components;
    const changes: Change[] = [];
    for (const { dpId } of await packages.serversOf(packageId)) {
      const jobSerial = (await packages.getStatus(packageId, dpId))?.jobSerial ?? 0;
      if (jobSerial > 0)
        changes.push(notifier.notification('distribution-job', joinKey(jobSerial)));
    }
    return changes;
  }

  async #removal(
    { packageId, dpId }: { packageId: string; dpId: string },
    changedAtMs: number,
  ): Promise<Change[]> {
    const { packages } = this.#components;
    const status = await packages.getStatus(packageId, dpId);
    const pending = { packageId, dpId, status, isRemoval: true, targetVersion: 0 };
    return [
      packages.putServer({ packageId, dpId, intent: 'removed', action: 'remove', changedAtMs }),
      packages.putStatus(toPendingStatus(pending, changedAtMs)),
    ];
  }

  #change(
    packageId: string,
    change: (
      sitePackage: SitePackage,
      nowMs: number,
    ) => Promise<{ sitePackage: SitePackage; changes: Change[] }>,
  ): Promise<SitePackage> {
    const { packages, store, clock } = this.#components;
    return packages.turn(packageId, async () => {
      const before = await packages.require(packageId);
      requireStaying(before);
      const { sitePackage, changes } = await change(before, clock.nowMs());
      await store.write(changes, { sync: true });
      return sitePackage;
    });
  }

  #newPackage(
    packageId: string,
    facts: { properties: PackageProperties; directories: readonly string[] },
  ): SitePackage {
    const nowMs = this.#components.clock.nowMs();
    return {
      packageId,
      properties: facts.properties,
      sourceSiteCode: this.#components.siteCode,
      sources: this.#newSources(packageId, facts.directories),
      sourceVersion: 0,
      packageHash: '',
      state: 'pending',
      reason: '',
      acceptedRequestCount: 1,
      handledRequestCount: 0,
      sourceUnchanged: false,
      createdAtMs: nowMs,
      updatedAtMs: nowMs,
    };
  }

  #newSources(packageId: string, directories: readonly string[]): PackageSource[] {
    const isPlain = directories.length === 1;
    return directories.map((directory) => ({
      directory,
      contentName: isPlain ? packageId : `Content_${this.#components.newUuid()}`,
    }));
  }

  #wake(packageId: string): Change {
    return this.#components.notifier.notification('package', packageId);
  }
}

function withDirectories(
  sources: readonly PackageSource[],
  directories: readonly string[],
): readonly PackageSource[] {
  if (directories.length === 0) return sources;
  if (directories.length !== sources.length) {
    const expected = `${sources.length}, one for each source of the package`;
    throw requestInvalid('source_directories', { expected, actual: `${directories.length}` });
  }
  return sources.map((source, index) => {
    return { ...source, directory: directories[index] ?? source.directory };
  });
}

/** @throws PACKAGE_STATE_CONFLICT when the package is being deleted */
export function requireStaying(sitePackage: SitePackage): void {
  if (!isLeaving(sitePackage)) return;
  const { packageId, state } = sitePackage;
  const expected = 'not being deleted';
  throw new WaybillError({ code: 'PACKAGE_STATE_CONFLICT', packageId, state, expected });
}

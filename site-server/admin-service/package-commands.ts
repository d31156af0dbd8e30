import { toContentName } from '../../shared/domain/content-location.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { PackageRequests } from '../../shared/domain/hierarchy-package.ts';
import { isSame, toDefinition } from '../../shared/domain/hierarchy-package-work.ts';
import { type PackageProperties, sourceSiteOf } from '../../shared/domain/package.ts';
import { isLeaving, withUpdateAccepted } from '../../shared/domain/package-processing.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { PackageSource, SitePackage } from '../../shared/domain/site-package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import { jobNotifications, removalChanges } from '../distribution-manager/package-changes.ts';
import type { PackageIds } from '../distribution-manager/package-ids.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import { requireOwnerSay } from './owner-say.ts';
import { requirePackageFits } from './package-size.ts';

/** What commands about packages need. */
export interface PackageCommandsComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly packages: PackageStore;
  readonly hierarchyPackages: HierarchyPackageRows;
  readonly packageIds: Pick<PackageIds, 'next'>;
  /** Whether the parent has given back all it had of this site. */
  readonly hasCaughtUp: () => boolean;
  /** The site above this one. */
  readonly parentSiteCode: string | undefined;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly newUuid: () => string;
  readonly siteCode: string;
  readonly sites: Pick<SiteDirectory, 'own' | 'tree'>;
}

/**
 * What an administrator does to packages, of this site or of another. Each command is one synced batch:
 * the row, what other sites are to know of it, and the notification that makes Distribution Manager act;
 * so an accepted command is never lost. Of a package of another site only what that is to know is written.
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
   * @throws SITE_NOT_CAUGHT_UP until the parent has told which packages this site once made
   */
  async create(
    properties: PackageProperties,
    directories: readonly string[],
  ): Promise<SitePackage> {
    const { packages, packageIds, store } = this.#components;
    requirePackageFits(properties, directories);
    this.#requireCaughtUp();
    const { packageId, change } = await packageIds.next();
    const sitePackage = this.#newPackage(packageId, { properties, directories });
    const definition = this.#definition(sitePackage);
    const changes = [change, ...packages.put(sitePackage), definition, this.#wake(packageId)];
    await store.write(changes, { sync: true });
    return sitePackage;
  }

  /**
   * Changes the properties, and from where the next update reads. Content stays as it is, so
   * nothing travels to the DPs. A new priority counts for jobs and sends that are open, too (PTM-3).
   *
   * @param directories one for each source; none: they stay
   * @throws PACKAGE_UNKNOWN, PACKAGE_STATE_CONFLICT, REQUEST_INVALID, and what `change` throws
   */
  set(
    packageId: string,
    change: (properties: PackageProperties) => PackageProperties,
    directories: readonly string[],
  ): Promise<SitePackage> {
    if (!this.#isOwn(packageId)) return this.#setElsewhere(packageId, change, directories);
    return this.#change(packageId, async (sitePackage, nowMs) => {
      const properties = change(sitePackage.properties);
      const sources = withDirectories(sitePackage.sources, directories);
      requirePackageFits(
        properties,
        sources.map(({ directory }) => directory),
      );
      const changed = { ...sitePackage, properties, sources, updatedAtMs: nowMs };
      const isRanked = properties.priority !== sitePackage.properties.priority;
      const jobs = isRanked ? await jobNotifications(this.#components, packageId) : [];
      const definition = this.#definition(changed);
      const changes = [...this.#components.packages.put(changed), definition, ...jobs];
      return { sitePackage: changed, changes };
    });
  }

  /**
   * Asks for a new snapshot of the source (PKG-5).
   *
   * @throws PACKAGE_UNKNOWN, PACKAGE_STATE_CONFLICT
   */
  update(packageId: string): Promise<SitePackage> {
    if (!this.#isOwn(packageId)) {
      return this.#ask(packageId, (asked, row) => {
        requireStaying(row);
        requireNotAsked(asked);
        return { ...asked, updateCount: asked.updateCount + 1 };
      });
    }
    return this.#change(packageId, async (before, nowMs) => {
      const sitePackage = withUpdateAccepted(before, nowMs);
      const changes = [...this.#components.packages.put(sitePackage), this.#wake(packageId)];
      return { sitePackage, changes };
    });
  }

  /**
   * Removes the package from all DPs, then from the site (PKG-7). Of a package that is being
   * deleted already, asks for it again. That it is to go is said at its source site, or above it.
   *
   * @throws PACKAGE_UNKNOWN, REQUEST_INVALID
   */
  delete(packageId: string): Promise<SitePackage> {
    if (!this.#isOwn(packageId)) {
      return this.#ask(packageId, (asked) => {
        this.#requireSay(packageId);
        return { ...asked, isDeletion: true };
      });
    }
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
      const changes = [
        ...packages.put(sitePackage),
        ...(await removalChanges(packages, packageId, nowMs)),
        this.#wake(packageId),
      ];
      await store.write(changes, { sync: true });
      return sitePackage;
    });
  }

  /**
   * What another site's administrators are told of it, its source site included. What it reads there, and
   * what clients run of it, is said at that site or above it.
   */
  async #setElsewhere(
    packageId: string,
    change: (properties: PackageProperties) => PackageProperties,
    directories: readonly string[],
  ): Promise<SitePackage> {
    const { packages, hierarchyPackages, store } = this.#components;
    return packages.turn(packageId, async () => {
      const row = await packages.require(packageId);
      requireStaying(row);
      requireNotAsked(await hierarchyPackages.ownRequests(packageId));
      const published = await hierarchyPackages.published.get(packageId);
      const before =
        (await hierarchyPackages.definitions.get(packageId)) ?? toDefinition(published ?? row);
      const sources = before.directories.map((directory) => ({ directory, contentName: '' }));
      const next = withDirectories(sources, directories).map(({ directory }) => directory);
      const definition = { ...before, properties: change(before.properties), directories: next };
      const isOther =
        !isSame(next, before.directories) ||
        !isSame(definition.properties.programs, before.properties.programs);
      if (isOther) this.#requireSay(packageId);
      const written = hierarchyPackages.definitions.put(packageId, definition);
      await store.write([written], { sync: true });
      return { ...row, properties: definition.properties };
    });
  }

  #requireSay(packageId: string): void {
    const siteCode = sourceSiteOf(packageId);
    requireOwnerSay(this.#components.sites, { name: packageId, siteCode });
  }

  /** Asks the source site for something, from here. */
  #ask(
    packageId: string,
    toNext: (asked: PackageRequests, row: SitePackage) => PackageRequests,
  ): Promise<SitePackage> {
    const { packages, hierarchyPackages, siteCode, store } = this.#components;
    return packages.turn(packageId, async () => {
      const row = await packages.require(packageId);
      const asked = await hierarchyPackages.ownRequests(packageId);
      const none = { packageId, siteCode, updateCount: 0, isDeletion: false };
      const next = toNext(asked ?? none, row);
      await store.write([hierarchyPackages.putOwnRequests(next)], { sync: true });
      return row;
    });
  }

  /** A site whose store was lost must not give an ID to two packages: others still have the older one. */
  #requireCaughtUp(): void {
    const { siteCode, parentSiteCode, hasCaughtUp } = this.#components;
    if (parentSiteCode === undefined || hasCaughtUp()) return;
    throw new WaybillError({ code: 'SITE_NOT_CAUGHT_UP', siteCode, parentSiteCode });
  }

  #isOwn(packageId: string): boolean {
    return this.#components.hierarchyPackages.isOwn(packageId);
  }

  #definition(row: SitePackage): Change {
    const { hierarchyPackages } = this.#components;
    return hierarchyPackages.definitions.put(row.packageId, toDefinition(row));
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
      contentName: isPlain ? packageId : toContentName(packageId, this.#components.newUuid()),
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

/**
 * For a package of another site, which may not have heard of it yet.
 *
 * @throws PACKAGE_STATE_CONFLICT when its deletion was asked for here
 */
export function requireNotAsked(asked: PackageRequests | undefined): void {
  if (!asked?.isDeletion) return;
  const facts = { packageId: asked.packageId, state: 'deleting', expected: 'not being deleted' };
  throw new WaybillError({ code: 'PACKAGE_STATE_CONFLICT', ...facts });
}

/** @throws PACKAGE_STATE_CONFLICT when the package is being deleted */
export function requireStaying(sitePackage: SitePackage): void {
  if (!isLeaving(sitePackage)) return;
  const { packageId, state } = sitePackage;
  const expected = 'not being deleted';
  throw new WaybillError({ code: 'PACKAGE_STATE_CONFLICT', packageId, state, expected });
}

import type { PackageRequests } from '../../shared/domain/hierarchy-package.ts';
import {
  foreignPackageFate,
  isSame,
  toAwaitedContent,
  toDefinition,
  toForeignPackage,
  withDefinition,
  withRequestsTaken,
} from '../../shared/domain/hierarchy-package-work.ts';
import { sourceSiteOf } from '../../shared/domain/package.ts';
import { isLeaving, isPostponed } from '../../shared/domain/package-processing.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import type { HierarchyPackageRows } from './hierarchy-package-rows.ts';
import type { HierarchyWishes } from './hierarchy-wishes.ts';
import { jobNotifications, removalChanges } from './package-changes.ts';
import type { PackageStore } from './package-store.ts';
import { failureReports } from './publishing-reports.ts';

/** What bringing packages up to date with the hierarchy needs. */
export interface HierarchyPackagesComponents {
  readonly store: Pick<StateStore, 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly packages: PackageStore;
  readonly hierarchyPackages: HierarchyPackageRows;
  readonly wishes: Pick<HierarchyWishes, 'changesOf'>;
  /** Refuses directories from which this site takes no snapshot. @throws REQUEST_INVALID, SOURCE_… */
  readonly checkSources: (directories: readonly string[]) => Promise<unknown>;
  /** Rows of this site may be missing. */
  readonly isStoreDamaged: boolean;
  readonly status: StatusReporter;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
}

/** Whether the directories that a definition names may be read here. */
interface CheckedDirectories {
  readonly directories: readonly string[];
  /** Why not; undefined: they may. */
  readonly refusal: string | undefined;
}

/**
 * Brings this site's rows of a package up to date with what the hierarchy says and wants of it
 * (docs/hierarchy.md, 1), and wakes Distribution Manager, which acts on this site's rows alone. What
 * follows, follows from the rows in one turn and one batch: done again, it changes nothing.
 */
export class HierarchyPackages {
  readonly #components: HierarchyPackagesComponents;

  constructor(components: HierarchyPackagesComponents) {
    this.#components = components;
  }

  /** @param handled goes into the batch of the effects */
  async bringUpToDate(packageId: string, handled: readonly Change[]): Promise<void> {
    const { packages, hierarchyPackages, store } = this.#components;
    const isOwn = hierarchyPackages.isOwn(packageId);
    const checked = isOwn ? await this.#checkedDirectories(packageId) : undefined;
    await packages.turn(packageId, async () => {
      const changes = isOwn
        ? await this.#ownChanges(packageId, checked)
        : await this.#foreignChanges(packageId);
      await store.write([...changes, ...handled], { sync: false });
    });
  }

  /** A site that a deletion waits for may be gone from the hierarchy. */
  async lookAgainAtDeletions(): Promise<void> {
    const { packages, store } = this.#components;
    const changes: Change[] = [];
    for await (const [packageId, row] of packages.packages.list()) {
      if (isLeaving(row)) changes.push(this.#wake(packageId));
    }
    if (changes.length > 0) await store.write(changes, { sync: false });
  }

  async #ownChanges(packageId: string, checked: CheckedDirectories | undefined): Promise<Change[]> {
    const { packages } = this.#components;
    const row = await packages.packages.get(packageId);
    if (!row) return this.#restored(packageId);
    // Other sites may hold it, or wait for it: what is sent to them is decided with the package.
    const wake = this.#wake(packageId);
    if (isLeaving(row)) return [...(await this.#wishChanges(row)), wake];
    const requests = await this.#requestsOfOthers(packageId);
    if (requests.some(({ isDeletion }) => isDeletion)) return this.#deletion(row);
    const changes = await this.#ownRowChanges(row, { requests, checked });
    changes.push(...(await this.#wishChanges(row)));
    // A snapshot that waits for room is tried again in its own time, not whenever its row is written.
    return changes.length > 0 || !isPostponed(row) ? [...changes, wake] : [];
  }

  async #requestsOfOthers(packageId: string): Promise<PackageRequests[]> {
    const { hierarchyPackages } = this.#components;
    const requests = await hierarchyPackages.requestsOf(packageId);
    return requests.filter(({ siteCode }) => siteCode !== hierarchyPackages.siteCode);
  }

  /** The row that was lost with the store, as the neighbours have given it back. */
  async #restored(packageId: string): Promise<Change[]> {
    const { packages, hierarchyPackages, logger } = this.#components;
    const published = await hierarchyPackages.published.get(packageId);
    if (!published) return this.#leftovers(packageId);
    logger.warn({ packageId }, 'Read package back from the hierarchy');
    return [...packages.put(published), this.#wake(packageId)];
  }

  /** What was said of a deleted package elsewhere, before the deletion was known there. */
  async #leftovers(packageId: string): Promise<Change[]> {
    const { hierarchyPackages, isStoreDamaged } = this.#components;
    // After damage it may be what is left of a package whose row is still to come.
    return isStoreDamaged ? [] : hierarchyPackages.allGone(packageId);
  }

  async #ownRowChanges(
    row: SitePackage,
    {
      requests,
      checked,
    }: {
      requests: readonly PackageRequests[];
      checked: CheckedDirectories | undefined;
    },
  ): Promise<Change[]> {
    const { packages, clock } = this.#components;
    const nowMs = clock.nowMs();
    const { defined, corrections } = await this.#defined(row, checked);
    const next = withRequestsTaken(defined, requests, nowMs);
    if (next === row) return corrections;
    const changed = { ...next, updatedAtMs: nowMs };
    return [...packages.put(changed), ...(await this.#rankChanges(row, next)), ...corrections];
  }

  /** The row as its definition has it; a directory that may not be read here is put right there. */
  async #defined(
    row: SitePackage,
    checked: CheckedDirectories | undefined,
  ): Promise<{ defined: SitePackage; corrections: Change[] }> {
    const { hierarchyPackages, status, logger } = this.#components;
    const { packageId } = row;
    const definition = await hierarchyPackages.definitions.get(packageId);
    if (!definition) return { defined: row, corrections: [] };
    const { properties } = definition;
    const own = row.sources.map(({ directory }) => directory);
    if (isSame(definition.directories, own)) {
      return { defined: withDefinition(row, definition), corrections: [] };
    }
    const isChecked = checked && isSame(checked.directories, definition.directories);
    if (isChecked && checked.refusal === undefined) {
      return { defined: withDefinition(row, definition), corrections: [] };
    }
    const defined = withDefinition(row, { properties, directories: own });
    // Named since the check: the notification of that comes, too.
    if (!isChecked || checked.refusal === undefined) return { defined, corrections: [] };
    logger.warn({ packageId, reason: checked.refusal }, 'Refused source named at another site');
    const reports = failureReports(packageId, [2306], checked.refusal);
    const corrections = reports.flatMap((one) => status.message(one));
    // One that was read back knows no directory of its own: what the hierarchy knows is all there is.
    if (own.every((directory) => directory !== '')) {
      corrections.push(hierarchyPackages.definitions.put(packageId, toDefinition(defined)));
    }
    return { defined, corrections };
  }

  /** Before the turn: a disk may take its time. */
  async #checkedDirectories(packageId: string): Promise<CheckedDirectories | undefined> {
    const { packages, hierarchyPackages, checkSources } = this.#components;
    const definition = await hierarchyPackages.definitions.get(packageId);
    const row = await packages.packages.get(packageId);
    if (!definition || !row) return undefined;
    const { directories } = definition;
    const own = row.sources.map(({ directory }) => directory);
    if (isSame(directories, own)) return undefined;
    if (directories.length !== own.length) {
      return {
        directories,
        refusal: `expected ${own.length} directories, got ${directories.length}`,
      };
    }
    try {
      await checkSources(directories);
      return { directories, refusal: undefined };
    } catch (error) {
      return { directories, refusal: error instanceof Error ? error.message : String(error) };
    }
  }

  async #deletion(row: SitePackage): Promise<Change[]> {
    const { packages, clock } = this.#components;
    const nowMs = clock.nowMs();
    const leaving = { ...row, state: 'deleting', reason: '', updatedAtMs: nowMs } as const;
    return [
      ...packages.put(leaving),
      ...(await removalChanges(packages, row.packageId, nowMs)),
      this.#wake(row.packageId),
    ];
  }

  async #foreignChanges(packageId: string): Promise<Change[]> {
    const { packages, hierarchyPackages } = this.#components;
    const row = await packages.packages.get(packageId);
    const definition = await hierarchyPackages.definitions.get(packageId);
    const published = await hierarchyPackages.published.get(packageId);
    const requests = await hierarchyPackages.ownRequests(packageId);
    const isDeletionAsked = requests?.isDeletion ?? false;
    const known = { definition, published, row, isDeletionAsked };
    const fate = foreignPackageFate({ ...known, isWanted: false });
    if (fate !== 'keep') return this.#leavingChanges(packageId, { row, isOver: fate === 'forget' });
    const sourceSiteCode = sourceSiteOf(packageId);
    const facts = { packageId, sourceSiteCode, nowMs: this.#components.clock.nowMs() };
    const before = row ?? toForeignPackage({ ...known, isWanted: false }, facts);
    if (!before) return [];
    const wishes = await this.#wishChanges(before);
    const isWanted = await this.#isWanted(packageId, wishes);
    const next = toForeignPackage({ ...known, isWanted }, facts);
    if (!next) return [];
    const changes = [...wishes];
    if (next !== row) changes.push(...packages.put(next), ...(await this.#rankChanges(row, next)));
    if (isWanted && !(await hierarchyPackages.ownContent(packageId))) {
      const { siteCode } = hierarchyPackages;
      const content = toAwaitedContent({ packageId, siteCode }, facts.nowMs);
      changes.push(hierarchyPackages.putOwnContent(content));
    }
    return changes.length > 0 ? [...changes, this.#wake(packageId)] : [];
  }

  async #leavingChanges(
    packageId: string,
    { row, isOver }: { row: SitePackage | undefined; isOver: boolean },
  ): Promise<Change[]> {
    const { hierarchyPackages } = this.#components;
    if (row) return isLeaving(row) ? [this.#wake(packageId)] : this.#deletion(row);
    const content = await hierarchyPackages.ownContentGone(packageId);
    return isOver ? [...content, ...(await hierarchyPackages.ownRequestsGone(packageId))] : content;
  }

  #wishChanges(row: SitePackage): Promise<Change[]> {
    return this.#components.wishes.changesOf(row);
  }

  /** Whether a DP of this site is to have it, once the wishes are written. */
  async #isWanted(packageId: string, wishes: readonly Change[]): Promise<boolean> {
    const { packages } = this.#components;
    const servers = new Map(
      (await packages.serversOf(packageId)).map((server) => [
        `${packageId}/${server.dpId}`,
        server,
      ]),
    );
    const { space } = packages.servers.delete('');
    for (const change of wishes) {
      if (change.space !== space) continue;
      if (change.type === 'put') servers.set(change.key, change.value as never);
      else servers.delete(change.key);
    }
    return [...servers.values()].some(({ intent }) => intent === 'installed');
  }

  /** A new priority counts for jobs that are open, too (PTM-3). */
  async #rankChanges(before: SitePackage | undefined, after: SitePackage): Promise<Change[]> {
    if (!before || before.properties.priority === after.properties.priority) return [];
    return jobNotifications(this.#components, after.packageId);
  }

  #wake(packageId: string): Change {
    return this.#components.notifier.notification('package', packageId);
  }
}

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
import type { PackageServerIntent, SitePackage } from '../../shared/domain/site-package.ts';
import { workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import type { HierarchyPackageRows } from './hierarchy-package-rows.ts';
import type { HierarchyWishes, ServerEffect } from './hierarchy-wishes.ts';
import { jobNotifications, removalChanges } from './package-changes.ts';
import type { PackageStore } from './package-store.ts';
import { failureReports } from './publishing-reports.ts';

/** What bringing packages up to date with the hierarchy needs. */
export interface HierarchyPackagesComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly packages: PackageStore;
  readonly hierarchyPackages: HierarchyPackageRows;
  readonly wishes: Pick<HierarchyWishes, 'effectsOf'>;
  readonly sites: Pick<SiteDirectory, 'tree'>;
  /** Refuses directories from which this site takes no snapshot. @throws REQUEST_INVALID, SOURCE_… */
  readonly checkSources: (directories: readonly string[]) => Promise<unknown>;
  /** Rows of this site may be missing. */
  readonly isStoreDamaged: boolean;
  /** Whether the parent has given back what it had of this site. */
  readonly hasCaughtUp: () => boolean;
  readonly status: StatusReporter;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  readonly logger: Logger;
}

/** How bringing packages up to date is tuned. */
export interface HierarchyPackagesConfig {
  /** Longest look at directories that were named at another site. @default 30_000 */
  readonly sourceCheckMs: number;
}

export const defaultHierarchyPackagesConfig: HierarchyPackagesConfig = { sourceCheckMs: 30_000 };

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
  readonly #config: HierarchyPackagesConfig;
  /** Sites of which an administrator was told that they have no say in a deletion. */
  readonly #toldSites = new Set<string>();

  constructor(components: HierarchyPackagesComponents, config = defaultHierarchyPackagesConfig) {
    this.#components = components;
    this.#config = config;
  }

  /**
   * What cannot be concluded yet is not handled either: it is looked at again.
   *
   * @param handled goes into the batch of the effects
   */
  async bringUpToDate(packageId: string, handled: readonly Change[]): Promise<void> {
    const { packages, hierarchyPackages, store } = this.#components;
    const isOwn = hierarchyPackages.isOwn(packageId);
    if (isOwn && (await this.#isToCome(packageId))) return;
    const checked = isOwn ? await this.#checkedDirectories(packageId) : undefined;
    await packages.turn(packageId, async () => {
      const changes = isOwn
        ? await this.#ownChanges(packageId, checked)
        : await this.#foreignChanges(packageId);
      await store.write([...changes, ...handled], { sync: false });
    });
  }

  /**
   * A site that a deletion waits for may be gone from the hierarchy, or the source site of a package; or
   * one that was gone is part of it again.
   */
  async lookAgainAtSites(): Promise<void> {
    const { packages, hierarchyPackages, notifier, store } = this.#components;
    const changes: Change[] = [];
    for await (const [packageId, row] of packages.packages.list()) {
      if (isLeaving(row)) changes.push(this.#wake(packageId));
      else if (await this.#isAboutSites(packageId))
        changes.push(notifier.notification('hierarchy-package', packageId));
    }
    for await (const [packageId] of hierarchyPackages.published.list()) {
      if (await packages.packages.get(packageId)) continue;
      // What a site said that is gone stays, and counts for nothing, also when its end is forgotten.
      if (!(await hierarchyPackages.isSourceKnown(packageId))) continue;
      changes.push(notifier.notification('hierarchy-package', packageId));
    }
    if (changes.length > 0) await store.write(changes, { sync: false });
  }

  /** Whether what becomes of a package depends on which sites there are, and where they stand. */
  async #isAboutSites(packageId: string): Promise<boolean> {
    const { hierarchyPackages } = this.#components;
    if (!hierarchyPackages.isOwn(packageId)) {
      const asked = await hierarchyPackages.ownRequests(packageId);
      return asked?.isDeletion || (await hierarchyPackages.isSourceGone(packageId));
    }
    const requests = await this.#requestsOfOthers(packageId);
    return requests.some(({ isDeletion }) => isDeletion);
  }

  /**
   * A package of this site stands otherwise at another site: only its deletion waits for that.
   *
   * @param handled goes into the batch of the effects
   */
  async statusChanged(packageId: string, handled: readonly Change[]): Promise<void> {
    const { packages, store } = this.#components;
    const row = await packages.packages.get(packageId);
    const wake = row && isLeaving(row) ? [this.#wake(packageId)] : [];
    await store.write([...wake, ...handled], { sync: false });
  }

  async #ownChanges(packageId: string, checked: CheckedDirectories | undefined): Promise<Change[]> {
    const { packages, hierarchyPackages } = this.#components;
    const row = await packages.packages.get(packageId);
    // What was said of a deleted package elsewhere, before the deletion was known there.
    if (!row) return hierarchyPackages.allGone(packageId);
    // Other sites may hold it, or wait for it: what is sent to them is decided with the package.
    const wake = this.#wake(packageId);
    if (isLeaving(row)) return [...(await this.#wishChanges(row)), wake];
    const requests = await this.#requestsOfOthers(packageId);
    const deletions = requests.filter(({ isDeletion }) => isDeletion);
    if (deletions.some(({ siteCode }) => this.#hasSay(packageId, siteCode))) {
      return this.#deletion(row);
    }
    const reports = deletions.flatMap((one) => this.#refusalReport(one));
    const changes = await this.#ownRowChanges(row, { requests, checked });
    changes.push(...(await this.#wishChanges(row)));
    // A snapshot that waits for room is tried again in its own time, not whenever its row is written.
    return changes.length > 0 || !isPostponed(row) ? [...changes, ...reports, wake] : reports;
  }

  /** A site that is not above its source site takes away no package, whatever it asks. */
  #hasSay(packageId: string, siteCode: string): boolean {
    return this.#components.sites.tree.isUnder(sourceSiteOf(packageId), siteCode);
  }

  /** Once for each site: whoever reads it looks into what that site is about. */
  #refusalReport({ packageId, siteCode }: PackageRequests): Change[] {
    const { status, logger } = this.#components;
    if (this.#toldSites.has(siteCode)) return [];
    this.#toldSites.add(siteCode);
    const owner = sourceSiteOf(packageId);
    const reason = `only site ${owner} or one above it may delete package ${packageId}; ${siteCode} is none`;
    logger.warn({ packageId, siteCode }, 'Refused deletion asked at another site');
    return status.message({ messageId: 9005, insertionStrings: [siteCode, reason] });
  }

  async #requestsOfOthers(packageId: string): Promise<PackageRequests[]> {
    const { hierarchyPackages } = this.#components;
    const requests = await hierarchyPackages.requestsOf(packageId);
    return requests.filter(({ siteCode }) => siteCode !== hierarchyPackages.siteCode);
  }

  /** Whether the row of a package of this site may still come back from the neighbours. */
  async #isToCome(packageId: string): Promise<boolean> {
    const { packages, isStoreDamaged, hasCaughtUp } = this.#components;
    if (!isStoreDamaged && hasCaughtUp()) return false;
    return (await packages.packages.get(packageId)) === undefined;
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
    const own = row.sources.map(({ directory }) => directory);
    if (!definition) return { defined: row, corrections: this.#definedAgain(row) };
    const { properties } = definition;
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

  /**
   * Somebody elsewhere was refused what he said of it, and the later refusal took the row along. One that was
   * lost here, the neighbours may still give back.
   */
  #definedAgain(row: SitePackage): Change[] {
    const { hierarchyPackages, isStoreDamaged, hasCaughtUp } = this.#components;
    const isComplete = row.sources.every(({ directory }) => directory !== '');
    if (isStoreDamaged || !hasCaughtUp() || !isComplete) return [];
    return [hierarchyPackages.definitions.put(row.packageId, toDefinition(row))];
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
      await this.#inTime(checkSources(directories));
      return { directories, refusal: undefined };
    } catch (error) {
      return { directories, refusal: error instanceof Error ? error.message : String(error) };
    }
  }

  /** A mount that does not answer must not hold up what has nothing to do with it. */
  async #inTime(checked: Promise<unknown>): Promise<void> {
    const over = new AbortController();
    const { sourceCheckMs } = this.#config;
    const tooLong = this.#components.clock.sleep(sourceCheckMs, over.signal).then(() => {
      throw new Error(`expected the directories to be readable within ${sourceCheckMs} ms`);
    });
    try {
      await Promise.race([checked, tooLong]);
    } finally {
      over.abort(workIsOver);
      tooLong.catch(() => {});
      checked.catch(() => {});
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
    const takenBack = this.#deletionTakenBack(requests);
    const isDeletionAsked = requests?.isDeletion === true && takenBack.length === 0;
    const isSourceGone = await hierarchyPackages.isSourceGone(packageId);
    const known = { definition, published, row, isDeletionAsked, isSourceGone };
    const fate = foreignPackageFate({ ...known, isWanted: false });
    if (fate !== 'keep') return this.#leavingChanges(packageId, { row, isOver: fate === 'forget' });
    const sourceSiteCode = sourceSiteOf(packageId);
    const facts = { packageId, sourceSiteCode, nowMs: this.#components.clock.nowMs() };
    const before = row ?? toForeignPackage({ ...known, isWanted: false }, facts);
    if (!before) return takenBack;
    const content = await hierarchyPackages.ownContent(packageId);
    const effects = await this.#components.wishes.effectsOf(before);
    const wishes = effects.flatMap(({ changes }) => changes);
    const isWanted = await this.#isWanted(packageId, effects);
    const next = toForeignPackage({ ...known, isWanted, content }, facts);
    if (!next) return takenBack;
    const changes = [...takenBack, ...wishes];
    if (next !== row) changes.push(...packages.put(next), ...(await this.#rankChanges(row, next)));
    if (isWanted && !content) {
      const { siteCode } = hierarchyPackages;
      const awaited = toAwaitedContent({ packageId, siteCode }, facts.nowMs);
      changes.push(hierarchyPackages.putOwnContent(awaited));
    }
    return changes.length > 0 ? [...changes, this.#wake(packageId)] : [];
  }

  /**
   * An older program let an administrator ask here for what no site does: the package stays, and here it is
   * one like any other again.
   */
  #deletionTakenBack(requests: PackageRequests | undefined): Change[] {
    const { hierarchyPackages, sites, logger } = this.#components;
    if (!requests?.isDeletion) return [];
    const { packageId } = requests;
    const isKnown = sites.tree.get(sourceSiteOf(packageId)) !== undefined;
    if (!isKnown || this.#hasSay(packageId, hierarchyPackages.siteCode)) return [];
    logger.warn({ packageId }, 'Took back a deletion in which this site has no say');
    return [hierarchyPackages.putOwnRequests({ ...requests, isDeletion: false })];
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

  async #wishChanges(row: SitePackage): Promise<Change[]> {
    const effects = await this.#components.wishes.effectsOf(row);
    return effects.flatMap(({ changes }) => changes);
  }

  /** Whether a DP of this site is to have it, once the wishes are acted on. */
  async #isWanted(packageId: string, effects: readonly ServerEffect[]): Promise<boolean> {
    const { packages } = this.#components;
    const intents = new Map<string, PackageServerIntent | undefined>();
    for (const { dpId, intent } of await packages.serversOf(packageId)) intents.set(dpId, intent);
    for (const { dpId, intent } of effects) intents.set(dpId, intent);
    return [...intents.values()].includes('installed');
  }

  /** A new priority counts for jobs and sends that are open, too (PTM-3). */
  async #rankChanges(before: SitePackage | undefined, after: SitePackage): Promise<Change[]> {
    if (!before || before.properties.priority === after.properties.priority) return [];
    return jobNotifications(this.#components, after.packageId);
  }

  #wake(packageId: string): Change {
    return this.#components.notifier.notification('package', packageId);
  }
}

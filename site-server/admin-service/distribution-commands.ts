import type { JobAction } from '../../shared/domain/distribution-job.ts';
import { nextAssignment } from '../../shared/domain/distribution-point-group.ts';
import { isDamagedCopy, withDamage } from '../../shared/domain/hierarchy-package-work.ts';
import { sourceSiteOf } from '../../shared/domain/package.ts';
import { withUpdateAccepted } from '../../shared/domain/package-processing.ts';
import { isFailed } from '../../shared/domain/package-status.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { siteOfStatusKey } from '../distribution-manager/hierarchy-package-rows.ts';
import { pendingStatus } from '../distribution-manager/hierarchy-wishes.ts';
import { type ScopeCheck, withoutScope } from './admin-scopes.ts';
import { DeliveryFailures } from './delivery-failures.ts';
import {
  DistributionTargets,
  type DistributionTargetsComponents,
  isOnItsWay,
  type Target,
} from './distribution-targets.ts';
import { requireNotAsked, requireStaying } from './package-commands.ts';
import type { PackageStatusQuery, RequestedTargets } from './package-requests.ts';

/** What commands about packages on DPs need. */
export interface DistributionCommandsComponents extends DistributionTargetsComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly newUuid: () => string;
  /** Later than all that was said before, here or, as far as it is known here, anywhere. */
  readonly nextMs: () => number;
}

/** What runs again. */
interface Retried {
  readonly dpIds: string[];
  readonly packageIds: string[];
  /** Sites to which a package is brought again. */
  readonly siteCodes: string[];
  /** Of the DPs those that had not failed themselves: they wait for their site. */
  readonly siteDpIds: string[];
}

/** What of one package runs again. */
interface RetriedPackage {
  /** DPs that had failed. */
  readonly dpIds: readonly string[];
  /** DPs to which it is brought by way of their site. */
  readonly siteDpIds: readonly string[];
  readonly siteCodes: readonly string[];
  /** Its source is read again. */
  readonly isRead: boolean;
}

type WantedAction = 'add' | 'redistribute' | 'remove';

/** The DPs for which something will happen. */
interface Chosen {
  readonly byName: readonly Target[];
  /** As far as this site knows who is in the groups. @default none */
  readonly byGroup?: readonly Target[];
}

/** A failed row: of a DP, or with an empty name of its site's own. */
interface FailedRow {
  readonly packageId: string;
  readonly dpId: string;
  readonly siteCode: string;
}

/**
 * What an administrator does to packages on DPs of whatever site: distribute (PKG-4), redistribute
 * (PKG-6), remove (PKG-7), retry (ADM-1). Only the wish is written, in one synced batch a package; the
 * newest wish of a package on a DP is what the DP's site acts on. For a DP of this site its rows are
 * written, too, so that nothing here waits for the hierarchy.
 */
export class DistributionCommands {
  readonly #components: DistributionCommandsComponents;
  readonly #targets: DistributionTargets;
  readonly #failures: DeliveryFailures;

  constructor(components: DistributionCommandsComponents) {
    this.#components = components;
    this.#targets = new DistributionTargets(components);
    this.#failures = new DeliveryFailures(components);
  }

  /**
   * Sends a package to DPs that do not have it, or do not have it for sure.
   *
   * To a group it is given: whoever joins it later gets the package, too.
   *
   * @returns the DPs for which something will happen
   * @throws PACKAGE_UNKNOWN, PACKAGE_STATE_CONFLICT, DISTRIBUTION_POINT_UNKNOWN, SITE_UNKNOWN, GROUP_UNKNOWN
   * @throws SCOPE_EXCEEDED
   */
  async distribute(requested: RequestedTargets, check = withoutScope): Promise<string[]> {
    const { packageId, groupNames = [] } = requested;
    const names = await this.#targets.receivers(requested);
    const members = await this.#targets.membersOf(groupNames);
    await check({ dpIds: [...names, ...members], groupNames });
    return this.#want(packageId, { action: 'add', groupNames }, async (sitePackage) => {
      await this.#requireStaying(sitePackage);
      const isOpen = (target: Target) => !isOnItsWay(target);
      const byName = (await this.#targets.of(packageId, names)).filter(isOpen);
      const byGroup = (await this.#targets.of(packageId, members)).filter(isOpen);
      return { byName, byGroup };
    });
  }

  /**
   * Sends every file again to DPs that are meant to have the package.
   *
   * @returns the DPs for which something will happen
   * @throws PACKAGE_UNKNOWN, PACKAGE_STATE_CONFLICT, DISTRIBUTION_POINT_UNKNOWN, SITE_UNKNOWN
   * @throws REQUEST_INVALID when a DP that is named does not have the package; SCOPE_EXCEEDED
   */
  async redistribute(requested: RequestedTargets, check = withoutScope): Promise<string[]> {
    const { packageId, dpIds } = requested;
    const names = await this.#targets.holders(requested);
    await check({ dpIds: names });
    return this.#want(packageId, { action: 'redistribute' }, async (sitePackage) => {
      await this.#requireStaying(sitePackage);
      const targets = await this.#targets.of(packageId, names);
      const strangers = targets.filter(({ intent }) => intent !== 'installed');
      const stranger = strangers.find(({ dpId }) => dpIds !== 'all' && dpIds.includes(dpId));
      if (stranger) {
        const expected = `a distribution point that package ${packageId} was distributed to`;
        throw requestInvalid('dp_ids', { expected, actual: stranger.dpId });
      }
      return { byName: targets.filter((target) => !strangers.includes(target)) };
    });
  }

  /**
   * Takes a package off DPs. Those that do not have it are passed over. Taken off a group, it leaves the
   * DPs that are in it, but those that are in another group which has it.
   *
   * @returns the DPs for which something will happen
   * @throws PACKAGE_UNKNOWN, DISTRIBUTION_POINT_UNKNOWN, SITE_UNKNOWN, GROUP_UNKNOWN, SCOPE_EXCEEDED
   */
  async remove(requested: RequestedTargets, check = withoutScope): Promise<string[]> {
    const { packageId, groupNames = [] } = requested;
    const isNamed = requested.dpIds === 'all' || requested.dpIds.length > 0;
    const hasNames = isNamed || (requested.siteCodes ?? []).length > 0;
    const names = hasNames ? await this.#targets.holders({ ...requested, groupNames: [] }) : [];
    const members = await this.#targets.membersOf(groupNames);
    await check({ dpIds: [...names, ...members], groupNames });
    return this.#want(packageId, { action: 'remove', groupNames }, async () => {
      const left = await this.#targets.withoutOtherGroup(packageId, members, groupNames);
      return {
        byName: (await this.#targets.of(packageId, names)).filter(isRemovable),
        byGroup: (await this.#targets.of(packageId, left)).filter(isRemovable),
      };
    });
  }

  /**
   * Makes everything that failed run again now, snapshots included, as far as this site knows of it.
   *
   * @returns the DPs for which something will happen, the packages whose source is read again, and the sites that are sent them again
   * @throws SCOPE_EXCEEDED when any of what failed is outside: then nothing runs again
   */
  async retryFailed(query: PackageStatusQuery, check = withoutScope): Promise<Retried> {
    const failed = new Map<string, FailedRow[]>();
    for await (const row of this.#failedRows(query)) {
      failed.set(row.packageId, [...(failed.get(row.packageId) ?? []), row]);
    }
    await this.#checkRows([...failed.values()].flat(), check);
    const all: (RetriedPackage & { readonly packageId: string })[] = [];
    for (const [packageId, rows] of failed) {
      all.push({ packageId, ...(await this.#retry(packageId, rows)) });
    }
    return toRetried(all);
  }

  /** A source that is read again is the package's; what did not come to a site is tried for all its DPs. */
  async #checkRows(rows: readonly FailedRow[], check: ScopeCheck): Promise<void> {
    const ofSites = rows.filter(({ dpId }) => dpId === '');
    const isSource = ({ packageId, siteCode }: FailedRow) => siteCode === sourceSiteOf(packageId);
    await check({
      dpIds: rows.flatMap(({ dpId }) => (dpId === '' ? [] : [dpId])),
      packageIds: ofSites.filter(isSource).map(({ packageId }) => packageId),
      siteCodes: ofSites.filter((row) => !isSource(row)).map(({ siteCode }) => siteCode),
    });
  }

  async *#failedRows(query: PackageStatusQuery): AsyncGenerator<FailedRow> {
    const { packages, hierarchyPackages, sites } = this.#components;
    const { siteCode: ownCode } = hierarchyPackages;
    const prefix = query.packageId === undefined ? {} : { prefix: `${query.packageId}/` };
    const { groupName } = query;
    const members = groupName && new Set(await this.#targets.membersOf([groupName]));
    const isMeant = (dpId: string, siteCode: string) =>
      (query.dpId ?? dpId) === dpId &&
      (query.siteCode ?? siteCode) === siteCode &&
      (!members || members.has(dpId));
    for await (const [, { packageId, dpId, state }] of packages.statuses.list(prefix)) {
      if (isFailed(state) && isMeant(dpId, ownCode)) yield { packageId, dpId, siteCode: ownCode };
    }
    for await (const [key, { packageId, dpId, state }] of hierarchyPackages.statuses.list(prefix)) {
      const siteCode = siteOfStatusKey(key);
      const isThere = siteCode !== ownCode && sites.tree.get(siteCode) !== undefined;
      if (isThere && isFailed(state) && isMeant(dpId, siteCode))
        yield { packageId, dpId, siteCode };
    }
    for await (const packageId of this.#failedDeliveries(query)) {
      for (const { siteCode } of await this.#failures.of(packageId)) {
        if (isMeant('', siteCode)) yield { packageId, dpId: '', siteCode };
      }
    }
  }

  /** Packages that may not have come to some site. */
  async *#failedDeliveries({ packageId }: PackageStatusQuery): AsyncGenerator<string> {
    if (packageId !== undefined) return yield packageId;
    const { store, hierarchyPackages } = this.#components;
    const packageIds = new Set<string>();
    for await (const [, row] of store.records(keySpaces.forwardingFailures).list()) {
      packageIds.add(row.packageId);
    }
    for await (const [, row] of hierarchyPackages.contents.list()) {
      if (row.state === 'refused') packageIds.add(row.packageId);
    }
    yield* packageIds;
  }

  #retry(packageId: string, rows: readonly FailedRow[]): Promise<RetriedPackage> {
    const { packages, store, notifier, clock } = this.#components;
    return packages.turn(packageId, async () => {
      const sitePackage = await packages.packages.get(packageId);
      if (!sitePackage) return nothingRetried;
      const nowMs = clock.nowMs();
      const changes: Change[] = [];
      const retried: string[] = [];
      const siteCodes: string[] = [];
      const siteDpIds: string[] = [];
      const names = rows.flatMap(({ dpId }) => (dpId === '' ? [] : [dpId]));
      for (const target of await this.#targets.of(packageId, names)) {
        // Looked at again in the package's turn: meanwhile it may have been mended.
        if (!target.intent || !target.status || !isFailed(target.status.state)) continue;
        const action = await this.#actionToRetry(target);
        const wishedAtMs = this.#components.nextMs();
        changes.push(...this.#wish(sitePackage, { target, action, nowMs, wishedAtMs }));
        retried.push(target.dpId);
      }
      for (const target of await this.#awaitingDelivery(packageId, rows)) {
        siteCodes.push(target.siteCode);
        if (retried.includes(target.dpId)) continue;
        const action = await this.#actionToRetry(target);
        const wishedAtMs = this.#components.nextMs();
        changes.push(...this.#wish(sitePackage, { target, action, nowMs, wishedAtMs }));
        siteDpIds.push(target.dpId);
      }
      const copy = await this.#ownCopyChanges(packageId, { rows, nowMs });
      if (copy.length > 0) siteCodes.push(this.#components.hierarchyPackages.siteCode);
      const source = await this.#sourceChanges(sitePackage, { rows, nowMs });
      changes.push(...copy, ...source);
      if (changes.length === 0) return nothingRetried;
      await store.write([...changes, notifier.notification('package', packageId)], { sync: true });
      return { dpIds: retried, siteDpIds, siteCodes, isRead: source.length > 0 };
    });
  }

  /**
   * DPs of sites to which the package did not come, or that hold a damaged copy of it: a wish anew lets
   * its source site send it again.
   */
  async #awaitingDelivery(packageId: string, rows: readonly FailedRow[]): Promise<Target[]> {
    const siteCodes = rows.flatMap(({ dpId, siteCode }) => (dpId === '' ? [siteCode] : []));
    const meant: string[] = [];
    for (const siteCode of siteCodes) {
      if (await this.#isCopyFailed(packageId, siteCode)) meant.push(siteCode);
    }
    const failures = siteCodes.length > 0 ? await this.#failures.of(packageId) : [];
    for (const { siteCode } of failures) if (siteCodes.includes(siteCode)) meant.push(siteCode);
    if (meant.length === 0) return [];
    const wishes = await this.#components.hierarchyPackages.assignmentsOf(packageId);
    const waiting = wishes.filter((one) => meant.includes(one.siteCode));
    const targets = await this.#targets.of(
      packageId,
      waiting.map(({ dpId }) => dpId),
    );
    return targets.filter(({ intent }) => intent === 'installed');
  }

  /** Looked at again in the package's turn: meanwhile it may have come. */
  async #isCopyFailed(packageId: string, siteCode: string): Promise<boolean> {
    if (siteCode === sourceSiteOf(packageId)) return false;
    const { packages, hierarchyPackages } = this.#components;
    const isOwn = siteCode === hierarchyPackages.siteCode;
    const status = isOwn
      ? await packages.getStatus(packageId, '')
      : await hierarchyPackages.statuses.get(joinKey(packageId, siteCode, ''));
    return status !== undefined && isFailed(status.state);
  }

  /** What is damaged at this site itself comes again; at another one its own site says so. */
  async #ownCopyChanges(
    packageId: string,
    { rows, nowMs }: { rows: readonly FailedRow[]; nowMs: number },
  ): Promise<Change[]> {
    const { hierarchyPackages } = this.#components;
    const { siteCode: ownCode } = hierarchyPackages;
    const isMeant = rows.some(({ dpId, siteCode }) => dpId === '' && siteCode === ownCode);
    if (!isMeant || hierarchyPackages.isOwn(packageId)) return [];
    const said = await hierarchyPackages.ownContent(packageId);
    if (!said || !isDamagedCopy(said)) return [];
    const asked = { reason: said.reason, isToCome: true };
    return [hierarchyPackages.putOwnContent(withDamage(said, asked, nowMs))];
  }

  /** A source that was refused is read again, by its own site. */
  async #sourceChanges(
    sitePackage: SitePackage,
    { rows, nowMs }: { rows: readonly FailedRow[]; nowMs: number },
  ): Promise<Change[]> {
    const { packages, hierarchyPackages } = this.#components;
    const { packageId, sourceSiteCode } = sitePackage;
    if (!rows.some(({ dpId, siteCode }) => dpId === '' && siteCode === sourceSiteCode)) return [];
    if (hierarchyPackages.isOwn(packageId)) {
      const isRefused = sitePackage.state === 'failed';
      return isRefused ? packages.put(withUpdateAccepted(sitePackage, nowMs)) : [];
    }
    const { siteCode } = hierarchyPackages;
    const none = { packageId, siteCode, updateCount: 0, isDeletion: false };
    const asked = (await hierarchyPackages.ownRequests(packageId)) ?? none;
    if (asked.isDeletion) return [];
    return [hierarchyPackages.putOwnRequests({ ...asked, updateCount: asked.updateCount + 1 })];
  }

  async #actionToRetry({ intent, isOwn, status, assignment }: Target): Promise<WantedAction> {
    if (intent === 'removed') return 'remove';
    if (!isOwn) return assignment?.action === 'redistribute' ? 'redistribute' : 'add';
    const history = this.#components.store.records(keySpaces.jobHistory);
    const failedJob = await history.get(joinKey(status?.jobSerial ?? 0));
    const action: JobAction = failedJob?.action ?? 'add';
    return action === 'redistribute' ? 'redistribute' : 'add';
  }

  /**
   * Writes the wish for the targets `choose` picks in the package's turn, and what groups are to do; for
   * their DPs the sites of these conclude what follows.
   */
  #want(
    packageId: string,
    { action, groupNames = [] }: { action: WantedAction; groupNames?: readonly string[] },
    choose: (sitePackage: SitePackage) => Promise<Chosen>,
  ): Promise<string[]> {
    const { packages, store, notifier, clock } = this.#components;
    return packages.turn(packageId, async () => {
      const sitePackage = await packages.require(packageId);
      const { byName, byGroup = [] } = await choose(sitePackage);
      if (byName.length + groupNames.length === 0) return [];
      const times = { nowMs: clock.nowMs(), wishedAtMs: this.#components.nextMs() };
      const changes = byName.flatMap((target) =>
        this.#wish(sitePackage, { target, action, ...times }),
      );
      for (const groupName of groupNames) {
        changes.push(
          await this.#groupWord({ packageId, groupName, action, saidAtMs: times.wishedAtMs }),
        );
      }
      await store.write([...changes, notifier.notification('package', packageId)], { sync: true });
      return [...new Set([...byName, ...byGroup].map(({ dpId }) => dpId))];
    });
  }

  async #groupWord(word: {
    packageId: string;
    groupName: string;
    action: WantedAction;
    saidAtMs: number;
  }): Promise<Change> {
    const { groups } = this.#components.hierarchyPackages;
    const { action, ...facts } = word;
    const before = await groups.assignments.get(joinKey(facts.packageId, facts.groupName));
    const intent = action === 'remove' ? 'removed' : 'installed';
    return groups.putAssignment(nextAssignment(before, { ...facts, intent }));
  }

  #wish(
    sitePackage: SitePackage,
    work: { target: Target; action: WantedAction; nowMs: number; wishedAtMs: number },
  ): Change[] {
    const { target, action, nowMs, wishedAtMs } = work;
    const { packages, hierarchyPackages, newUuid } = this.#components;
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

  /** @throws PACKAGE_STATE_CONFLICT */
  async #requireStaying(sitePackage: SitePackage): Promise<void> {
    requireStaying(sitePackage);
    const { hierarchyPackages } = this.#components;
    requireNotAsked(await hierarchyPackages.ownRequests(sitePackage.packageId));
  }
}

const nothingRetried: RetriedPackage = { dpIds: [], siteDpIds: [], siteCodes: [], isRead: false };

function toRetried(all: readonly (RetriedPackage & { readonly packageId: string })[]): Retried {
  const sorted = (names: readonly string[]) => [...new Set(names)].sort();
  const failed = new Set(all.flatMap(({ dpIds }) => dpIds));
  const siteDpIds = sorted(all.flatMap((one) => one.siteDpIds));
  return {
    dpIds: sorted([...failed, ...siteDpIds]),
    packageIds: sorted(all.flatMap(({ packageId, isRead }) => (isRead ? [packageId] : []))),
    siteCodes: sorted(all.flatMap(({ siteCodes }) => siteCodes)),
    siteDpIds: siteDpIds.filter((dpId) => !failed.has(dpId)),
  };
}

function isRemovable({ intent, status, isSeen }: Target): boolean {
  if (intent === undefined || intent === 'installed') return intent !== undefined;
  // That it is being removed says nothing of how that goes, where this site does not see it.
  return !isSeen || (status !== undefined && isFailed(status.state));
}

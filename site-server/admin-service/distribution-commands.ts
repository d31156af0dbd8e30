import { nextAssignment } from '../../shared/domain/distribution-point-group.ts';
import { isFailed } from '../../shared/domain/package-status.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import { joinKey } from '../../shared/state-store/key-space.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import { withoutScope } from './admin-scopes.ts';
import { DistributionTargets, isOnItsWay, type Target } from './distribution-targets.ts';
import { type DistributionWishNeeds, type WantedAction, wishChanges } from './distribution-wish.ts';
import { FailureRetries, type Retried } from './failure-retries.ts';
import { requireNotAsked, requireStaying } from './package-commands.ts';
import type { PackageStatusQuery, RequestedTargets } from './package-requests.ts';

/** The DPs for which something will happen. */
interface Chosen {
  readonly byName: readonly Target[];
  /** As far as this site knows who is in the groups. @default none */
  readonly byGroup?: readonly Target[];
  /** The groups that are told. @default none */
  readonly groupNames?: readonly string[];
}

/**
 * What an administrator does to packages on DPs of whatever site: distribute (PKG-4), redistribute
 * (PKG-6), remove (PKG-7), retry (ADM-1). Only the wish is written, in one synced batch a package; the
 * newest wish of a package on a DP is what the DP's site acts on. For a DP of this site its rows are
 * written, too, so that nothing here waits for the hierarchy.
 */
export class DistributionCommands {
  readonly #components: DistributionWishNeeds;
  readonly #targets: DistributionTargets;
  readonly #retries: FailureRetries;

  constructor(components: DistributionWishNeeds) {
    this.#components = components;
    this.#targets = new DistributionTargets(components);
    this.#retries = new FailureRetries(components);
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
    return this.#want(packageId, 'add', async (sitePackage) => {
      await this.#requireStaying(sitePackage);
      const isOpen = (target: Target) => !isOnItsWay(target);
      const byName = (await this.#targets.of(packageId, names)).filter(isOpen);
      const byGroup = (await this.#targets.of(packageId, members)).filter(isOpen);
      return { byName, byGroup, groupNames };
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
    return this.#want(packageId, 'redistribute', async (sitePackage) => {
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
   * Takes a package off DPs. Those that do not have it are passed over, and so are groups that do not: what
   * their DPs have was given to them otherwise. Taken off a group, it leaves the DPs that are in it, but
   * those that are in another group which has it.
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
    return this.#want(packageId, 'remove', async () => {
      const having = await this.#targets.groupsWith(packageId, groupNames);
      const inThem = await this.#targets.membersOf(having);
      const left = await this.#targets.withoutOtherGroup(packageId, inThem, having);
      return {
        byName: (await this.#targets.of(packageId, names)).filter(isRemovable),
        byGroup: (await this.#targets.of(packageId, left)).filter(isRemovable),
        groupNames: having,
      };
    });
  }

  /**
   * Makes everything that failed run again now, snapshots included, as far as this site knows of it.
   *
   * @returns the DPs for which something will happen, the packages whose source is read again, and the sites that are sent them again
   * @throws SCOPE_EXCEEDED when any of what failed is outside: then nothing runs again
   */
  retryFailed(query: PackageStatusQuery, check = withoutScope): Promise<Retried> {
    return this.#retries.retry(query, check);
  }

  /**
   * Writes the wish for the targets `choose` picks in the package's turn, and what groups are to do; for
   * their DPs the sites of these conclude what follows.
   */
  #want(
    packageId: string,
    action: WantedAction,
    choose: (sitePackage: SitePackage) => Promise<Chosen>,
  ): Promise<string[]> {
    const { packages, store, notifier, clock } = this.#components;
    return packages.turn(packageId, async () => {
      const sitePackage = await packages.require(packageId);
      const { byName, byGroup = [], groupNames = [] } = await choose(sitePackage);
      if (byName.length + groupNames.length === 0) return [];
      const times = { nowMs: clock.nowMs(), wishedAtMs: this.#components.nextMs() };
      const changes = byName.flatMap((target) =>
        wishChanges(this.#components, sitePackage, { target, action, ...times }),
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

  /** @throws PACKAGE_STATE_CONFLICT */
  async #requireStaying(sitePackage: SitePackage): Promise<void> {
    requireStaying(sitePackage);
    const { hierarchyPackages } = this.#components;
    requireNotAsked(await hierarchyPackages.ownRequests(sitePackage.packageId));
  }
}

function isRemovable({ intent, status, isSeen }: Target): boolean {
  if (intent === undefined || intent === 'installed') return intent !== undefined;
  // That it is being removed says nothing of how that goes, where this site does not see it.
  return !isSeen || (status !== undefined && isFailed(status.state));
}

import { WaybillError } from '../../shared/domain/errors.ts';
import type { PackageAssignment } from '../../shared/domain/hierarchy-package.ts';
import { isFailed, type PackageStatus } from '../../shared/domain/package-status.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { PackageServer, PackageServerIntent } from '../../shared/domain/site-package.ts';
import type { SiteTree } from '../../shared/domain/site-tree.ts';
import { joinKey } from '../../shared/state-store/key-space.ts';
import type { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { RequestedTargets } from './package-requests.ts';

const toAddOne = '"waybill dp add" adds one';

/** What finding targets needs. */
export interface DistributionTargetsComponents {
  readonly packages: PackageStore;
  readonly hierarchyPackages: HierarchyPackageRows;
  readonly hierarchy: Pick<HierarchyManager, 'list' | 'listAll' | 'requireAnywhere'>;
  readonly sites: { readonly tree: SiteTree };
}

/** A package on a DP of whatever site, as the rows have it. */
export interface Target {
  readonly dpId: string;
  readonly siteCode: string;
  /** Whether the DP is of this site. */
  readonly isOwn: boolean;
  /** Of a DP of this site. */
  readonly server: PackageServer | undefined;
  readonly assignment: PackageAssignment | undefined;
  /** Of a DP of another site only where that site's status comes. */
  readonly status: PackageStatus | undefined;
  /** Whether the status of that DP comes to this site. */
  readonly isSeen: boolean;
  /** What is wanted there; undefined: nothing was ever, or it is done. */
  readonly intent: PackageServerIntent | undefined;
}

/** Finds the DPs that a request means, and what the rows say of the package there. */
export class DistributionTargets {
  readonly #components: DistributionTargetsComponents;

  constructor(components: DistributionTargetsComponents) {
    this.#components = components;
  }

  /**
   * The DPs that are to get something.
   *
   * @throws DISTRIBUTION_POINT_UNKNOWN, SITE_UNKNOWN
   * @throws REQUEST_INVALID when there is no DP where all are meant
   */
  async receivers({ dpIds, siteCodes = [] }: RequestedTargets): Promise<string[]> {
    if (dpIds === 'all') return this.#all();
    for (const dpId of dpIds) await this.#components.hierarchy.requireAnywhere(dpId);
    const names = [...dpIds];
    for (const siteCode of siteCodes) names.push(...(await this.#ofSite(siteCode)));
    return [...new Set(names)];
  }

  /**
   * The DPs that may have the package, of those that are meant.
   *
   * @throws DISTRIBUTION_POINT_UNKNOWN, SITE_UNKNOWN
   */
  async holders(requested: RequestedTargets): Promise<string[]> {
    const { packageId, dpIds, siteCodes = [], groupNames = [] } = requested;
    const named = dpIds === 'all' ? [] : [...dpIds];
    for (const dpId of named) await this.#components.hierarchy.requireAnywhere(dpId);
    for (const siteCode of siteCodes) this.#requireSite(siteCode);
    const all = await this.#assigned(packageId);
    const members = new Set(await this.membersOf(groupNames));
    const meant = all.filter(
      ({ dpId, siteCode }) => dpIds === 'all' || siteCodes.includes(siteCode) || members.has(dpId),
    );
    return [...new Set([...named, ...meant.map(({ dpId }) => dpId)])];
  }

  /**
   * The DPs that are in any of these groups, and still there.
   *
   * @throws GROUP_UNKNOWN
   */
  async membersOf(groupNames: readonly string[]): Promise<string[]> {
    const { hierarchy, hierarchyPackages } = this.#components;
    const { groups } = hierarchyPackages;
    const names = new Set<string>();
    for (const groupName of groupNames) {
      if (!(await groups.groups.get(groupName))) {
        throw new WaybillError({ code: 'GROUP_UNKNOWN', groupName });
      }
      for (const dpId of await groups.membersOf(groupName)) names.add(dpId);
    }
    if (names.size === 0) return [];
    const present: string[] = [];
    for await (const { dpId } of hierarchy.listAll()) if (names.has(dpId)) present.push(dpId);
    return present.sort();
  }

  /** Of these groups those that have the package, at whatever site they were given it. */
  async groupsWith(packageId: string, groupNames: readonly string[]): Promise<string[]> {
    const { groups } = this.#components.hierarchyPackages;
    const having = new Set<string>();
    for (const { groupName, intent } of await groups.assignmentsOf(packageId)) {
      if (intent === 'installed') having.add(groupName);
    }
    return groupNames.filter((groupName) => having.has(groupName));
  }

  /** Of these DPs those that are in no group but these which has the package. */
  async withoutOtherGroup(
    packageId: string,
    dpIds: readonly string[],
    groupNames: readonly string[],
  ): Promise<string[]> {
    const { groups } = this.#components.hierarchyPackages;
    const held = new Set<string>();
    for (const { groupName, intent } of await groups.assignmentsOf(packageId)) {
      if (intent !== 'installed' || groupNames.includes(groupName)) continue;
      for (const dpId of await groups.membersOf(groupName)) held.add(dpId);
    }
    return dpIds.filter((dpId) => !held.has(dpId));
  }

  /** What the rows say. Inside a turn of the package when something is written by it. */
  async of(packageId: string, dpIds: readonly string[]): Promise<Target[]> {
    const targets: Target[] = [];
    for (const dpId of dpIds) targets.push(await this.#target(packageId, dpId));
    return targets;
  }

  async #target(packageId: string, dpId: string): Promise<Target> {
    const { packages, hierarchyPackages, hierarchy } = this.#components;
    const assignment = await hierarchyPackages.getAssignment(packageId, dpId);
    const point = await hierarchy.requireAnywhere(dpId).catch(() => undefined);
    const siteCode = point?.siteCode ?? assignment?.siteCode ?? hierarchyPackages.siteCode;
    const isOwn = siteCode === hierarchyPackages.siteCode;
    const isSeen = isOwn || this.#isSeenHere(packageId, siteCode);
    const server = isOwn ? await packages.getServer(packageId, dpId) : undefined;
    const status = isOwn
      ? await packages.getStatus(packageId, dpId)
      : await hierarchyPackages.statuses.get(joinKey(packageId, siteCode, dpId));
    const intent = isOwn ? server?.intent : assignment?.intent;
    return { dpId, siteCode, isOwn, server, assignment, status, isSeen, intent };
  }

  /** Status comes to the sites above a DP's, and to the source site of the package (REP-8). */
  #isSeenHere(packageId: string, siteCode: string): boolean {
    const { hierarchyPackages, sites } = this.#components;
    return (
      hierarchyPackages.isOwn(packageId) || sites.tree.isUnder(siteCode, hierarchyPackages.siteCode)
    );
  }

  /** Those of this site; at a site without any, those of the hierarchy. */
  async #all(): Promise<string[]> {
    const { hierarchy } = this.#components;
    const own: string[] = [];
    for await (const { dpId } of hierarchy.list()) own.push(dpId);
    if (own.length > 0) return own;
    const all: string[] = [];
    for await (const { dpId } of hierarchy.listAll()) all.push(dpId);
    if (all.length > 0) return all;
    const expected = 'at least one distribution point';
    throw requestInvalid('all_dps', { expected, actual: 'none', remedy: toAddOne });
  }

  async #ofSite(siteCode: string): Promise<string[]> {
    this.#requireSite(siteCode);
    const names: string[] = [];
    for await (const point of this.#components.hierarchy.listAll()) {
      if (point.siteCode === siteCode) names.push(point.dpId);
    }
    if (names.length > 0) return names;
    const expected = 'a site with distribution points';
    throw requestInvalid('site_codes', { expected, actual: siteCode, remedy: toAddOne });
  }

  #requireSite(siteCode: string): void {
    if (this.#components.sites.tree.get(siteCode)) return;
    throw new WaybillError({ code: 'SITE_UNKNOWN', siteCode });
  }

  async #assigned(packageId: string): Promise<{ dpId: string; siteCode: string }[]> {
    const { packages, hierarchyPackages } = this.#components;
    const { siteCode } = hierarchyPackages;
    const own = (await packages.serversOf(packageId)).map(({ dpId }) => ({ dpId, siteCode }));
    const all = await hierarchyPackages.assignmentsOf(packageId);
    return [...own, ...all.filter((assignment) => assignment.siteCode !== siteCode)];
  }
}

/**
 * Whether distributing would change nothing: the DP has it, or is getting it. Where this site does not see
 * how it went, it may have failed: the DP's site knows whether there is something to do.
 */
export function isOnItsWay({ intent, status, isSeen }: Target): boolean {
  return intent === 'installed' && isSeen && !(status && isFailed(status.state));
}

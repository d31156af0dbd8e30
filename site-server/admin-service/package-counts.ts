import { isFailed, type PackageStatus } from '../../shared/domain/package-status.ts';
import type { SiteTree } from '../../shared/domain/site-tree.ts';
import type { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';

/** On how many DPs a package stands how. */
export interface PackageCounts {
  /** DPs that are meant to have it. */
  readonly targeted: number;
  readonly installed: number;
  readonly retrying: number;
  readonly failed: number;
}

/** Whose rows are counted. */
export interface PackageCountsComponents {
  readonly packages: PackageStore;
  readonly hierarchyPackages: HierarchyPackageRows;
  readonly sites: { readonly tree: SiteTree };
}

/** Counts the DPs of a package in the whole hierarchy, as far as this site knows, from its rows. */
export async function packageCounts(
  { packages, hierarchyPackages, sites }: PackageCountsComponents,
  packageId: string,
): Promise<PackageCounts> {
  // What a site said that was taken out of the hierarchy counts no more.
  const isElsewhere = (row: { readonly siteCode: string }) =>
    row.siteCode !== hierarchyPackages.siteCode && sites.tree.get(row.siteCode) !== undefined;
  const assigned = [
    ...(await packages.serversOf(packageId)),
    ...(await hierarchyPackages.assignmentsOf(packageId)).filter(isElsewhere),
  ];
  const elsewhere = await hierarchyPackages.statusesOf(packageId);
  const statuses = [
    ...(await packages.statusesOf(packageId)),
    ...elsewhere.filter((row) => row.dpId !== '' && isElsewhere(row)),
  ];
  const targets = assigned.filter(({ intent }) => intent === 'installed');
  const targeted = new Set(targets.map(({ dpId }) => dpId));
  const isInstalled = ({ dpId, state }: PackageStatus) =>
    state === 'installed' && targeted.has(dpId);
  return {
    targeted: targeted.size,
    installed: new Set(statuses.filter(isInstalled).map(({ dpId }) => dpId)).size,
    retrying: statuses.filter(({ state }) => state.endsWith('-retrying')).length,
    failed: statuses.filter(({ state }) => isFailed(state)).length,
  };
}

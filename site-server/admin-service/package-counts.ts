import { isFailed } from '../../shared/domain/package-status.ts';
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

/** Counts the DPs of a package in the whole hierarchy, as far as this site knows, from its rows. */
export async function packageCounts(
  packages: PackageStore,
  hierarchyPackages: HierarchyPackageRows,
  packageId: string,
): Promise<PackageCounts> {
  const { siteCode } = hierarchyPackages;
  const assigned = [
    ...(await packages.serversOf(packageId)),
    ...(await hierarchyPackages.assignmentsOf(packageId)).filter(
      (one) => one.siteCode !== siteCode,
    ),
  ];
  const elsewhere = await hierarchyPackages.statusesOf(packageId);
  const statuses = [
    ...(await packages.statusesOf(packageId)),
    ...elsewhere.filter(({ dpId }) => dpId !== ''),
  ];
  return {
    targeted: assigned.filter(({ intent }) => intent === 'installed').length,
    installed: statuses.filter(({ state }) => state === 'installed').length,
    retrying: statuses.filter(({ state }) => state.endsWith('-retrying')).length,
    failed: statuses.filter(({ state }) => isFailed(state)).length,
  };
}

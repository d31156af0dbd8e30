import { isFailed } from '../../shared/domain/package-status.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';

/** On how many DPs a package stands how. */
export interface PackageCounts {
  /** DPs that are meant to have it. */
  readonly targeted: number;
  readonly installed: number;
  readonly retrying: number;
  readonly failed: number;
}

/** Counts the DPs of a package, from its rows. */
export async function packageCounts(
  packages: PackageStore,
  packageId: string,
): Promise<PackageCounts> {
  const servers = await packages.serversOf(packageId);
  const statuses = await packages.statusesOf(packageId);
  return {
    targeted: servers.filter(({ intent }) => intent === 'installed').length,
    installed: statuses.filter(({ state }) => state === 'installed').length,
    retrying: statuses.filter(({ state }) => state.endsWith('-retrying')).length,
    failed: statuses.filter(({ state }) => isFailed(state)).length,
  };
}

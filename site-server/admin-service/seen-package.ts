import type { PackageDefinition, PackageRequests } from '../../shared/domain/hierarchy-package.ts';
import { handledCountOf } from '../../shared/domain/hierarchy-package-work.ts';
import { isLeaving } from '../../shared/domain/package-processing.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';

/** What the hierarchy says of a package that another site publishes. */
export interface HierarchyWords {
  readonly definition: PackageDefinition | undefined;
  readonly published: SitePackage | undefined;
  /** What administrators at this site asked of it. */
  readonly requests: PackageRequests | undefined;
}

/**
 * A package of another site as administrators here see it: what its source site says of it, what was
 * said of it last anywhere, and how far its content is here. Its requests are those of this site.
 *
 * @param row the package as this site keeps it
 */
export function toSeenPackage(row: SitePackage, words: HierarchyWords): SitePackage {
  const { definition, published, requests } = words;
  const source = published ?? row;
  const sources = source.sources.map((one, index) => {
    return { ...one, directory: definition?.directories[index] ?? one.directory };
  });
  return {
    ...source,
    properties: definition?.properties ?? source.properties,
    sources,
    sourceVersion: published?.sourceVersion ?? row.sourceVersion,
    ...stateOf(row, words),
    acceptedRequestCount: requests?.updateCount ?? 0,
    handledRequestCount: handledCountOf(
      published?.requestsTaken?.[requests?.siteCode ?? ''],
      published?.handledRequestCount ?? 0,
    ),
  };
}

/** Its state is what its source site says; what keeps it there comes before what keeps it here. */
function stateOf(
  row: SitePackage,
  { published, requests }: HierarchyWords,
): Pick<SitePackage, 'state' | 'reason'> {
  if (row.state === 'deleted') return { state: 'deleted', reason: '' };
  if (requests?.isDeletion || isLeaving(row)) {
    return { state: 'deleting', reason: published?.reason || row.reason };
  }
  const { state, reason } = published ?? row;
  // That its content has not arrived here is no state of the package (DM-3).
  return { state, reason: reason || row.reason };
}

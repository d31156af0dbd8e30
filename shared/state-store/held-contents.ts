import { contentIdsOf } from '../domain/content-location.ts';
import type { PackageStatus } from '../domain/package-status.ts';
import type { SitePackage } from '../domain/site-package.ts';
import { joinKey, keySpaces } from './key-space.ts';
import type { Change, StateStore } from './state-store.ts';

/** Rows of one batch. */
const batchCount = 1_000;

/**
 * Layout 2: "content DP map" tells which content is at which DP. What is installed is known from the
 * package status. Put again after a crash, a row is the same. The contents of a version that was
 * replaced meanwhile are not known any more, but for a plain package; its update brings them.
 */
export async function mapHeldContents(store: StateStore): Promise<void> {
  const packages = store.records(keySpaces.packages);
  const locations = store.records(keySpaces.contentDpMap);
  let changes: Change[] = [];
  for await (const [, status] of store.records(keySpaces.packageStatus).list()) {
    if (status.dpId === '' || status.installedVersion === 0) continue;
    const { packageId, installedVersion: sourceVersion, changedAtMs: sinceMs } = status;
    for (const contentId of installedContentIds(await packages.get(packageId), status)) {
      const key = joinKey(contentId, status.dpId);
      changes.push(locations.put(key, { packageId, sourceVersion, state: 'held', sinceMs }));
    }
    if (changes.length < batchCount) continue;
    await store.write(changes, { sync: false });
    changes = [];
  }
  await store.write(changes, { sync: true });
}

function installedContentIds(
  sitePackage: SitePackage | undefined,
  { packageId, installedVersion }: PackageStatus,
): string[] {
  const known = contentIdsOf(sitePackage, installedVersion);
  if (known) return known;
  const isPlain = sitePackage?.sources.every(({ contentName }) => contentName === packageId);
  return isPlain ? [`${packageId}.${installedVersion}`] : [];
}

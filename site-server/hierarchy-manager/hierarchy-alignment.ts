import type { PackageAssignment } from '../../shared/domain/hierarchy-package.ts';
import {
  toAwaitedContent,
  toDefinition,
  toStoredContent,
  withoutContent,
} from '../../shared/domain/hierarchy-package-work.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import { isLeaving } from '../../shared/domain/package-processing.ts';
import type { PackageServer } from '../../shared/domain/site-package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { HierarchyManager } from './hierarchy-manager.ts';
import type { OwnSite } from './site-directory.ts';

/** What aligning needs. */
export interface HierarchyAlignmentComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly packages: PackageStore;
  readonly hierarchyPackages: HierarchyPackageRows;
  readonly hierarchy: Pick<HierarchyManager, 'list'>;
  /** The site's content library, which outlives the state store. */
  readonly library: { getPackage(packageId: string): Promise<PackageVersion | undefined> };
  readonly own: OwnSite;
  /** host:port by which others reach this site. */
  readonly siteAddress: () => string;
  readonly newUuid: () => string;
  readonly clock: Pick<Clock, 'nowMs'>;
  /** Rows may be missing: then nothing is said to other sites that they know better. */
  readonly isStoreDamaged: boolean;
}

/**
 * Makes the replicated rows of this site say what its own rows and its library say, at every start:
 * a site that was alone until now has none yet, and after a crash or damage they may be behind. When
 * all is well it writes nothing.
 */
export async function alignWithHierarchy(components: HierarchyAlignmentComponents): Promise<void> {
  const changes = [
    ...(await ownSite(components)),
    ...(await ownContents(components)),
    ...(components.isStoreDamaged ? [] : await ownWords(components)),
  ];
  if (changes.length > 0) await components.store.write(changes, { sync: true });
}

/**
 * A site below another one is made known there; only the top makes itself known. What a site said of
 * its place before it was configured otherwise is put right.
 */
async function ownSite(components: HierarchyAlignmentComponents): Promise<Change[]> {
  const { store, own, siteAddress } = components;
  const sites = store.records(keySpaces.sites);
  const { siteCode, kind, parent } = own;
  const parentSiteCode = parent?.siteCode ?? '';
  const said = await sites.get(siteCode);
  const isTrue = said?.kind === kind && said.parentSiteCode === parentSiteCode;
  if (isTrue || (parent && !said)) return [];
  const { address, description } = said ?? { address: siteAddress(), description: '' };
  return [sites.put(siteCode, { siteCode, kind, parentSiteCode, address, description })];
}

/** What this site says it holds of packages of other sites is what its library holds. */
async function ownContents(components: HierarchyAlignmentComponents): Promise<Change[]> {
  const { packages, hierarchyPackages, notifier } = components;
  const changes: Change[] = [];
  for await (const [packageId, row] of packages.packages.list()) {
    if (hierarchyPackages.isOwn(packageId)) continue;
    const version = await components.library.getPackage(packageId);
    const before = changes.length;
    changes.push(...(await contentSaid(components, { packageId, version })));
    if (!version && row.sourceVersion > 0) {
      const isWanted = await isWantedHere(packages, packageId);
      const bare = withoutContent(row, { isWanted, nowMs: components.clock.nowMs() });
      changes.push(...packages.put(bare));
    }
    const isBehind = version !== undefined && version.sourceVersion > row.sourceVersion;
    if (changes.length > before || isBehind) {
      changes.push(notifier.notification('package', packageId));
    }
  }
  return changes;
}

async function contentSaid(
  { hierarchyPackages, clock }: HierarchyAlignmentComponents,
  { packageId, version }: { packageId: string; version: PackageVersion | undefined },
): Promise<Change[]> {
  const { siteCode } = hierarchyPackages;
  const said = await hierarchyPackages.ownContent(packageId);
  const isTrue = (said?.storedVersion ?? 0) === (version?.sourceVersion ?? 0);
  if (isTrue && (said?.storedHash ?? '') === (version?.packageHash ?? '')) return [];
  const nowMs = clock.nowMs();
  const row = said ?? toAwaitedContent({ packageId, siteCode }, nowMs);
  return [hierarchyPackages.putOwnContent(toStoredContent(row, version, nowMs))];
}

async function isWantedHere(packages: PackageStore, packageId: string): Promise<boolean> {
  const servers = await packages.serversOf(packageId);
  return servers.some(({ intent }) => intent === 'installed');
}

/** Packages, DPs and wishes of this site of which no other site was told yet. */
async function ownWords(components: HierarchyAlignmentComponents): Promise<Change[]> {
  const { store, packages, hierarchyPackages, hierarchy } = components;
  const changes: Change[] = [];
  for await (const [packageId, row] of packages.packages.list()) {
    const isComplete = row.sources.every(({ directory }) => directory !== '');
    if (!hierarchyPackages.isOwn(packageId) || isLeaving(row) || !isComplete) continue;
    if (await hierarchyPackages.definitions.get(packageId)) continue;
    changes.push(hierarchyPackages.definitions.put(packageId, toDefinition(row)));
  }
  const points = store.records(keySpaces.hierarchyDistributionPoints);
  for await (const point of hierarchy.list()) {
    if (!(await points.get(point.dpId))) changes.push(points.put(point.dpId, point));
  }
  for await (const [, server] of packages.servers.list()) {
    const key = joinKey(server.packageId, server.dpId);
    const row = await packages.packages.get(server.packageId);
    // Of what is being deleted nothing is wished any more.
    if (!row || isLeaving(row) || (await hierarchyPackages.assignments.get(key))) continue;
    changes.push(...assignmentOf(components, server));
  }
  return changes;
}

/** The wish that has led to this row, as if it had been uttered in the hierarchy. */
function assignmentOf(components: HierarchyAlignmentComponents, server: PackageServer): Change[] {
  const { packages, hierarchyPackages, newUuid } = components;
  const { packageId, dpId, intent, changedAtMs } = server;
  const wishId = server.wishId ?? newUuid();
  const action = intent === 'removed' ? 'remove' : 'add';
  const { siteCode } = hierarchyPackages;
  const what: Pick<PackageAssignment, 'intent' | 'action'> = { intent, action };
  const wish = { packageId, dpId, siteCode, ...what, wishId, wishedAtMs: changedAtMs };
  return [hierarchyPackages.putAssignment(wish), packages.putServer({ ...server, wishId })];
}

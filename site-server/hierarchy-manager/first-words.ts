import type { PackageAssignment } from '../../shared/domain/hierarchy-package.ts';
import { toDefinition } from '../../shared/domain/hierarchy-package-work.ts';
import { isLeaving } from '../../shared/domain/package-processing.ts';
import type { PackageServer } from '../../shared/domain/site-package.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import { type RowName, rowIdOf } from '../replication-manager/replicated-rows.ts';
import type { HierarchyManager } from './hierarchy-manager.ts';

/** What finding what was never said needs. */
export interface FirstWordsComponents {
  readonly store: Pick<StateStore, 'records'>;
  readonly packages: PackageStore;
  readonly hierarchyPackages: HierarchyPackageRows;
  readonly hierarchy: Pick<HierarchyManager, 'list'>;
  readonly newUuid: () => string;
}

/**
 * Packages, DPs and wishes of this site of which no other site was ever told, one after another: rows of
 * a site that was alone until now. What has a version was said once, here or elsewhere; when its row is
 * gone, it was deleted there, and saying it again would undo that.
 */
export async function* firstWords(components: FirstWordsComponents): AsyncGenerator<Change[]> {
  yield* ownPackages(components);
  yield* ownPoints(components);
  yield* ownWishes(components);
}

async function* ownPackages(components: FirstWordsComponents): AsyncGenerator<Change[]> {
  const { packages, hierarchyPackages } = components;
  for await (const [packageId, row] of packages.packages.list()) {
    const isComplete = row.sources.every(({ directory }) => directory !== '');
    if (!hierarchyPackages.isOwn(packageId) || isLeaving(row) || !isComplete) continue;
    if (await hierarchyPackages.definitions.get(packageId)) continue;
    if (await wasSaid(components, { table: 'package-definitions', key: packageId })) continue;
    yield [hierarchyPackages.definitions.put(packageId, toDefinition(row))];
  }
}

async function* ownPoints(components: FirstWordsComponents): AsyncGenerator<Change[]> {
  const { store, hierarchy } = components;
  const points = store.records(keySpaces.hierarchyDistributionPoints);
  for await (const point of hierarchy.list()) {
    const { dpId } = point;
    if (await points.get(dpId)) continue;
    if (await wasSaid(components, { table: 'hierarchy-distribution-points', key: dpId })) continue;
    yield [points.put(dpId, point)];
  }
}

async function* ownWishes(components: FirstWordsComponents): AsyncGenerator<Change[]> {
  const { packages, hierarchyPackages } = components;
  for await (const [, server] of packages.servers.list()) {
    const key = joinKey(server.packageId, server.dpId);
    const row = await packages.packages.get(server.packageId);
    // Of what is being deleted nothing is wished any more.
    if (!row || isLeaving(row) || (await hierarchyPackages.assignments.get(key))) continue;
    if (await hierarchyPackages.groups.wishes.get(key)) continue;
    if (await wasSaid(components, { table: 'package-assignments', key })) continue;
    yield wishOf(components, server);
  }
}

async function wasSaid({ store }: FirstWordsComponents, name: RowName): Promise<boolean> {
  return (await store.records(keySpaces.rowVersions).get(rowIdOf(name))) !== undefined;
}

/** The wish that has led to this row, as if it had been uttered in the hierarchy. */
function wishOf(components: FirstWordsComponents, server: PackageServer): Change[] {
  const { packages, hierarchyPackages, newUuid } = components;
  const { packageId, dpId, intent, changedAtMs } = server;
  const wishId = server.wishId ?? newUuid();
  const action = intent === 'removed' ? 'remove' : 'add';
  const { siteCode } = hierarchyPackages;
  const what: Pick<PackageAssignment, 'intent' | 'action'> = { intent, action };
  const wish = { packageId, dpId, siteCode, ...what, wishId, wishedAtMs: changedAtMs };
  return [hierarchyPackages.putAssignment(wish), packages.putServer({ ...server, wishId })];
}

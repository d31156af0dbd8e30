import type { RowVersion } from '../../shared/domain/change-log.ts';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import {
  type GroupWord,
  groupWordOf,
  standingWish,
  type WishesOfDp,
  wishIdOfWord,
} from '../../shared/domain/distribution-point-group.ts';
import type {
  PackageAssignment,
  PackageDefinition,
  PackageRequests,
  SiteContent,
} from '../../shared/domain/hierarchy-package.ts';
import { sourceSiteOf } from '../../shared/domain/package.ts';
import type { PackageStatus } from '../../shared/domain/package-status.ts';
import type { SiteDefinition } from '../../shared/domain/site.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { ValidationRequest } from '../../shared/domain/validation-request.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { RecordStore } from '../../shared/state-store/record-store.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { GroupRows } from '../hierarchy-manager/group-rows.ts';
import { rowIdOf } from '../replication-manager/replicated-rows.ts';

/** What the replicated rows of packages need. */
export interface HierarchyPackageRowsComponents {
  readonly store: Pick<StateStore, 'records'>;
  readonly siteCode: string;
}

/** A package on a DP, or on the site itself, as another site says. */
export interface SitePackageStatus extends PackageStatus {
  readonly siteCode: string;
}

/**
 * The replicated rows of packages: what administrators anywhere say and want of them, and what other
 * sites say of theirs (docs/hierarchy.md, 1). Who reads them to write what follows from them does both
 * inside one turn of the package, see PackageStore. Writes nothing by itself.
 */
export class HierarchyPackageRows {
  readonly siteCode: string;
  readonly definitions: RecordStore<PackageDefinition>;
  readonly published: RecordStore<SitePackage>;
  readonly requests: RecordStore<PackageRequests>;
  /** What was wished by name; what stands of it, and of what groups say, has `assignmentsOf`. */
  readonly assignments: RecordStore<PackageAssignment>;
  readonly groups: GroupRows;
  readonly contents: RecordStore<SiteContent>;
  readonly statuses: RecordStore<PackageStatus>;
  readonly #validations: RecordStore<ValidationRequest>;
  readonly #points: RecordStore<DistributionPoint>;
  readonly #sites: RecordStore<SiteDefinition>;
  readonly #versions: RecordStore<RowVersion>;

  constructor({ store, siteCode }: HierarchyPackageRowsComponents) {
    this.siteCode = siteCode;
    this.definitions = store.records(keySpaces.packageDefinitions);
    this.published = store.records(keySpaces.publishedPackages);
    this.requests = store.records(keySpaces.packageRequests);
    this.assignments = store.records(keySpaces.packageAssignments);
    this.groups = new GroupRows(store);
    this.contents = store.records(keySpaces.siteContents);
    this.statuses = store.records(keySpaces.sitePackageStatus);
    this.#validations = store.records(keySpaces.validationRequests);
    this.#points = store.records(keySpaces.hierarchyDistributionPoints);
    this.#sites = store.records(keySpaces.sites);
    this.#versions = store.records(keySpaces.rowVersions);
  }

  /** Whether this site takes the snapshots of a package. */
  isOwn(packageId: string): boolean {
    return sourceSiteOf(packageId) === this.siteCode;
  }

  /**
   * Whether the source site of a package was taken out of the hierarchy: what it last said counts no more.
   * One of which nothing was heard yet is not gone.
   */
  async isSourceGone(packageId: string): Promise<boolean> {
    if (this.isOwn(packageId)) return false;
    const rowId = rowIdOf({ table: 'sites', key: sourceSiteOf(packageId) });
    return (await this.#versions.get(rowId))?.isDeleted ?? false;
  }

  /** Whether the source site of a package is part of the hierarchy, as far as this site has heard. */
  async isSourceKnown(packageId: string): Promise<boolean> {
    return (await this.#sites.get(sourceSiteOf(packageId))) !== undefined;
  }

  requestsOf(packageId: string): Promise<PackageRequests[]> {
    return valuesOf(this.requests, packageId);
  }

  /**
   * What is wanted of a package on each DP, by DP: of what was wished by name and what follows from its
   * groups, what was said last. Each with the site that its DP is of now, be it another than when it was
   * wished; none of a DP that was deleted, which may not have been known where it was wished.
   */
  async assignmentsOf(packageId: string): Promise<PackageAssignment[]> {
    const wishes = new Map<string, WishesOfDp>();
    const add = (dpId: string, one: WishesOfDp) => {
      wishes.set(dpId, { ...wishes.get(dpId), ...one });
    };
    for (const byName of await valuesOf(this.assignments, packageId)) add(byName.dpId, { byName });
    for (const kept of await valuesOf(this.groups.wishes, packageId)) add(kept.dpId, { kept });
    for (const [dpId, views] of await this.groups.viewsOf(packageId)) {
      const word = groupWordOf(views);
      if (word) add(dpId, { byGroups: toWish(word, packageId, dpId) });
    }
    const standing = [...wishes.values()].flatMap((ofDp) => standingWish(ofDp) ?? []);
    return this.#standing(standing.sort((a, b) => (a.dpId < b.dpId ? -1 : 1)));
  }

  /** The one of a DP, as `assignmentsOf` has it. */
  async standingAssignment(
    packageId: string,
    dpId: string,
  ): Promise<PackageAssignment | undefined> {
    const wish = await this.getAssignment(packageId, dpId);
    return wish && (await this.#standing([wish]))[0];
  }

  async #standing(wishes: readonly PackageAssignment[]): Promise<PackageAssignment[]> {
    const points = await this.#points.getMany(wishes.map(({ dpId }) => dpId));
    const standing: PackageAssignment[] = [];
    for (const [index, wish] of wishes.entries()) {
      const siteCode = points[index]?.siteCode;
      if (siteCode !== undefined) standing.push({ ...wish, siteCode });
      // What only follows from a group is of no site until its DP is known.
      else if (wish.siteCode !== '' && !(await this.#isPointDeleted(wish.dpId))) {
        standing.push(wish);
      }
    }
    return standing;
  }

  async #isPointDeleted(dpId: string): Promise<boolean> {
    const rowId = rowIdOf({ table: 'hierarchy-distribution-points', key: dpId });
    return (await this.#versions.get(rowId))?.isDeleted ?? false;
  }

  contentsOf(packageId: string): Promise<SiteContent[]> {
    return valuesOf(this.contents, packageId);
  }

  /** What other sites say of the package on their DPs and on themselves. */
  async statusesOf(packageId: string): Promise<SitePackageStatus[]> {
    const rows: SitePackageStatus[] = [];
    for await (const [key, status] of this.statuses.list({ prefix: `${packageId}/` })) {
      const siteCode = siteOfStatusKey(key);
      if (siteCode !== this.siteCode) rows.push({ ...status, siteCode });
    }
    return rows;
  }

  /** What was said last of a package on a DP, by name or by its groups. */
  async getAssignment(packageId: string, dpId: string): Promise<PackageAssignment | undefined> {
    const key = joinKey(packageId, dpId);
    const byName = await this.assignments.get(key);
    const kept = await this.groups.wishes.get(key);
    const word = groupWordOf(await this.groups.viewsOn(packageId, dpId));
    const point = word && (await this.#points.get(dpId));
    const byGroups = point && { ...toWish(word, packageId, dpId), siteCode: point.siteCode };
    return standingWish({ byName, kept, byGroups });
  }

  /**
   * Keeps a standing wish that follows from a group, whatever becomes of the group. A removal only where
   * something else was wished before: else there is nothing to hold it against.
   */
  async kept(wish: PackageAssignment): Promise<Change[]> {
    const key = joinKey(wish.packageId, wish.dpId);
    const before = await this.groups.wishes.get(key);
    if (before?.wishId === wish.wishId) return [];
    const isFirst = !before && !(await this.assignments.get(key));
    return isFirst && wish.intent === 'removed' ? [] : [this.groups.putWish(wish)];
  }

  putAssignment(assignment: PackageAssignment): Change {
    return this.assignments.put(joinKey(assignment.packageId, assignment.dpId), assignment);
  }

  /** What this site says it holds of a package. */
  ownContent(packageId: string): Promise<SiteContent | undefined> {
    return this.contents.get(joinKey(packageId, this.siteCode));
  }

  putOwnContent(content: SiteContent): Change {
    return this.contents.put(joinKey(content.packageId, this.siteCode), content);
  }

  /** What administrators at this site asked of a package of another site. */
  ownRequests(packageId: string): Promise<PackageRequests | undefined> {
    return this.requests.get(joinKey(packageId, this.siteCode));
  }

  putOwnRequests(requests: PackageRequests): Change {
    return this.requests.put(joinKey(requests.packageId, this.siteCode), requests);
  }

  /** Deletes what this site said it holds. A row that is not there is not deleted: it would be news. */
  async ownContentGone(packageId: string): Promise<Change[]> {
    const isThere = (await this.ownContent(packageId)) !== undefined;
    return isThere ? [this.contents.delete(joinKey(packageId, this.siteCode))] : [];
  }

  /** Deletes what was asked for at this site. */
  async ownRequestsGone(packageId: string): Promise<Change[]> {
    const isThere = (await this.ownRequests(packageId)) !== undefined;
    return isThere ? [this.requests.delete(joinKey(packageId, this.siteCode))] : [];
  }

  /** Deletes what is said and wanted of a package that no site has any more. */
  async allGone(packageId: string): Promise<Change[]> {
    const changes = await this.ownContentGone(packageId);
    changes.push(...(await this.ownRequestsGone(packageId)));
    if (await this.definitions.get(packageId)) changes.push(this.definitions.delete(packageId));
    if (await this.published.get(packageId)) changes.push(this.published.delete(packageId));
    for (const { dpId } of await valuesOf(this.assignments, packageId)) {
      changes.push(this.assignments.delete(joinKey(packageId, dpId)));
    }
    changes.push(...(await this.groups.packageGone(packageId)));
    for (const { dpId } of await valuesOf(this.#validations, packageId)) {
      changes.push(this.#validations.delete(joinKey(packageId, dpId)));
    }
    return changes;
  }
}

/** A word of a group as a wish for a DP; of no site yet. */
function toWish(word: GroupWord, packageId: string, dpId: string): PackageAssignment {
  const { intent, saidAtMs } = word;
  const action = intent === 'installed' ? 'add' : 'remove';
  const what = { packageId, dpId, siteCode: '', intent, action } as const;
  return { ...what, wishId: wishIdOfWord(word), wishedAtMs: saidAtMs };
}

/** The site that a key of the table "site package status" speaks of. */
export function siteOfStatusKey(key: string): string {
  return key.split('/')[1] ?? '';
}

async function valuesOf<V>(records: RecordStore<V>, packageId: string): Promise<V[]> {
  const values: V[] = [];
  for await (const [, value] of records.list({ prefix: `${packageId}/` })) values.push(value);
  return values;
}

import type { PackageAssignment } from '../../shared/domain/hierarchy-package.ts';
import { isLeaving } from '../../shared/domain/package-processing.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import { joinKey } from '../../shared/state-store/key-space.ts';
import type {
  HierarchyPackageRows,
  SitePackageStatus,
} from '../distribution-manager/hierarchy-package-rows.ts';
import { pendingStatus } from '../distribution-manager/hierarchy-wishes.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import {
  type DeliveryFailure,
  DeliveryFailures,
  type DeliveryFailuresComponents,
} from './delivery-failures.ts';
import type { AdminReplication, NeighbourState } from './hierarchy-ports.ts';

/** What joining wishes and status needs. */
export interface AwaitedStatusComponents extends DeliveryFailuresComponents {
  readonly packages: Pick<PackageStore, 'packages'>;
  readonly hierarchyPackages: HierarchyPackageRows;
  /** None: this site is alone. */
  readonly replication?: AdminReplication;
}

/** A row of status as it is shown. */
export interface SeenPackageStatus extends SitePackageStatus {
  /** The DP's site has not said it yet: it follows from what was asked for. @default false */
  readonly isAwaited?: boolean;
}

/**
 * A package on DPs of other sites: what their sites say, and where a site has not yet answered what was
 * asked for, that it is awaited. Only of sites whose status comes to this one (REP-8): of the others
 * nothing would ever follow. One is made for each reading: how it stands with the neighbours costs much
 * to ask, and is asked at most once.
 */
export class AwaitedStatus {
  readonly #components: AwaitedStatusComponents;
  readonly #failures: DeliveryFailures;
  #neighbours: Promise<readonly NeighbourState[]> | undefined;

  constructor(components: AwaitedStatusComponents) {
    this.#components = components;
    this.#failures = new DeliveryFailures(components);
  }

  /** The rows of a package, by site and DP. */
  async of(packageId: string): Promise<SeenPackageStatus[]> {
    const { hierarchyPackages } = this.#components;
    const said = (await hierarchyPackages.statusesOf(packageId)).filter(this.#isThere);
    const wishes = await hierarchyPackages.assignmentsOf(packageId);
    const rows = await this.#joined(packageId, said, wishes);
    return withFailures(rows, await this.#failures.of(packageId));
  }

  /** The row of one DP, or with an empty name of its site. */
  async get(
    packageId: string,
    siteCode: string,
    dpId: string,
  ): Promise<SeenPackageStatus | undefined> {
    const { hierarchyPackages } = this.#components;
    const status = await hierarchyPackages.statuses.get(joinKey(packageId, siteCode, dpId));
    const wish = await hierarchyPackages.standingAssignment(packageId, dpId);
    const said = status ? [{ ...status, siteCode }].filter(this.#isThere) : [];
    const wishes = wish?.siteCode === siteCode ? [wish] : [];
    const rows = await this.#joined(packageId, said, wishes);
    const failures = dpId === '' ? await this.#failures.of(packageId) : [];
    const ofSite = failures.filter((failure) => failure.siteCode === siteCode);
    return withFailures(rows, ofSite)[0];
  }

  async #joined(
    packageId: string,
    said: readonly SitePackageStatus[],
    wishes: readonly PackageAssignment[],
  ): Promise<SeenPackageStatus[]> {
    const rows = new Map<string, SeenPackageStatus>(said.map((row) => [toKey(row), row]));
    const awaited = wishes.filter((wish) => this.#isSeen(wish) && isUnanswered(wish, rows));
    const sitePackage =
      awaited.length > 0 ? await this.#components.packages.packages.get(packageId) : undefined;
    if (!sitePackage || isLeaving(sitePackage)) return [...said];
    this.#neighbours ??= this.#components.replication?.neighbours();
    const neighbours = (await this.#neighbours) ?? [];
    for (const wish of awaited) {
      const reason = this.#reasonOf(wish, neighbours);
      rows.set(
        toKey(wish),
        toAwaitedRow(sitePackage, wish, { row: rows.get(toKey(wish)), reason }),
      );
    }
    return [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  }

  #reasonOf({ siteCode }: PackageAssignment, neighbours: readonly NeighbourState[]): string {
    const { hierarchyPackages, sites } = this.#components;
    const towards = sites.tree.neighbourTowards(hierarchyPackages.siteCode, siteCode);
    const isAway = neighbours.some((one) => one.siteCode === towards && !one.connected);
    if (isAway) return `site ${towards} is not connected`;
    return `site ${siteCode} has not said anything of it yet`;
  }

  /** What a site said that was taken out of the hierarchy counts no more. */
  readonly #isThere = ({ siteCode }: { readonly siteCode: string }): boolean => {
    const { hierarchyPackages, sites } = this.#components;
    return siteCode !== hierarchyPackages.siteCode && sites.tree.get(siteCode) !== undefined;
  };

  #isSeen({ packageId, siteCode }: PackageAssignment): boolean {
    const { hierarchyPackages, sites } = this.#components;
    const isBelow = sites.tree.isUnder(siteCode, hierarchyPackages.siteCode);
    return this.#isThere({ siteCode }) && (isBelow || hierarchyPackages.isOwn(packageId));
  }
}

/** What could not be brought to a site is what is wrong there: its own row waits for it only. */
function withFailures(
  rows: readonly SeenPackageStatus[],
  failures: readonly DeliveryFailure[],
): SeenPackageStatus[] {
  if (failures.length === 0) return [...rows];
  const all = new Map(rows.map((row) => [toKey(row), row]));
  for (const failure of failures) {
    const key = toKey({ siteCode: failure.siteCode, dpId: '' });
    all.set(key, toFailedRow(failure, all.get(key)));
  }
  return [...all].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

function toFailedRow(failure: DeliveryFailure, row?: SeenPackageStatus): SeenPackageStatus {
  const { packageId, siteCode, reason, failedAtMs, storedVersion, targetVersion } = failure;
  return {
    ...{ packageId, siteCode, dpId: '', state: 'install-failed', reason },
    ...{ installedVersion: storedVersion, targetVersion, changedAtMs: failedAtMs },
    ...{ jobSerial: 0, verifiedHash: row?.verifiedHash ?? '' },
  };
}

/** That a DP has nothing any more, no row says: a removal is awaited only where something is. */
function isUnanswered(
  wish: PackageAssignment,
  rows: ReadonlyMap<string, SitePackageStatus>,
): boolean {
  const row = rows.get(toKey(wish));
  if (wish.intent === 'installed') return row === undefined;
  return row !== undefined && !row.state.startsWith('removal-');
}

function toAwaitedRow(
  sitePackage: SitePackage,
  { dpId, siteCode, intent, wishedAtMs }: PackageAssignment,
  { row, reason }: { row: SitePackageStatus | undefined; reason: string },
): SeenPackageStatus {
  const work = { dpId, isRemoval: intent === 'removed', status: row, nowMs: wishedAtMs };
  return { ...pendingStatus(sitePackage, work), siteCode, reason, isAwaited: true };
}

function toKey({ siteCode, dpId }: { readonly siteCode: string; readonly dpId: string }): string {
  return joinKey(siteCode, dpId);
}

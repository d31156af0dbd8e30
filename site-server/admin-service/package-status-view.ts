import { isFailed } from '../../shared/domain/package-status.ts';
import type { SiteTree } from '../../shared/domain/site-tree.ts';
import type { PackageStatus as PackageStatusMessage } from '../../shared/rpc/generated/waybill/v1/PackageStatus.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import {
  type HierarchyPackageRows,
  type SitePackageStatus,
  siteOfStatusKey,
} from '../distribution-manager/hierarchy-package-rows.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import { ChangedKeys } from './changed-keys.ts';
import { toPackageStatusMessage } from './package-messages.ts';
import type { PackageStatusQuery } from './package-requests.ts';

/** What the view of package status needs. */
export interface PackageStatusViewComponents {
  readonly store: Pick<StateStore, 'onWritten'>;
  readonly packages: PackageStore;
  readonly hierarchyPackages: HierarchyPackageRows;
  readonly sites: { readonly tree: SiteTree };
  /** How far an open job is, 0 to 100; undefined when there is none, or nothing was sent yet. */
  readonly percentOf: (jobSerial: number) => number | undefined;
}

/** A row of this view: the package, the site, and the DP or nothing. */
interface RowName {
  readonly packageId: string;
  readonly siteCode: string;
  readonly dpId: string;
}

/** Package status as administrators see it: of this site, and of the sites whose status comes here. */
export class PackageStatusView {
  readonly #components: PackageStatusViewComponents;

  constructor(components: PackageStatusViewComponents) {
    this.#components = components;
  }

  /** The rows that match, by package, those of this site first, and DP. */
  async *list(query: PackageStatusQuery): AsyncGenerator<PackageStatusMessage> {
    for await (const row of this.#rows(query)) yield this.#toMessage(row);
  }

  /**
   * The rows that match, then each again whenever it changes, until the signal fires. A row that
   * was sent is sent once more when it stops to match, and as "removed" when it is gone.
   */
  async *watch(
    query: PackageStatusQuery,
    signal: AbortSignal,
  ): AsyncGenerator<PackageStatusMessage> {
    using changed = new ChangedKeys(this.#components.store, (change) => this.#keyIn(query, change));
    const sent = new Set<string>();
    for await (const row of this.#rows(query)) {
      sent.add(toKey(row));
      yield this.#toMessage(row);
    }
    for (;;) {
      const keys = await changed.next(signal);
      if (keys.length === 0) return;
      for (const key of keys) {
        const row = await this.#get(toName(key));
        const isWanted = row !== undefined && matches(row, query);
        if (isWanted || sent.has(key)) yield row ? this.#toMessage(row) : toRemovedMessage(key);
        if (isWanted) sent.add(key);
        else sent.delete(key);
      }
    }
  }

  /** Two tables, both by package: of each package first the rows of this site. */
  async *#rows(query: PackageStatusQuery): AsyncGenerator<SitePackageStatus> {
    const others = this.#rowsOfOthers(query)[Symbol.asyncIterator]();
    try {
      let other = await others.next();
      for await (const row of this.#ownRows(query)) {
        while (!other.done && other.value.packageId < row.packageId) {
          yield other.value;
          other = await others.next();
        }
        yield row;
      }
      for (; !other.done; other = await others.next()) yield other.value;
    } finally {
      await others.return(undefined);
    }
  }

  async *#ownRows(query: PackageStatusQuery): AsyncGenerator<SitePackageStatus> {
    const { packages, hierarchyPackages } = this.#components;
    const { siteCode } = hierarchyPackages;
    for await (const [, status] of packages.statuses.list(rangeOf(query))) {
      const row = { ...status, siteCode };
      if (matches(row, query)) yield row;
    }
  }

  async *#rowsOfOthers(query: PackageStatusQuery): AsyncGenerator<SitePackageStatus> {
    const { statuses } = this.#components.hierarchyPackages;
    for await (const [key, status] of statuses.list(rangeOf(query))) {
      const row = { ...status, siteCode: siteOfStatusKey(key) };
      if (this.#isThere(row.siteCode) && matches(row, query)) yield row;
    }
  }

  async #get({ packageId, siteCode, dpId }: RowName): Promise<SitePackageStatus | undefined> {
    const { packages, hierarchyPackages } = this.#components;
    const isOwn = siteCode === hierarchyPackages.siteCode;
    const status = isOwn
      ? await packages.getStatus(packageId, dpId)
      : await hierarchyPackages.statuses.get(joinKey(packageId, siteCode, dpId));
    return status && { ...status, siteCode };
  }

  /** Another site of the hierarchy: what one said that was taken out counts no more. */
  #isThere(siteCode: string): boolean {
    const { hierarchyPackages, sites } = this.#components;
    return siteCode !== hierarchyPackages.siteCode && sites.tree.get(siteCode) !== undefined;
  }

  /** The key a change touches, when it is one the query asks about. */
  #keyIn(query: PackageStatusQuery, change: Change): string | undefined {
    const name = this.#nameIn(change);
    if (!name) return undefined;
    const isMeant = (Object.keys(name) as (keyof RowName)[]).every(
      (part) => (query[part] ?? name[part]) === name[part],
    );
    return isMeant ? toKey(name) : undefined;
  }

  #nameIn({ space, key }: Change): RowName | undefined {
    const { siteCode } = this.#components.hierarchyPackages;
    const [packageId = '', second = '', third = ''] = key.split('/');
    if (space === keySpaces.packageStatus.name) return { packageId, siteCode, dpId: second };
    const isOfOther = space === keySpaces.sitePackageStatus.name && this.#isThere(second);
    return isOfOther ? { packageId, siteCode: second, dpId: third } : undefined;
  }

  #toMessage(row: SitePackageStatus): PackageStatusMessage {
    const isOwn = row.siteCode === this.#components.hierarchyPackages.siteCode;
    // How far a job of another site is, only that site knows.
    const percent = isOwn ? (this.#components.percentOf(row.jobSerial) ?? 0) : undefined;
    return toPackageStatusMessage(row, row.state === 'installed' ? 100 : percent);
  }
}

function matches(row: SitePackageStatus, query: PackageStatusQuery): boolean {
  return (
    (query.packageId ?? row.packageId) === row.packageId &&
    (query.dpId ?? row.dpId) === row.dpId &&
    (query.siteCode ?? row.siteCode) === row.siteCode &&
    (!query.failedOnly || isFailed(row.state))
  );
}

function rangeOf({ packageId }: PackageStatusQuery): { prefix?: string } {
  return packageId === undefined ? {} : { prefix: `${packageId}/` };
}

function toKey({ packageId, siteCode, dpId }: RowName): string {
  return joinKey(packageId, siteCode, dpId);
}

function toName(key: string): RowName {
  const [packageId = '', siteCode = '', dpId = ''] = key.split('/');
  return { packageId, siteCode, dpId };
}

function toRemovedMessage(key: string): PackageStatusMessage {
  return { ...toName(key), state: 'PACKAGE_STATUS_STATE_REMOVED' };
}

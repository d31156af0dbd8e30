import { isFailed } from '../../shared/domain/package-status.ts';
import type { PackageStatus as PackageStatusMessage } from '../../shared/rpc/generated/waybill/v1/PackageStatus.ts';
import { lastCharacter } from '../../shared/state-store/database.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { RecordStore } from '../../shared/state-store/record-store.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import {
  AwaitedStatus,
  type AwaitedStatusComponents,
  type SeenPackageStatus,
} from './awaited-status.ts';
import { ChangedKeys } from './changed-keys.ts';
import { toPackageStatusMessage } from './package-messages.ts';
import type { PackageStatusQuery } from './package-requests.ts';

/** What the view of package status needs. */
export interface PackageStatusViewComponents extends AwaitedStatusComponents {
  readonly store: Pick<StateStore, 'onWritten' | 'records'>;
  readonly packages: PackageStore;
  /** How far an open job is, 0 to 100; undefined when there is none, or nothing was sent yet. */
  readonly percentOf: (jobSerial: number) => number | undefined;
}

/** A row of this view: the package, the site, and the DP or nothing. */
interface RowName {
  readonly packageId: string;
  /** Empty: of a DP of whatever other site. */
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
      const others = new AwaitedStatus(this.#components);
      for (const key of await this.#namedKeys(keys, sent)) {
        const row = await this.#get(toName(key), others);
        const isWanted = row !== undefined && matches(row, query);
        if (isWanted || sent.has(key)) yield row ? this.#toMessage(row) : toRemovedMessage(key);
        if (isWanted) sent.add(key);
        else sent.delete(key);
      }
    }
  }

  /** Two tables, both by package: of each package first the rows of this site. */
  async *#rows(query: PackageStatusQuery): AsyncGenerator<SeenPackageStatus> {
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

  async *#ownRows(query: PackageStatusQuery): AsyncGenerator<SeenPackageStatus> {
    const { packages, hierarchyPackages } = this.#components;
    const { siteCode } = hierarchyPackages;
    for await (const [, status] of packages.statuses.list(rangeOf(query))) {
      const row = { ...status, siteCode };
      if (matches(row, query)) yield row;
    }
  }

  async *#rowsOfOthers(query: PackageStatusQuery): AsyncGenerator<SeenPackageStatus> {
    const others = new AwaitedStatus(this.#components);
    for await (const packageId of this.#packageIds(query)) {
      for (const row of await others.of(packageId)) if (matches(row, query)) yield row;
    }
  }

  /** The packages of which other sites say something, or something is wanted of them. */
  async *#packageIds(query: PackageStatusQuery): AsyncGenerator<string> {
    if (query.packageId !== undefined) return yield query.packageId;
    const { statuses, assignments } = this.#components.hierarchyPackages;
    for (let last = ''; ; ) {
      const next = [await firstAfter(statuses, last), await firstAfter(assignments, last)];
      const [packageId] = next.flatMap((id) => id ?? []).sort();
      if (packageId === undefined) return;
      yield packageId;
      last = packageId;
    }
  }

  /** A wish names no site: its rows are that of the DP's site now, and those that were sent before. */
  async #namedKeys(keys: readonly string[], sent: ReadonlySet<string>): Promise<Set<string>> {
    const { hierarchyPackages } = this.#components;
    const named = new Set<string>();
    for (const key of keys) {
      const { packageId, siteCode, dpId } = toName(key);
      if (siteCode !== '') {
        named.add(key);
        continue;
      }
      const wish = await hierarchyPackages.standingAssignment(packageId, dpId);
      if (wish) named.add(toKey({ packageId, siteCode: wish.siteCode, dpId }));
      for (const one of sent) {
        const name = toName(one);
        if (name.packageId === packageId && name.dpId === dpId) named.add(one);
      }
    }
    return named;
  }

  async #get(
    { packageId, siteCode, dpId }: RowName,
    others: AwaitedStatus,
  ): Promise<SeenPackageStatus | undefined> {
    const { packages, hierarchyPackages } = this.#components;
    if (siteCode !== hierarchyPackages.siteCode) {
      return others.get(packageId, siteCode, dpId);
    }
    const status = await packages.getStatus(packageId, dpId);
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
      (part) =>
        (part === 'siteCode' && name[part] === '') || (query[part] ?? name[part]) === name[part],
    );
    return isMeant ? toKey(name) : undefined;
  }

  #nameIn({ space, key }: Change): RowName | undefined {
    const { siteCode } = this.#components.hierarchyPackages;
    const [packageId = '', second = '', third = ''] = key.split('/');
    if (space === keySpaces.packageStatus.name) return { packageId, siteCode, dpId: second };
    if (space === keySpaces.packageAssignments.name) {
      return { packageId, siteCode: '', dpId: second };
    }
    if (space === keySpaces.forwardingFailures.name || space === keySpaces.siteContents.name) {
      const awaiting = space === keySpaces.siteContents.name ? second : third;
      return this.#isThere(awaiting) ? { packageId, siteCode: awaiting, dpId: '' } : undefined;
    }
    const isOfOther = space === keySpaces.sitePackageStatus.name && this.#isThere(second);
    return isOfOther ? { packageId, siteCode: second, dpId: third } : undefined;
  }

  #toMessage(row: SeenPackageStatus): PackageStatusMessage {
    const isOwn = row.siteCode === this.#components.hierarchyPackages.siteCode;
    // How far a job of another site is, only that site knows.
    const percent = isOwn ? (this.#components.percentOf(row.jobSerial) ?? 0) : undefined;
    return toPackageStatusMessage(row, row.state === 'installed' ? 100 : percent);
  }
}

function matches(row: SeenPackageStatus, query: PackageStatusQuery): boolean {
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

/** The package of the first row after all those of another one. */
async function firstAfter(
  records: RecordStore<unknown>,
  packageId: string,
): Promise<string | undefined> {
  const range = packageId === '' ? {} : { gt: `${packageId}/${lastCharacter}` };
  for await (const [key] of records.list({ ...range, limit: 1 })) return key.split('/')[0];
  return undefined;
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

import { WaybillError } from '../../shared/domain/errors.ts';
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
  /** With neither site nor DP: all rows of the package that follow from wishes. */
  readonly dpId: string;
}

/** A query, with the DPs it is about. */
interface SeenQuery extends PackageStatusQuery {
  /** Those of the group; absent: all. */
  readonly members?: ReadonlySet<string>;
}

/** Package status as administrators see it: of this site, and of the sites whose status comes here. */
export class PackageStatusView {
  readonly #components: PackageStatusViewComponents;

  constructor(components: PackageStatusViewComponents) {
    this.#components = components;
  }

  /** The rows that match, by package, those of this site first, and DP. @throws GROUP_UNKNOWN */
  async *list(asked: PackageStatusQuery): AsyncGenerator<PackageStatusMessage> {
    const query = await this.#seen(asked);
    for await (const row of this.#rows(query)) yield this.#toMessage(row);
  }

  /**
   * The rows that match, then each again whenever it changes, until the signal fires. A row that
   * was sent is sent once more when it stops to match, and as "removed" when it is gone. Who is in a group
   * is looked at with each change.
   *
   * @throws GROUP_UNKNOWN
   */
  async *watch(
    asked: PackageStatusQuery,
    signal: AbortSignal,
  ): AsyncGenerator<PackageStatusMessage> {
    let query = await this.#seen(asked);
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
      query = await this.#seen(asked);
      for (const key of await this.#namedKeys(keys, sent)) {
        const row = await this.#get(toName(key), others);
        const isWanted = row !== undefined && matches(row, query);
        if (isWanted || sent.has(key)) yield row ? this.#toMessage(row) : toRemovedMessage(key);
        if (isWanted) sent.add(key);
        else sent.delete(key);
      }
    }
  }

  async #seen(query: PackageStatusQuery): Promise<SeenQuery> {
    const { groupName } = query;
    if (groupName === undefined) return query;
    const { groups } = this.#components.hierarchyPackages;
    if (!(await groups.groups.get(groupName))) {
      throw new WaybillError({ code: 'GROUP_UNKNOWN', groupName });
    }
    return { ...query, members: new Set(await groups.membersOf(groupName)) };
  }

  /** Two tables, both by package: of each package first the rows of this site. */
  async *#rows(query: SeenQuery): AsyncGenerator<SeenPackageStatus> {
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

  async *#ownRows(query: SeenQuery): AsyncGenerator<SeenPackageStatus> {
    const { packages, hierarchyPackages } = this.#components;
    const { siteCode } = hierarchyPackages;
    for await (const [, status] of packages.statuses.list(rangeOf(query))) {
      const row = { ...status, siteCode };
      if (matches(row, query)) yield row;
    }
  }

  async *#rowsOfOthers(query: SeenQuery): AsyncGenerator<SeenPackageStatus> {
    const others = new AwaitedStatus(this.#components);
    for await (const packageId of this.#packageIds(query)) {
      for (const row of await others.of(packageId)) if (matches(row, query)) yield row;
    }
  }

  /** The packages of which other sites say something, or something is wanted of them. */
  async *#packageIds(query: PackageStatusQuery): AsyncGenerator<string> {
    if (query.packageId !== undefined) return yield query.packageId;
    const { statuses, assignments, groups } = this.#components.hierarchyPackages;
    const tables = [statuses, assignments, groups.assignments, groups.wishes];
    for (let last = ''; ; ) {
      const next: (string | undefined)[] = [];
      for (const table of tables) next.push(await firstAfter(table, last));
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
      if (dpId === '') {
        for (const wish of await hierarchyPackages.assignmentsOf(packageId)) named.add(toKey(wish));
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
    const isAnyDp = name.siteCode === '' && name.dpId === '';
    const isMeant = (Object.keys(name) as (keyof RowName)[]).every(
      (part) =>
        (part === 'siteCode' && name[part] === '') ||
        (part === 'dpId' && isAnyDp) ||
        (query[part] ?? name[part]) === name[part],
    );
    return isMeant ? toKey(name) : undefined;
  }

  #nameIn({ space, key }: Change): RowName | undefined {
    const { siteCode } = this.#components.hierarchyPackages;
    const [packageId = '', second = '', third = ''] = key.split('/');
    if (space === keySpaces.packageStatus.name) return { packageId, siteCode, dpId: second };
    if (space === keySpaces.packageAssignments.name || space === keySpaces.groupWishes.name) {
      return { packageId, siteCode: '', dpId: second };
    }
    if (space === keySpaces.forwardingFailures.name || space === keySpaces.siteContents.name) {
      const awaiting = space === keySpaces.siteContents.name ? second : third;
      return this.#isThere(awaiting) ? { packageId, siteCode: awaiting, dpId: '' } : undefined;
    }
    if (space === keySpaces.groupAssignments.name) return { packageId, siteCode: '', dpId: '' };
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

function matches(row: SeenPackageStatus, query: SeenQuery): boolean {
  return (
    (query.packageId ?? row.packageId) === row.packageId &&
    (query.dpId ?? row.dpId) === row.dpId &&
    (query.siteCode ?? row.siteCode) === row.siteCode &&
    (query.members?.has(row.dpId) ?? true) &&
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

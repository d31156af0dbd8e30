import { isFailed, type PackageStatus } from '../../shared/domain/package-status.ts';
import type { PackageStatus as PackageStatusMessage } from '../../shared/rpc/generated/waybill/v1/PackageStatus.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import { ChangedKeys } from './changed-keys.ts';
import { toPackageStatusMessage } from './package-messages.ts';
import type { PackageStatusQuery } from './package-requests.ts';

/** What the view of package status needs. */
export interface PackageStatusViewComponents {
  readonly store: Pick<StateStore, 'onWritten'>;
  readonly packages: PackageStore;
  /** How far an open job is, 0 to 100; undefined when there is none, or nothing was sent yet. */
  readonly percentOf: (jobSerial: number) => number | undefined;
}

/** Package status as administrators see it. */
export class PackageStatusView {
  readonly #components: PackageStatusViewComponents;

  constructor(components: PackageStatusViewComponents) {
    this.#components = components;
  }

  /** The rows that match, by package and DP. */
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
    using changed = new ChangedKeys(this.#components.store, (change) => keyIn(query, change));
    const sent = new Set<string>();
    for await (const row of this.#rows(query)) {
      sent.add(joinKey(row.packageId, row.dpId));
      yield this.#toMessage(row);
    }
    for (;;) {
      const keys = await changed.next(signal);
      if (keys.length === 0) return;
      for (const key of keys) {
        const row = await this.#components.packages.statuses.get(key);
        const isWanted = row !== undefined && matches(row, query);
        if (isWanted || sent.has(key)) yield row ? this.#toMessage(row) : toRemovedMessage(key);
        if (isWanted) sent.add(key);
        else sent.delete(key);
      }
    }
  }

  async *#rows(query: PackageStatusQuery): AsyncGenerator<PackageStatus> {
    const { statuses } = this.#components.packages;
    const prefix = query.packageId === undefined ? {} : { prefix: `${query.packageId}/` };
    for await (const [, row] of statuses.list(prefix)) if (matches(row, query)) yield row;
  }

  #toMessage(row: PackageStatus): PackageStatusMessage {
    const percent = this.#components.percentOf(row.jobSerial) ?? 0;
    return toPackageStatusMessage(row, row.state === 'installed' ? 100 : percent);
  }
}

function matches(row: PackageStatus, query: PackageStatusQuery): boolean {
  return (
    (query.packageId ?? row.packageId) === row.packageId &&
    (query.dpId ?? row.dpId) === row.dpId &&
    (!query.failedOnly || isFailed(row.state))
  );
}

/** The key a change touches, when it is one the query asks about. */
function keyIn(query: PackageStatusQuery, change: Change): string | undefined {
  if (change.space !== keySpaces.packageStatus.name) return undefined;
  const { packageId, dpId } = partsOf(change.key);
  const isAskedFor = (query.packageId ?? packageId) === packageId && (query.dpId ?? dpId) === dpId;
  return isAskedFor ? change.key : undefined;
}

function toRemovedMessage(key: string): PackageStatusMessage {
  return { ...partsOf(key), state: 'PACKAGE_STATUS_STATE_REMOVED' };
}

function partsOf(key: string): { packageId: string; dpId: string } {
  const [packageId = '', dpId = ''] = key.split('/');
  return { packageId, dpId };
}

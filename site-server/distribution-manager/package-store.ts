import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { PackageStatus } from '../../shared/domain/package-status.ts';
import { toRetryingStatus, toSiteStatus } from '../../shared/domain/package-status-moves.ts';
import type { PackageServer, SitePackage } from '../../shared/domain/site-package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { KeyedTurns } from '../../shared/runtime/keyed-turns.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { RecordStore } from '../../shared/state-store/record-store.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** What the package store needs. */
export interface PackageStoreComponents {
  readonly store: Pick<StateStore, 'records'>;
  readonly clock: Pick<Clock, 'nowMs'>;
}

/**
 * The rows of packages: tables "packages", "package servers" and "package status". Administrators,
 * Distribution Manager and Package Transfer Manager all change them; whoever reads rows to write
 * what follows from them does both inside one turn of the package, so nobody overwrites another.
 */
export class PackageStore {
  readonly packages: RecordStore<SitePackage>;
  readonly servers: RecordStore<PackageServer>;
  readonly statuses: RecordStore<PackageStatus>;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #turns = new KeyedTurns();

  constructor(components: PackageStoreComponents) {
    this.packages = components.store.records(keySpaces.packages);
    this.servers = components.store.records(keySpaces.packageServers);
    this.statuses = components.store.records(keySpaces.packageStatus);
    this.#clock = components.clock;
  }

  /** Runs `work` while nobody else has a turn of this package. Short: nothing but the store. */
  turn<T>(packageId: string, work: () => Promise<T>): Promise<T> {
    return this.#turns.run(packageId, work);
  }

  /** @throws PACKAGE_UNKNOWN */
  async require(packageId: string): Promise<SitePackage> {
    const sitePackage = await this.packages.get(packageId);
    if (!sitePackage) throw new WaybillError({ code: 'PACKAGE_UNKNOWN', packageId });
    return sitePackage;
  }

  /** The package's row, and the row of its status on its own site, which follows from it. */
  put(sitePackage: SitePackage): Change[] {
    const { packageId } = sitePackage;
    const status = toSiteStatus(sitePackage);
    return [
      this.packages.put(packageId, sitePackage),
      status ? this.putStatus(status) : this.deleteStatus(packageId, ''),
    ];
  }

  /** Deletes all that is left of a package which no DP has any more. */
  delete(packageId: string): Change[] {
    return [this.packages.delete(packageId), this.deleteStatus(packageId, '')];
  }

  getServer(packageId: string, dpId: string): Promise<PackageServer | undefined> {
    return this.servers.get(joinKey(packageId, dpId));
  }

  /** All DPs the package is assigned to, those it is being removed from included. */
  async serversOf(packageId: string): Promise<PackageServer[]> {
    return valuesOf(this.servers.list({ prefix: `${packageId}/` }));
  }

  putServer(server: PackageServer): Change {
    return this.servers.put(joinKey(server.packageId, server.dpId), server);
  }

  deleteServer(packageId: string, dpId: string): Change {
    return this.servers.delete(joinKey(packageId, dpId));
  }

  getStatus(packageId: string, dpId: string): Promise<PackageStatus | undefined> {
    return this.statuses.get(joinKey(packageId, dpId));
  }

  /** The package's status on its DPs, without the row of its own site. */
  async statusesOf(packageId: string): Promise<PackageStatus[]> {
    const rows = await valuesOf(this.statuses.list({ prefix: `${packageId}/` }));
    return rows.filter((status) => status.dpId !== '');
  }

  putStatus(status: PackageStatus): Change {
    return this.statuses.put(joinKey(status.packageId, status.dpId), status);
  }

  deleteStatus(packageId: string, dpId: string): Change {
    return this.statuses.delete(joinKey(packageId, dpId));
  }

  /**
   * What Package Transfer Manager adds to its batch when a job will be tried again; nothing when
   * newer work has overtaken the job. Inside a turn of the job's package, with the write.
   */
  async retryingChanges(job: DistributionJob, reason: string): Promise<Change[]> {
    const status = await this.getStatus(job.packageId, job.dpId);
    const nowMs = this.#clock.nowMs();
    const retrying = toRetryingStatus(status, job, { reason, nowMs });
    return retrying ? [this.putStatus(retrying)] : [];
  }
}

async function valuesOf<V>(rows: AsyncIterable<[string, V]>): Promise<V[]> {
  const values: V[] = [];
  for await (const [, value] of rows) values.push(value);
  return values;
}

import assert from 'node:assert/strict';
import { isErrorWithCode } from '../shared/domain/errors.ts';
import type { TransferSchedule } from '../shared/domain/transfer-controls.ts';
import type { ResponseOf } from '../shared/rpc/conversation.ts';
import { toTransferControlsMessage } from '../shared/transfer-arbiter/transfer-controls-message.ts';
import type { AdminChannel } from './network.ts';
import { SiteWaits, type Watch } from './site-waits.ts';

export type Package = ResponseOf<'Admin', 'getPackage'>;
export type PackageStatus = ResponseOf<'Admin', 'watchPackageStatus'>;
export type Job = ResponseOf<'Admin', 'watchJobs'>;
export type StatusMessage = ResponseOf<'Admin', 'listStatusMessages'>;
export type SendRequest = ResponseOf<'Admin', 'watchSendRequests'>;
export type SiteRecord = ResponseOf<'Admin', 'addSite'>;
export type DistributionPointRecord = ResponseOf<'Admin', 'listDistributionPoints'>;
export type GroupRecord = ResponseOf<'Admin', 'listGroups'>;
export type AuditRecord = ResponseOf<'Admin', 'listAuditRecords'>;

const deadlineMs = 20_000;

/** What a test says of a package it defines. */
export interface PackageFacts {
  readonly name?: string;
  readonly priority?: 'PRIORITY_HIGH' | 'PRIORITY_NORMAL' | 'PRIORITY_LOW';
}

/** Which package where. */
export interface OnDistributionPoint {
  readonly packageId: string;
  readonly dpId: string;
}

/**
 * Does over gRPC what an administrator does, and waits for what comes of it: each wait ends when the
 * site says so, also when the site is killed and started again meanwhile.
 */
export class Administrator {
  readonly #admin: AdminChannel;
  readonly #waits: SiteWaits;

  private constructor(admin: AdminChannel) {
    this.#admin = admin;
    this.#waits = new SiteWaits(admin);
  }

  static async of(network: { admin(): Promise<AdminChannel> }): Promise<Administrator> {
    return new Administrator(await network.admin());
  }

  /**
   * Defines a package, as soon as the site makes any: one that is new, or has lost something, makes none
   * before its parent has told it which there were (PKG-1). @returns its ID; its snapshot is still to come
   */
  async define(source: string, properties: PackageFacts = {}): Promise<string> {
    const made: Promise<string>[] = [];
    await this.#waits.lookUntil('the word of the parent', async () => {
      const making = this.#define(source, properties);
      made.push(making);
      const isOver = (error: unknown) => !isErrorWithCode(error, 'SITE_NOT_CAUGHT_UP');
      return making.then(() => true, isOver);
    });
    const last = made.at(-1);
    assert.ok(last);
    return last;
  }

  async #define(source: string, properties: PackageFacts): Promise<string> {
    const { packageId } = await this.#admin.unary(
      'createPackage',
      {
        properties: { name: 'Test', priority: 'PRIORITY_NORMAL', ...properties },
        sourceDirectories: [source],
      },
      { deadlineMs },
    );
    return packageId;
  }

  /** Defines a package. @returns its ID, when its first version is published */
  async create(source: string, properties: PackageFacts = {}): Promise<string> {
    const packageId = await this.define(source, properties);
    await this.published(packageId);
    return packageId;
  }

  /** @returns the package, when its requests are handled. @throws with the reason it was refused for */
  async published(packageId: string): Promise<Package> {
    const handled = await this.packageIs(packageId, (one) => {
      // At another site than its own there may be no requests: its source may not have been read yet.
      const isUnderWay =
        one.state === 'PACKAGE_STATE_SNAPSHOT' || one.state === 'PACKAGE_STATE_PENDING';
      return one.acceptedRequestCount === one.handledRequestCount && !isUnderWay;
    });
    assert.equal(handled.state, 'PACKAGE_STATE_PUBLISHED', handled.reason);
    return handled;
  }

  /** Waits until the package looks so. */
  packageIs(packageId: string, isSo: (one: Package) => boolean): Promise<Package> {
    const watch: Watch<Package> = (options) =>
      this.#admin.serverStream('watchPackage', { packageId }, options);
    return this.#waits.first(`package ${packageId}`, watch, isSo);
  }

  /** Reads the source again. @returns the package, when that is done */
  async update(packageId: string): Promise<Package> {
    await this.#admin.unary('updatePackage', { packageId }, { deadlineMs });
    return this.published(packageId);
  }

  /** Resolves when the site knows of a package of another one, in its first version. */
  async knows(packageId: string): Promise<void> {
    await this.packagesAre((all) => {
      return all.some((one) => one.packageId === packageId && one.sourceVersion > 0);
    });
  }

  async rename(packageId: string, name: string): Promise<void> {
    await this.#admin.unary('setPackage', { packageId, properties: { name } }, { deadlineMs });
  }

  /** Waits until the packages the site knows are so. */
  packagesAre(isSo: (packages: readonly Package[]) => boolean): Promise<void> {
    return this.#waits.lookUntil('the packages', async () => isSo(await this.packages()));
  }

  /** Waits until the site has heard of this version of a package of whatever site. */
  hears(packageId: string, sourceVersion: number): Promise<void> {
    return this.packagesAre((packages) =>
      packages.some((one) => one.packageId === packageId && one.sourceVersion === sourceVersion),
    );
  }

  /** Takes the package out of the hierarchy; resolves when it is gone. */
  async delete(packageId: string): Promise<void> {
    await this.#admin.unary('deletePackage', { packageId }, { deadlineMs });
    try {
      await this.packageIs(packageId, ({ state }) => state === 'PACKAGE_STATE_DELETED');
    } catch (error) {
      if (!isErrorWithCode(error, 'PACKAGE_UNKNOWN')) throw error;
    }
  }

  async getPackage(packageId: string): Promise<Package> {
    return this.#admin.unary('getPackage', { packageId }, { deadlineMs });
  }

  async packages(): Promise<Package[]> {
    return collect(this.#admin.serverStream('listPackages', {}, { deadlineMs }));
  }

  async addDistributionPoint(dpId: string, address: string): Promise<void> {
    await this.#admin.unary('addDistributionPoint', { dpId, address }, { deadlineMs });
  }

  async deleteDistributionPoint(dpId: string): Promise<void> {
    await this.#admin.unary('deleteDistributionPoint', { dpId }, { deadlineMs });
  }

  /** Waits until the DPs it knows, of all sites, are so. */
  distributionPointsAre(
    isSo: (points: readonly DistributionPointRecord[]) => boolean,
  ): Promise<void> {
    return this.#waits.lookUntil('the distribution points', async () => {
      return isSo(
        await collect(this.#admin.serverStream('listDistributionPoints', {}, { deadlineMs })),
      );
    });
  }

  /** Waits until the groups it knows are so. */
  groupsAre(isSo: (groups: readonly GroupRecord[]) => boolean): Promise<void> {
    return this.#waits.lookUntil('the groups', async () => {
      return isSo(await collect(this.#admin.serverStream('listGroups', {}, { deadlineMs })));
    });
  }

  async setAddress(dpId: string, address: string): Promise<void> {
    await this.#admin.unary('setDistributionPoint', { dpId, address }, { deadlineMs });
  }

  /** What the DP may be sent, in bytes per second; none: as much as goes. */
  async setLimit(dpId: string, bytesPerSecond: number | undefined): Promise<void> {
    const controls =
      bytesPerSecond === undefined ? { noLimit: true } : { limit: { bytesPerSecond } };
    await this.#admin.unary('setDistributionPoint', { dpId, controls }, { deadlineMs });
  }

  /** When the DP may be sent something; none: always. */
  async setSchedule(dpId: string, schedule: TransferSchedule | undefined): Promise<void> {
    const controls =
      schedule === undefined ? { alwaysOpen: true } : toTransferControlsMessage({ schedule });
    await this.#admin.unary('setDistributionPoint', { dpId, controls }, { deadlineMs });
  }

  /** The DPs of a line they share, and what it carries, in bytes per second. */
  async setLink(linkName: string, dpIds: readonly string[], bytesPerSecond: number): Promise<void> {
    const controls = { limit: { bytesPerSecond } };
    const link = { linkName, dpIds: { names: [...dpIds] }, controls };
    await this.#admin.unary('setLink', link, { deadlineMs });
  }

  /** Asks for the package on DPs; resolves when the wish is written. */
  async distribute(packageId: string, ...dpIds: string[]): Promise<void> {
    await this.#admin.unary('distributePackage', { packageId, dpIds }, { deadlineMs });
  }

  async redistribute(packageId: string, ...dpIds: string[]): Promise<void> {
    await this.#admin.unary('redistributePackage', { packageId, dpIds }, { deadlineMs });
  }

  async remove(packageId: string, ...dpIds: string[]): Promise<void> {
    await this.#admin.unary('removePackage', { packageId, dpIds }, { deadlineMs });
  }

  /** @returns the row, when the DP has the package's newest version. @throws when that failed */
  async installed({ packageId, dpId }: OnDistributionPoint): Promise<PackageStatus> {
    const { sourceVersion } = await this.published(packageId);
    const row = await this.statusIs({ packageId, dpId }, ({ state, installedVersion }) => {
      const isNewest = installedVersion === sourceVersion;
      return (
        state === 'PACKAGE_STATUS_STATE_INSTALL_FAILED' ||
        (state === 'PACKAGE_STATUS_STATE_INSTALLED' && isNewest)
      );
    });
    assert.equal(row.state, 'PACKAGE_STATUS_STATE_INSTALLED', row.reason);
    return row;
  }

  /** Distributes and resolves when it is there. @returns the job that did it */
  async install(packageId: string, dpId: string): Promise<Job> {
    await this.distribute(packageId, dpId);
    await this.installed({ packageId, dpId });
    return this.lastJob({ packageId, dpId });
  }

  /** Resolves when the DP does not have the package any more. */
  removed({ packageId, dpId }: OnDistributionPoint): Promise<void> {
    return this.#waits.lookUntil(`the removal of ${packageId} from ${dpId}`, async () => {
      return (await this.statuses({ packageId, dpId })).length === 0;
    });
  }

  /** Waits until the package on a DP looks so. */
  statusIs(
    { packageId, dpId }: OnDistributionPoint,
    isSo: (row: PackageStatus) => boolean,
  ): Promise<PackageStatus> {
    const watch: Watch<PackageStatus> = (options) =>
      this.#admin.serverStream('watchPackageStatus', { packageId, dpId }, options);
    const isWanted = (row: PackageStatus) => row.dpId === dpId && isSo(row);
    return this.#waits.first(`${packageId} on ${dpId}`, watch, isWanted);
  }

  /** Waits until the package on a site itself is so. */
  sitesStatusIs(
    { packageId, siteCode }: { readonly packageId: string; readonly siteCode: string },
    isSo: (state: string) => boolean,
  ): Promise<void> {
    return this.#waits.lookUntil(`${packageId} at site ${siteCode}`, async () => {
      const rows = await collect(
        this.#admin.serverStream('listPackageStatus', { packageId }, { deadlineMs }),
      );
      const row = rows.find((one) => one.dpId === '' && one.siteCode === siteCode);
      return row !== undefined && isSo(row.state);
    });
  }

  async statuses(filter: Partial<OnDistributionPoint>): Promise<PackageStatus[]> {
    const rows = await collect(
      this.#admin.serverStream('listPackageStatus', filter, { deadlineMs }),
    );
    return rows.filter(({ dpId }) => dpId !== '');
  }

  /** Waits until a job looks so. */
  jobIs(filter: Partial<OnDistributionPoint>, isSo: (job: Job) => boolean): Promise<Job> {
    const watch: Watch<Job> = (options) => this.#admin.serverStream('watchJobs', filter, options);
    return this.#waits.first(`a job of ${filter.packageId ?? 'any package'}`, watch, isSo);
  }

  async openJobs(filter: Partial<OnDistributionPoint> = {}): Promise<Job[]> {
    return collect(this.#admin.serverStream('listJobs', filter, { deadlineMs }));
  }

  /** Waits until the open jobs are so. */
  openJobsAre(
    filter: Partial<OnDistributionPoint>,
    isSo: (jobs: readonly Job[]) => boolean,
  ): Promise<void> {
    return this.#waits.lookUntil('open jobs', async () => isSo(await this.openJobs(filter)));
  }

  /** Jobs that ended, newest first. */
  async endedJobs(filter: Partial<OnDistributionPoint> = {}): Promise<Job[]> {
    return collect(
      this.#admin.serverStream('listJobs', { ...filter, history: true }, { deadlineMs }),
    );
  }

  /** Suspends, resumes or cancels open jobs. @returns those that were meant, as they are then */
  async steer(
    method: 'suspendJobs' | 'resumeJobs' | 'runJobs' | 'cancelJobs',
    selection: Partial<OnDistributionPoint> & { readonly all?: boolean },
  ): Promise<Job[]> {
    return collect(this.#admin.serverStream(method, selection, { deadlineMs }));
  }

  /** Waits until a job that ended looks so. */
  jobEnded(filter: OnDistributionPoint, isSo: (job: Job) => boolean): Promise<void> {
    return this.#waits.lookUntil(`the end of a job of ${filter.packageId}`, async () =>
      (await this.endedJobs(filter)).some(isSo),
    );
  }

  /** Waits until no job is open. */
  noJobIsOpen(filter: Partial<OnDistributionPoint> = {}): Promise<void> {
    return this.#waits.lookUntil('the end of all jobs', async () => {
      return (await this.openJobs(filter)).length === 0;
    });
  }

  /** The newest job that ended. */
  async lastJob(filter: OnDistributionPoint): Promise<Job> {
    const [job] = await this.endedJobs(filter);
    assert.ok(job, `no job of ${filter.packageId} for ${filter.dpId} has ended`);
    return job;
  }

  async messages(filter: Partial<OnDistributionPoint> = {}): Promise<StatusMessage[]> {
    const request = { ...filter, limit: 10_000 };
    return collect(this.#admin.serverStream('listStatusMessages', request, { deadlineMs }));
  }

  async auditRecords(): Promise<AuditRecord[]> {
    return collect(this.#admin.serverStream('listAuditRecords', { limit: 10_000 }, { deadlineMs }));
  }

  /** Waits until a send request of this site looks so. */
  sendRequestIs(
    filter: { readonly packageId: string },
    isSo: (request: SendRequest) => boolean,
  ): Promise<SendRequest> {
    const watch: Watch<SendRequest> = (options) =>
      this.#admin.serverStream('watchSendRequests', filter, options);
    return this.#waits.first(`a send request of ${filter.packageId}`, watch, isSo);
  }

  /** Waits until a send request of this site has ended so. */
  sendRequestEnded(
    { packageId }: { readonly packageId: string },
    isSo: (request: SendRequest) => boolean,
  ): Promise<void> {
    const filter = { packageId, history: true };
    return this.#waits.lookUntil(`the end of a send request of ${packageId}`, async () =>
      (await collect(this.#admin.serverStream('listSendRequests', filter, { deadlineMs }))).some(
        isSo,
      ),
    );
  }

  async sites(): Promise<SiteRecord[]> {
    return collect(this.#admin.serverStream('listSites', {}, { deadlineMs }));
  }

  /** Waits until the sites it knows are so. */
  sitesAre(isSo: (sites: readonly SiteRecord[]) => boolean): Promise<void> {
    return this.#waits.lookUntil('the sites', async () => isSo(await this.sites()));
  }

  /** Waits until somebody did this. */
  auditIs(isSo: (record: AuditRecord) => boolean): Promise<void> {
    return this.#waits.lookUntil('an audit record', async () =>
      (await this.auditRecords()).some(isSo),
    );
  }

  /** Waits until the status messages of the site are so. */
  messagesAre(isSo: (messages: readonly StatusMessage[]) => boolean): Promise<void> {
    return this.#waits.lookUntil('status messages', async () => isSo(await this.messages()));
  }
}

async function collect<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const message of messages) all.push(message);
  return all;
}

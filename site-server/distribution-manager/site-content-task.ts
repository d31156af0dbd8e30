import { isLeaving } from '../../shared/domain/package-processing.ts';
import type { MiniJob } from '../../shared/domain/send-request.ts';
import { toMiniJobId } from '../../shared/domain/send-request-moves.ts';
import {
  deltaStepsMax,
  isJobDelivered,
  type SiteContentRows,
  type SiteContentWork,
  siteContentWork,
  siteWishes,
} from '../../shared/domain/site-content-work.ts';
import type { SiteDelivery, SiteDeliveryResult } from '../../shared/domain/site-delivery.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import { throwIfAborted } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, type KeySpace, keySpaces } from '../../shared/state-store/key-space.ts';
import type { SerialCounter } from '../../shared/state-store/serial-counter.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import { HierarchyPackageRows } from './hierarchy-package-rows.ts';
import type { PackageStore } from './package-store.ts';

/** What the tasks for other sites need. */
export interface SiteContentTaskComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly packages: Pick<PackageStore, 'packages' | 'turn'>;
  /** Which versions a delta can be made against here. */
  readonly versions: {
    hasVersion(packageId: string, sourceVersion: number): boolean | Promise<boolean>;
  };
  /** The only counter of mini-jobs. */
  readonly miniJobSerials: Pick<SerialCounter, 'next'>;
  readonly status: StatusReporter;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
  readonly siteCode: string;
}

/** A site, and what its rows say is to be done. */
interface SiteOrder {
  readonly sitePackage: SitePackage | undefined;
  readonly siteCode: string;
  readonly rows: SiteContentRows;
  readonly work: SiteContentWork;
}

/**
 * Does what is due for one package at the other sites (REP-2): for each site with a DP that is to
 * have it, and that does not hold the newest version, one mini-job, which the Scheduler takes on.
 * Everything comes from the rows, read in one turn with the write: a task that runs twice makes one
 * job. Writes "mini-jobs" and "site deliveries"; a crash leaves a site's work done or not done.
 */
export class SiteContentTask {
  readonly #components: SiteContentTaskComponents;
  readonly #hierarchyPackages: HierarchyPackageRows;

  constructor(components: SiteContentTaskComponents) {
    this.#components = components;
    this.#hierarchyPackages = new HierarchyPackageRows(components);
  }

  /**
   * Makes, replaces and cancels the mini-jobs of a package whose source site this is.
   *
   * @throws AbortError when the signal fires; DISK_FULL
   */
  async run(packageId: string, signal: AbortSignal): Promise<void> {
    for (let isDone = false; !isDone; ) {
      throwIfAborted(signal);
      const sourceVersion = await this.#versionOf(packageId);
      const versions = await this.#knownVersions(packageId, sourceVersion);
      throwIfAborted(signal);
      isDone = await this.#components.packages.turn(packageId, async () => {
        // A version published meanwhile builds on others.
        if ((await this.#versionOf(packageId)) !== sourceVersion) return false;
        await this.#actOnAll(packageId, versions);
        return true;
      });
    }
  }

  async #actOnAll(packageId: string, versions: ReadonlySet<number>): Promise<void> {
    for (const order of await this.#orders(packageId, versions)) {
      if (order.work.kind === 'forget') await this.#forget(packageId, order);
      if (order.work.kind === 'create') await this.#create(order, order.work);
    }
    const sitePackage = await this.#components.packages.packages.get(packageId);
    if (!sitePackage || isLeaving(sitePackage)) await this.#forgetResults(packageId);
  }

  async #orders(packageId: string, versions: ReadonlySet<number>): Promise<SiteOrder[]> {
    const sitePackage = await this.#components.packages.packages.get(packageId);
    const wishes = await this.#wishes(packageId, sitePackage);
    const deliveries = await this.#rowsOf(keySpaces.siteDeliveries, packageId);
    const contents = await this.#rowsOf(keySpaces.siteContents, packageId);
    const results = await this.#rowsOf(keySpaces.siteDeliveryResults, packageId);
    const failures = await this.#rowsOf(keySpaces.forwardingFailures, packageId);
    const orders: SiteOrder[] = [];
    for (const siteCode of new Set([...wishes.keys(), ...deliveries.keys()])) {
      const delivery = deliveries.get(siteCode);
      const result = results.get(siteCode);
      const rows: SiteContentRows = {
        sourceVersion: sitePackage?.sourceVersion ?? 0,
        packageHash: sitePackage?.packageHash ?? '',
        wish: wishes.get(siteCode),
        content: contents.get(siteCode),
        delivery,
        openJob: delivery && (await this.#jobs.get(delivery.jobId)),
        result: result?.jobId === delivery?.jobId ? result : undefined,
        failure: [...failures.values()].find(
          // What this site itself could not send, the result says.
          (one) => one.jobId === delivery?.jobId && one.siteCode !== this.#components.siteCode,
        ),
        hasVersion: (version) => versions.has(version),
      };
      orders.push({ sitePackage, siteCode, rows, work: siteContentWork(rows) });
    }
    return orders;
  }

  /** Of a package that is being deleted, or is of another site, nobody is to have anything. */
  async #wishes(packageId: string, sitePackage: SitePackage | undefined) {
    const { store, siteCode } = this.#components;
    const isOurs = sitePackage?.sourceSiteCode === siteCode && !isLeaving(sitePackage);
    if (!isOurs) return siteWishes([], () => undefined);
    const assignments = await this.#hierarchyPackages.assignmentsOf(packageId);
    const siteOf = new Map<string, string>();
    for (const { dpId } of assignments) {
      const dp = await store.records(keySpaces.hierarchyDistributionPoints).get(dpId);
      if (dp && dp.siteCode !== siteCode) siteOf.set(dpId, dp.siteCode);
    }
    return siteWishes(assignments, (dpId) => siteOf.get(dpId));
  }

  async #create(
    order: SiteOrder,
    work: Extract<SiteContentWork, { kind: 'create' }>,
  ): Promise<void> {
    const { sitePackage, siteCode, rows } = order;
    if (!sitePackage) return;
    const { store, notifier, miniJobSerials, clock, logger } = this.#components;
    // From here on without a pause: serials rise in the order of the writes.
    const serial = miniJobSerials.next();
    const jobId = toMiniJobId(this.#components.siteCode, serial.value);
    const { packageId, sourceVersion, packageHash } = sitePackage;
    const { baseVersion, repeatCount } = work;
    const job: MiniJob = {
      ...{ jobId, packageId, sourceVersion, baseVersion, packageHash },
      ...{ sourceSiteCode: this.#components.siteCode, finalSiteCode: siteCode },
      ...{ priority: sitePackage.properties.priority, createdAtMs: clock.nowMs() },
    };
    const wishes = rows.wish?.wishes ?? {};
    const delivery: SiteDelivery = {
      ...{ packageId, siteCode, jobId, sourceVersion, baseVersion },
      ...{ wishes, repeatCount },
    };
    const changes = [
      serial.change,
      ...this.#jobEnded(packageId, order),
      this.#jobs.put(jobId, job),
      notifier.notification('mini-job', jobId),
      this.#deliveries.put(joinKey(packageId, siteCode), delivery),
      ...this.#reports(job),
    ];
    // Synced: other sites will remember the ID, so it must never be given out again.
    await store.write(changes, { sync: true });
    const facts = { packageId, siteCode, jobId, sourceVersion, baseVersion };
    logger.info({ ...facts, supersedes: rows.openJob?.jobId }, 'Created mini-job');
  }

  async #forget(packageId: string, order: SiteOrder): Promise<void> {
    const { store, logger } = this.#components;
    const { siteCode, rows } = order;
    const key = joinKey(packageId, siteCode);
    const changes = [...this.#jobEnded(packageId, order), this.#deliveries.delete(key)];
    await store.write(changes, { sync: false });
    if (!rows.openJob) return;
    const about = { packageId, siteCode, jobId: rows.openJob.jobId };
    logger.info(about, isJobDelivered(rows) ? 'Mini-job is delivered' : 'Cancelled mini-job');
  }

  /** The Scheduler ends the send request of a job that is gone: as delivered, if the result says so. */
  #jobEnded(packageId: string, { siteCode, rows }: SiteOrder): Change[] {
    const { openJob, content } = rows;
    if (!openJob) return [];
    const { store, notifier } = this.#components;
    const { jobId } = openJob;
    const changes = [this.#jobs.delete(jobId), notifier.notification('mini-job', jobId)];
    if (!isJobDelivered(rows)) return changes;
    const contentChangedAtMs = content?.changedAtMs ?? 0;
    const result: SiteDeliveryResult = { jobId, outcome: 'delivered', contentChangedAtMs };
    const results = store.records(keySpaces.siteDeliveryResults);
    return [...changes, results.put(joinKey(packageId, siteCode), result)];
  }

  #reports({ jobId, packageId, sourceVersion, finalSiteCode }: MiniJob): Change[] {
    const { status } = this.#components;
    const about = { packageId, sourceVersion };
    const strings = [packageId, `${sourceVersion}`, finalSiteCode];
    return [
      ...status.message({ messageId: 2333, insertionStrings: strings, ...about }),
      ...status.message({ messageId: 2339, insertionStrings: [...strings, jobId], ...about }),
    ];
  }

  async #forgetResults(packageId: string): Promise<void> {
    const results = await this.#rowsOf(keySpaces.siteDeliveryResults, packageId);
    const records = this.#components.store.records(keySpaces.siteDeliveryResults);
    const keys = [...results.keys()].map((siteCode) => joinKey(packageId, siteCode));
    await this.#components.store.write(
      keys.map((key) => records.delete(key)),
      { sync: false },
    );
  }

  async #versionOf(packageId: string): Promise<number> {
    return (await this.#components.packages.packages.get(packageId))?.sourceVersion ?? 0;
  }

  async #knownVersions(packageId: string, newest: number): Promise<ReadonlySet<number>> {
    const known = new Set<number>();
    for (let version = Math.max(1, newest - deltaStepsMax); version < newest; version++) {
      if (await this.#components.versions.hasVersion(packageId, version)) known.add(version);
    }
    return known;
  }

  /** The rows of a package in a table whose keys begin with it, by the rest of their keys. */
  async #rowsOf<V>(space: KeySpace<V>, packageId: string): Promise<Map<string, V>> {
    const prefix = `${packageId}/`;
    const rows = new Map<string, V>();
    for await (const [key, row] of this.#components.store.records(space).list({ prefix })) {
      rows.set(key.slice(prefix.length), row);
    }
    return rows;
  }

  get #jobs() {
    return this.#components.store.records(keySpaces.miniJobs);
  }

  get #deliveries() {
    return this.#components.store.records(keySpaces.siteDeliveries);
  }
}

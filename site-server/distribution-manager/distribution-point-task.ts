import { contentNamesOf } from '../../shared/domain/content-location.ts';
import { isForeign } from '../../shared/domain/package-processing.ts';
import {
  type PackageServerRows,
  packageServerWork,
} from '../../shared/domain/package-server-work.ts';
import { toPendingStatus } from '../../shared/domain/package-status-moves.ts';
import { throwIfAborted } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { SerialCounter } from '../../shared/state-store/serial-counter.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { OwnValidations } from '../content-validation/own-validations.ts';
import type { ContentDpMap } from '../hierarchy-manager/content-dp-map.ts';
import type {
  CheckedDistributionPoint,
  DistributionPointChecker,
} from '../hierarchy-manager/distribution-point-checker.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import { checkFailureOf, type JobOrder, jobReports, toJob } from './job-order.ts';
import type { PackageStore } from './package-store.ts';

/** What the tasks for distribution points need. */
export interface DistributionPointTaskComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly packages: PackageStore;
  readonly hierarchy: Pick<HierarchyManager, 'get'>;
  readonly contentMap: Pick<ContentDpMap, 'gone'>;
  readonly checker: Pick<DistributionPointChecker, 'checkForJob'>;
  /** The only counter of job serials. */
  readonly jobSerials: Pick<SerialCounter, 'next'>;
  readonly status: StatusReporter;
  /** Looks at what this site itself holds of a package of another site; absent where nobody does. */
  readonly ownCopies?: Pick<OwnValidations, 'mendingChanges' | 'look'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
}

/** A package and a DP. */
export interface PackageOnDistributionPoint {
  readonly packageId: string;
  readonly dpId: string;
}

/**
 * Does what is due for one package on one DP (DM-2): checks the DP (DM-4), hands a job to Package
 * Transfer Manager and resets the action, in one batch. What is due is read again after the check,
 * in one turn with the write: an administrator's newer word is never overwritten, and a task that
 * runs twice makes one job.
 */
export class DistributionPointTask {
  readonly #components: DistributionPointTaskComponents;

  constructor(components: DistributionPointTaskComponents) {
    this.#components = components;
  }

  /** @throws AbortError when the signal fires */
  async run(target: PackageOnDistributionPoint, signal: AbortSignal): Promise<void> {
    const { hierarchy, checker } = this.#components;
    const distributionPoint = await hierarchy.get(target.dpId);
    const work = packageServerWork(await this.#rows(target));
    if (work.kind === 'nothing' || work.kind === 'wait-for-version') return;
    const isCheckDue = distributionPoint?.kind === 'standard' && work.kind === 'job';
    const checked = isCheckDue ? await checker.checkForJob(distributionPoint, signal) : undefined;
    throwIfAborted(signal);
    await this.#act(target, checked);
  }

  #act(
    target: PackageOnDistributionPoint,
    checked: CheckedDistributionPoint | undefined,
  ): Promise<void> {
    const { packages, hierarchy } = this.#components;
    return packages.turn(target.packageId, async () => {
      const distributionPoint = await hierarchy.get(target.dpId);
      const rows = await this.#rows(target);
      const work = packageServerWork(rows);
      if (work.kind === 'drop') await this.#drop(target, rows);
      if (work.kind !== 'job' || !distributionPoint || !rows.sitePackage) return;
      await this.#handOver({
        rows,
        work,
        distributionPoint,
        checked,
        sitePackage: rows.sitePackage,
      });
    });
  }

  async #rows({ packageId, dpId }: PackageOnDistributionPoint): Promise<PackageServerRows> {
    const { packages, hierarchy } = this.#components;
    const [sitePackage, server, status, distributionPoint] = await Promise.all([
      packages.packages.get(packageId),
      packages.getServer(packageId, dpId),
      packages.getStatus(packageId, dpId),
      hierarchy.get(dpId),
    ]);
    const openJob = status && (await this.#jobs.get(joinKey(status.jobSerial)));
    const isDistributionPointKnown = distributionPoint !== undefined;
    return { sitePackage, server, status, isDistributionPointKnown, openJob };
  }

  async #drop(
    { packageId, dpId }: PackageOnDistributionPoint,
    rows: PackageServerRows,
  ): Promise<void> {
    const { store, packages, notifier, contentMap, logger } = this.#components;
    const changes = [
      packages.deleteServer(packageId, dpId),
      packages.deleteStatus(packageId, dpId),
      ...(await contentMap.gone(dpId, contentNamesOf(rows.sitePackage, packageId))),
    ];
    if (rows.openJob) {
      // Package Transfer Manager ends a job whose assignment is gone.
      const subject = joinKey(rows.openJob.jobSerial);
      changes.push(notifier.notification('distribution-job', subject));
    }
    await store.write(changes, { sync: false });
    logger.info({ packageId, dpId }, 'Dropped package server without a job');
  }

  async #handOver(order: JobOrder): Promise<void> {
    const { store, packages, notifier, status, jobSerials, clock, logger } = this.#components;
    const { rows, work } = order;
    const { packageId } = order.sitePackage;
    const { dpId } = order.distributionPoint;
    const nowMs = clock.nowMs();
    const failure = checkFailureOf(order);
    const mending = await this.#mendingChanges(order);
    // From here on without a pause: serials rise in the order of the writes.
    const serial = jobSerials.next();
    const job = toJob(order, { jobSerial: serial.value, failure, nowMs });
    const isRemoval = work.action === 'remove';
    const targetVersion = isRemoval ? 0 : work.sourceVersion;
    const pending = { packageId, dpId, status: rows.status, isRemoval, targetVersion };
    const changes: Change[] = [
      ...mending,
      serial.change,
      this.#jobs.put(joinKey(job.jobSerial), job),
      notifier.notification('distribution-job', joinKey(job.jobSerial)),
      packages.putStatus(toPendingStatus({ ...pending, jobSerial: job.jobSerial }, nowMs)),
    ];
    if (rows.server) changes.push(packages.putServer({ ...rows.server, action: 'none' }));
    for (const facts of jobReports(job, failure)) changes.push(...status.message(facts));
    // Synced: the DP will remember the serial, so it must never be given out again.
    await store.write(changes, { sync: true });
    if (mending.length > 0) this.#components.ownCopies?.look();
    const { jobSerial, action, sourceVersion } = job;
    logger.info(
      { packageId, dpId, jobSerial, action, sourceVersion },
      'Created package transfer job',
    );
  }

  /** All of it is sent again: what is damaged at this site itself is asked for again (PKG-6). */
  async #mendingChanges({ work, sitePackage, rows }: JobOrder): Promise<Change[]> {
    const { ownCopies } = this.#components;
    if (!ownCopies || work.action !== 'redistribute' || !isForeign(sitePackage)) return [];
    return ownCopies.mendingChanges(sitePackage.packageId, rows.server?.wishId ?? '');
  }

  get #jobs() {
    return this.#components.store.records(keySpaces.distributionJobs);
  }
}

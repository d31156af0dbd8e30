import { contentIdsOf, contentNamesOf } from '../../shared/domain/content-location.ts';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { PackageStatus } from '../../shared/domain/package-status.ts';
import { type TransferOutcome, transferOutcome } from '../../shared/domain/package-status-moves.ts';
import type { PackageServer } from '../../shared/domain/site-package.ts';
import { isValidation } from '../../shared/domain/validation-places.ts';
import { throwIfAborted } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { ChangeNotifier, Notification } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { ValidationResults } from '../content-validation/validation-results.ts';
import type { ContentDpMap } from '../hierarchy-manager/content-dp-map.ts';
import type { StatusFacts, StatusReporter } from '../status-manager/status-manager.ts';
import type { PackageStore } from './package-store.ts';

/** What the taking of results needs. */
export interface TransferResultsComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification' | 'pending' | 'handled'>;
  readonly packages: PackageStore;
  readonly contentMap: Pick<ContentDpMap, 'held' | 'arrived' | 'notArriving' | 'gone'>;
  readonly validationResults: Pick<ValidationResults, 'changesOf' | 'changesAfter'>;
  readonly status: StatusReporter;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
}

/**
 * Takes the results of jobs that ended (DM-5; the .STA files of Configuration Manager): updates the
 * package's status and reports, in the batch that deletes the notification. So each result counts
 * once, whatever crashes.
 */
export class TransferResults {
  readonly #components: TransferResultsComponents;

  constructor(components: TransferResultsComponents) {
    this.#components = components;
  }

  /**
   * Takes all results that wait, oldest job first.
   *
   * @throws AbortError when the signal fires
   */
  async take(signal: AbortSignal): Promise<void> {
    for await (const notification of this.#components.notifier.pending('transfer-result')) {
      throwIfAborted(signal);
      await this.#takeOne(notification);
    }
  }

  async #takeOne(notification: Notification): Promise<void> {
    const { store, packages, notifier } = this.#components;
    const job = await store.records(keySpaces.jobHistory).get(notification.subject);
    if (!job) {
      // Cut off from the history since: there is nothing left to tell.
      await store.write([notifier.handled(notification)], { sync: false });
      return;
    }
    await packages.turn(job.packageId, () => this.#apply(job, notification));
  }

  /** A validation says what is there, and changes nothing by itself. */
  async #applyValidation(job: DistributionJob, notification: Notification): Promise<void> {
    const { validationResults, notifier, store, clock } = this.#components;
    const handled = notifier.handled(notification);
    const changes = await validationResults.changesOf(job, clock.nowMs());
    await store.write([...changes(), handled], { sync: false });
  }

  async #apply(job: DistributionJob, notification: Notification): Promise<void> {
    if (isValidation(job)) return this.#applyValidation(job, notification);
    const { store, packages, notifier, clock, status } = this.#components;
    const { packageId, dpId } = job;
    const [before, server] = await Promise.all([
      packages.getStatus(packageId, dpId),
      packages.getServer(packageId, dpId),
    ]);
    const rows = { status: before, server };
    const outcome = before && transferOutcome(job, { status: before, server }, clock.nowMs());
    const changes = outcome ? this.#changes(job, rows, outcome) : [];
    changes.push(...(await this.#locations(job, before, outcome)));
    const { validationResults } = this.#components;
    changes.push(...(await validationResults.changesAfter(job, outcome, clock.nowMs())));
    // From here on without a pause: serials rise in the order of the writes.
    const messages = outcome
      ? reportsOf(job, outcome).flatMap((facts) => status.message(facts))
      : [];
    await store.write([...changes, ...messages, notifier.handled(notification)], { sync: false });
    this.#log(job, outcome);
  }

  #changes(
    { packageId, dpId }: DistributionJob,
    { server }: { status: PackageStatus | undefined; server: PackageServer | undefined },
    outcome: TransferOutcome,
  ): Change[] {
    const { packages, notifier } = this.#components;
    const changes: Change[] = [];
    if (outcome.status) changes.push(packages.putStatus(outcome.status));
    else changes.push(packages.deleteStatus(packageId, dpId));
    if (outcome.isUnassigned && server?.intent === 'removed') {
      changes.push(packages.deleteServer(packageId, dpId));
      // A package that is being deleted goes with the last of its DPs.
      changes.push(notifier.notification('package', packageId));
    }
    return changes;
  }

  /** Which contents are at the DP now, as far as the result says. */
  async #locations(
    job: DistributionJob,
    before: PackageStatus | undefined,
    outcome: TransferOutcome | undefined,
  ): Promise<Change[]> {
    const { packages, contentMap } = this.#components;
    const { packageId, dpId, sourceVersion } = job;
    const sitePackage = await packages.packages.get(packageId);
    const names = contentNamesOf(sitePackage, packageId);
    if (!outcome?.status || outcome.messageId === 2331) return contentMap.gone(dpId, names);
    if (outcome.messageId === 2330) {
      const contentIds = contentIdsOf(sitePackage, sourceVersion);
      return contentIds
        ? contentMap.held({ packageId, dpId, sourceVersion, contentIds })
        : contentMap.arrived({ packageId, dpId, sourceVersion }, names);
    }
    const isNewest = before?.jobSerial === job.jobSerial;
    // Of a removal, too: what it has taken over from arrives no more.
    const hasFailed = job.state !== 'complete' && isNewest;
    return hasFailed ? contentMap.notArriving({ dpId, sourceVersion }, names) : [];
  }

  #log(job: DistributionJob, outcome: TransferOutcome | undefined): void {
    const { jobSerial, packageId, dpId, action, state } = job;
    const facts = { jobSerial, packageId, dpId, action, state, isOvertaken: !outcome?.messageId };
    this.#components.logger.info(facts, 'Took transfer result');
  }
}

function reportsOf(job: DistributionJob, outcome: TransferOutcome): StatusFacts[] {
  const { packageId, sourceVersion, dpId } = job;
  const { messageId } = outcome;
  if (messageId === undefined) return [];
  const third = { 2328: [job.reason], 2330: [`${sourceVersion}`], 2331: [] }[messageId];
  return [
    { messageId, packageId, sourceVersion, dpId, insertionStrings: [packageId, dpId, ...third] },
  ];
}

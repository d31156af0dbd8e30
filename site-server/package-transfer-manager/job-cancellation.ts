import { type DistributionJob, reporting } from '../../shared/domain/distribution-job.ts';
import { toCancelJob, wasTold } from '../../shared/domain/job-steering.ts';
import { cancelledReason } from '../../shared/domain/package-status-moves.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { SerialCounter } from '../../shared/state-store/serial-counter.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import { confirmedMessages, steeringMessages, unheardMessages } from './job-messages.ts';
import type { JobTable } from './job-table.ts';

export interface JobCancellationNeeds {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly jobs: JobTable;
  readonly packages: Pick<PackageStore, 'turn' | 'getStatus'>;
  /** The only counter of job serials. */
  readonly jobSerials: Pick<SerialCounter, 'next'>;
  readonly status: StatusReporter;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
}

/** What a DP that has heard of a cancellation serves of the package. */
export interface HeldPackage {
  /** 0: nothing. */
  readonly sourceVersion: number;
  /** Empty: nothing. */
  readonly packageHash: string;
}

/**
 * Ends jobs at an administrator's word (PKG-9). In one synced batch the job is in the history,
 * cancelled and unconfirmed, and a job of action `cancel` with a higher serial is open, which goes to
 * the DP like any other: so whatever the DP says of the older one later, nothing overwrites that it was
 * cancelled, and a crash leaves all of it done or nothing. The DP that has heard the higher serial
 * commits nothing of the older one any more: then the history says that it is confirmed.
 */
export class JobCancellation {
  readonly #needs: JobCancellationNeeds;

  constructor(needs: JobCancellationNeeds) {
    this.#needs = needs;
  }

  /**
   * Cancels an open job.
   *
   * @returns false when it has ended before, or a newer one is about to take over: that counts
   * @throws DISK_FULL: it goes on
   */
  async cancel(jobSerial: number): Promise<boolean> {
    const { jobs, packages } = this.#needs;
    const asked = jobs.get(jobSerial);
    if (!asked) return false;
    const { packageId, dpId } = asked;
    // In the turn in which jobs are made: none that is newer is outrun by a higher serial. It takes over.
    return packages.turn(packageId, async () => {
      const newest = (await packages.getStatus(packageId, dpId))?.jobSerial ?? 0;
      if (newest > jobSerial && (await this.#isOpen(newest))) return false;
      return this.#end(jobSerial);
    });
  }

  async #end(jobSerial: number): Promise<boolean> {
    const { jobs, status, logger } = this.#needs;
    const job = jobs.get(jobSerial);
    if (!job) return false;
    const { packageId, dpId } = job;
    const isToTell = wasTold(job);
    // From here on without a pause: serials rise in the order of the writes.
    const messages = steeringMessages(status, job, 'cancel');
    const order = isToTell ? this.#order(job) : [];
    const isDone = await jobs.end(job, 'cancelled', {
      reason: isToTell ? unconfirmedReason(job) : cancelledReason,
      cancellation: { isConfirmed: !isToTell },
      others: [...messages, ...order],
    });
    if (isDone) logger.info({ jobSerial, packageId, dpId, isToTell }, 'Job was cancelled');
    return isDone;
  }

  /** The DP has heard a job of action `cancel`, and said what it serves: the job is complete. */
  async complete(job: DistributionJob, held: HeldPackage): Promise<void> {
    const { sourceVersion: heldVersion, packageHash: verifiedHash } = held;
    const others = await this.#confirmations(job);
    await this.#needs.jobs.end(job, 'complete', { reason: '', heldVersion, verifiedHash, others });
  }

  /** The DP has seen a higher serial than that of this `cancel`: what it tells of is over there. */
  async confirmedBy(job: DistributionJob): Promise<void> {
    const changes = await this.#confirmations(job);
    if (changes.length > 0) await this.#needs.store.write(changes, { sync: true });
  }

  /** That the DP of a cancelled job has not heard it is told once; called when the wait for it is over. */
  async stillUnconfirmed(ended: DistributionJob): Promise<void> {
    const { jobs, status } = this.#needs;
    const order = jobs.sameTargetAs(ended).find(({ cancels }) => cancels === ended.jobSerial);
    if (!order) return;
    const change = (current: DistributionJob) => {
      const { isNews, job } = reporting(current, 'unheard');
      return { job, messages: isNews ? unheardMessages(status, job) : [] };
    };
    await jobs.changed(order.jobSerial, change, []);
  }

  #order(job: DistributionJob): Change[] {
    const { jobSerials, clock, notifier, store } = this.#needs;
    const serial = jobSerials.next();
    const order = toCancelJob(job, { jobSerial: serial.value, nowMs: clock.nowMs() });
    const key = joinKey(order.jobSerial);
    return [
      serial.change,
      store.records(keySpaces.distributionJobs).put(key, order),
      notifier.notification('distribution-job', key),
    ];
  }

  async #isOpen(jobSerial: number): Promise<boolean> {
    const rows = this.#needs.store.records(keySpaces.distributionJobs);
    return (await rows.get(joinKey(jobSerial))) !== undefined;
  }

  async #confirmations({ cancels }: DistributionJob): Promise<Change[]> {
    if (cancels === undefined) return [];
    const { store, status } = this.#needs;
    const history = store.records(keySpaces.jobHistory);
    const key = joinKey(cancels);
    const row = await history.get(key);
    // Cut off from the history since.
    if (!row?.cancellation || row.cancellation.isConfirmed) return [];
    const reason = `${cancelledReason}; ${row.dpId} has confirmed it`;
    const confirmed = { ...row, reason, cancellation: { isConfirmed: true } };
    return [history.put(key, confirmed), ...confirmedMessages(status, confirmed)];
  }
}

function unconfirmedReason({ dpId }: DistributionJob): string {
  return `${cancelledReason}; ${dpId} has not confirmed it yet`;
}

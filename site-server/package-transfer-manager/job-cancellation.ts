import {
  confirmsCountMax,
  type DistributionJob,
  isOpen,
} from '../../shared/domain/distribution-job.ts';
import { toCancelJob, wasTold } from '../../shared/domain/job-steering.ts';
import { cancelledReason } from '../../shared/domain/package-status-moves.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { SerialCounter } from '../../shared/state-store/serial-counter.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import { confirmationMessages, steeringMessages } from './job-messages.ts';
import type { JobTable } from './job-table.ts';

export interface JobCancellationNeeds {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly jobs: JobTable;
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
   * @returns false when it has ended before: that counts
   * @throws DISK_FULL: it goes on
   */
  async cancel(jobSerial: number): Promise<boolean> {
    const { jobs, status, logger } = this.#needs;
    const job = jobs.get(jobSerial);
    if (!job) return false;
    const { packageId, dpId } = job;
    // From here on without a pause: serials rise in the order of the writes.
    const messages = steeringMessages(status, job, 'cancel');
    const isToTell = wasTold(job);
    const changes = isToTell ? this.#order(job) : [];
    const isDone = await jobs.end(job, 'cancelled', {
      reason: isToTell ? unconfirmedReason(job) : cancelledReason,
      cancellation: { isConfirmed: !isToTell },
      others: [...messages, ...changes],
    });
    if (isDone) logger.info({ jobSerial, packageId, dpId, isToTell }, 'Job was cancelled');
    return isDone;
  }

  /** A newer job takes over from one that the DP was to hear: what it was to confirm, the newer one does. */
  async inherited(newer: DistributionJob, older: DistributionJob): Promise<void> {
    const { confirms = [] } = older;
    if (confirms.length === 0) return;
    const change = (job: DistributionJob) => {
      const all = [...new Set([...confirms, ...(job.confirms ?? [])])];
      return { job: { ...job, confirms: all.slice(-confirmsCountMax) } };
    };
    await this.#needs.jobs.changed(newer.jobSerial, change, []);
  }

  /** The DP has heard a job of action `cancel`, and said what it serves: the job is complete. */
  async complete(job: DistributionJob, held: HeldPackage): Promise<void> {
    const { sourceVersion: heldVersion, packageHash: verifiedHash } = held;
    const others = await this.#confirmations(job);
    await this.#needs.jobs.end(job, 'complete', { reason: '', heldVersion, verifiedHash, others });
  }

  /** The DP has seen the serial of this job, or a higher one: what was cancelled before is over there. */
  async confirmedBy(job: DistributionJob): Promise<void> {
    const changes = await this.#confirmations(job);
    if (changes.length > 0) await this.#needs.store.write(changes, { sync: true });
  }

  /** That the DP has not heard is told once; called when the wait for it is over. */
  async stillUnconfirmed(job: DistributionJob): Promise<void> {
    const { status, store } = this.#needs;
    await store.write(confirmationMessages(status, job), { sync: false });
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

  async #confirmations({ confirms = [] }: DistributionJob): Promise<Change[]> {
    const { store, status } = this.#needs;
    const history = store.records(keySpaces.jobHistory);
    const changes: Change[] = [];
    for (const jobSerial of confirms) {
      const key = joinKey(jobSerial);
      const row = await history.get(key);
      // Cut off from the history since, or confirmed by another one.
      if (!row?.cancellation || row.cancellation.isConfirmed) continue;
      const reason = `${cancelledReason}; ${row.dpId} has confirmed it`;
      const confirmed = { ...row, reason, cancellation: { isConfirmed: true } };
      changes.push(history.put(key, confirmed), ...confirmationMessages(status, confirmed));
    }
    return changes;
  }
}

/** The newest open job for the package and DP of this one. */
export function heirOf(
  jobs: Iterable<DistributionJob>,
  { packageId, dpId, jobSerial }: DistributionJob,
): DistributionJob | undefined {
  let heir: DistributionJob | undefined;
  for (const job of jobs) {
    const isSame = job.packageId === packageId && job.dpId === dpId && isOpen(job);
    if (isSame && job.jobSerial > (heir?.jobSerial ?? jobSerial)) heir = job;
  }
  return heir;
}

function unconfirmedReason({ dpId }: DistributionJob): string {
  return `${cancelledReason}; ${dpId} has not confirmed it yet`;
}

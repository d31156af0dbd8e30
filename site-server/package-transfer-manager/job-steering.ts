/**
 * What administrators do to jobs that are open: move, suspend, resume, run now, cancel (ADM-2, PKG-9).
 * Called by the admin service. Each change is on disk before it is answered; a crash in between leaves
 * those done that came first. Writes, by the job table, "distribution jobs", "job history" and status
 * messages.
 */
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { compareJobs } from '../../shared/domain/job-queue.ts';
import {
  isSelected,
  isSteerable,
  type JobSelection,
  type SteeringVerb,
  stateNeeded,
  toResumed,
  toRunNow,
  toSuspended,
} from '../../shared/domain/job-steering.ts';
import { isSameRank, movedOrders, type QueueTarget } from '../../shared/domain/queue-order.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import { cancelConfirmations } from './cancel-confirmations.ts';
import type { JobCancellation } from './job-cancellation.ts';
import type { JobChange } from './job-changes.ts';
import { steeringMessages } from './job-messages.ts';
import type { JobTable } from './job-table.ts';
import type { PackageTransferManager } from './package-transfer-manager.ts';

export interface JobSteeringNeeds {
  readonly siteCode: string;
  readonly store: Pick<StateStore, 'records' | 'onWritten'>;
  readonly jobs: JobTable;
  readonly transfers: Pick<PackageTransferManager, 'stopped' | 'steered'>;
  readonly cancellation: JobCancellation;
  readonly status: StatusReporter;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
}

export interface JobSteeringConfig {
  /** How long the answer to a cancel waits for DPs to confirm. @default 5_000 @see PKG-9 */
  readonly confirmMsMax: number;
}

export const defaultJobSteeringConfig: JobSteeringConfig = { confirmMsMax: 5_000 };

export class JobSteering {
  readonly #needs: JobSteeringNeeds;
  readonly #config: JobSteeringConfig;

  constructor(needs: JobSteeringNeeds, config = defaultJobSteeringConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  /**
   * The open jobs that a command means, in queue order; those it would not change are left out, unless
   * they were named.
   *
   * @throws REQUEST_INVALID when a named job is not known; JOB_STATE_CONFLICT when it is not as the
   *   command needs it
   */
  async select(verb: SteeringVerb, selection: JobSelection): Promise<DistributionJob[]> {
    const { jobs, clock } = this.#needs;
    for (const jobSerial of selection.jobSerials ?? []) await this.#require(verb, jobSerial);
    const isNamed = selection.jobSerials !== undefined;
    const nowMs = clock.nowMs();
    return [...jobs.open()]
      .filter((job) => isSelected(job, selection, nowMs))
      .filter((job) => isNamed || isSteerable(verb, job))
      .sort(compareJobs);
  }

  /** They wait until they are resumed; what runs stops at the next part. @returns as they are then */
  suspend(selected: readonly DistributionJob[]): Promise<DistributionJob[]> {
    return this.#change('suspend', selected, (job, nowMs) => toSuspended(job, nowMs));
  }

  /** They go on where they were. @returns as they are then */
  resume(selected: readonly DistributionJob[]): Promise<DistributionJob[]> {
    return this.#change('resume', selected, (job, nowMs) => toResumed(job, nowMs));
  }

  /** They are due now, and heed no schedule this once. @returns as they are then */
  runNow(selected: readonly DistributionJob[]): Promise<DistributionJob[]> {
    return this.#change('run', selected, (job, nowMs) => toRunNow(job, nowMs));
  }

  /**
   * Puts jobs to another place among those of the same priorities.
   *
   * @returns as they are then
   * @throws REQUEST_INVALID when they are to go before one of another priority
   */
  async move(
    selected: readonly DistributionJob[],
    target: QueueTarget,
  ): Promise<DistributionJob[]> {
    this.#requireSameRank(selected, target);
    const { jobs, status, clock } = this.#needs;
    const moved = new Set(selected.map(({ jobSerial }) => jobSerial));
    const orders = new Map<number, number>();
    for (const rank of ranksOf(selected)) {
      const queue = [...jobs.open()].filter((job) => isSameRank(job, rank));
      for (const [serial, order] of movedOrders(queue, moved, target)) orders.set(serial, order);
    }
    const updatedAtMs = clock.nowMs();
    await this.#eachDone(
      [...orders].map(([jobSerial, order]) => {
        const change = (job: DistributionJob): JobChange => {
          const messages = moved.has(jobSerial) ? steeringMessages(status, job, 'move') : [];
          return { job: { ...job, order, updatedAtMs }, messages };
        };
        return jobs.changed(jobSerial, change, [], { sync: true });
      }),
    );
    return this.#current(selected);
  }

  /**
   * Ends jobs for good (PKG-9), and waits a while for their DPs to confirm. They are ended once the
   * first one comes out, whoever goes on listening.
   *
   * @returns each as it ended, as soon as it is confirmed, or when the wait is over
   */
  async *cancel(
    selected: readonly DistributionJob[],
    signal: AbortSignal,
  ): AsyncGenerator<DistributionJob> {
    const { cancellation, transfers } = this.#needs;
    const ends = await this.#eachDone(
      selected.map(async ({ jobSerial }) => {
        const isDone = await cancellation.cancel(jobSerial);
        // What ends otherwise says why itself: that it is done, or that a newer one takes over.
        if (isDone) transfers.stopped(jobSerial, 'cancelled');
        return isDone ? [jobSerial] : [];
      }),
    );
    yield* this.#confirmed(ends.flat(), signal);
  }

  async *#confirmed(jobSerials: readonly number[], signal: AbortSignal) {
    const { confirmMsMax: waitMsMax } = this.#config;
    const ended = cancelConfirmations(this.#needs, jobSerials, { waitMsMax, signal });
    for await (const job of ended) {
      if (!job.cancellation?.isConfirmed) await this.#needs.cancellation.stillUnconfirmed(job);
      yield job;
    }
  }

  /** What was done of it counts, also when something of it could not be written: that is thrown then. */
  async #eachDone<T>(work: readonly Promise<T>[]): Promise<T[]> {
    const results = await Promise.allSettled(work);
    this.#needs.transfers.steered();
    const failed = results.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
    return results.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  }

  async #change(
    verb: 'suspend' | 'resume' | 'run',
    selected: readonly DistributionJob[],
    toNext: (job: DistributionJob, nowMs: number) => DistributionJob,
  ): Promise<DistributionJob[]> {
    const { jobs, status, clock, transfers } = this.#needs;
    const nowMs = clock.nowMs();
    await this.#eachDone(
      selected.map(async ({ jobSerial }) => {
        const change = (job: DistributionJob): JobChange => {
          // Meanwhile somebody else may have said the same.
          if (!isSteerable(verb, job)) return { job };
          return { job: toNext(job, nowMs), messages: steeringMessages(status, job, verb) };
        };
        const isOpen = await jobs.changed(jobSerial, change, [], { sync: true });
        if (isOpen && verb === 'suspend') transfers.stopped(jobSerial, 'suspended');
      }),
    );
    return this.#current(selected);
  }

  /** Those that have ended meanwhile are left out. */
  #current(selected: readonly DistributionJob[]): DistributionJob[] {
    return selected.flatMap(({ jobSerial }) => this.#needs.jobs.get(jobSerial) ?? []);
  }

  async #require(verb: SteeringVerb, jobSerial: number): Promise<void> {
    const job = this.#needs.jobs.get(jobSerial) ?? (await this.#ended(jobSerial));
    if (!job) {
      const { siteCode } = this.#needs;
      const expected = `a job of site ${siteCode}`;
      const remedy = `"waybill jobs --site ${siteCode}" lists them`;
      throw requestInvalid('job_serials', { expected, actual: `${jobSerial}`, remedy });
    }
    const expected = stateNeeded(verb, job);
    if (expected === undefined) return;
    const state = job.action === 'cancel' ? 'a cancellation' : job.state;
    throw new WaybillError({ code: 'JOB_STATE_CONFLICT', jobSerial, state, expected });
  }

  #requireSameRank(selected: readonly DistributionJob[], target: QueueTarget): void {
    if (target.kind !== 'before') return;
    if (selected.some(({ jobSerial }) => jobSerial === target.jobSerial)) {
      const expected = 'another job than those that are moved';
      throw requestInvalid('before_job_serial', { expected, actual: `${target.jobSerial}` });
    }
    const other = this.#needs.jobs.get(target.jobSerial);
    const expected = 'an open job of the same package priority and DP priority';
    if (!other) {
      throw requestInvalid('before_job_serial', { expected, actual: `${target.jobSerial}` });
    }
    const stranger = selected.find((job) => !isSameRank(job, other));
    if (!stranger) return;
    const ranks = [other, stranger].map((job) => `${job.priority}/${job.dpPriority}`);
    const actual = `job ${other.jobSerial} of ${ranks[0]} for job ${stranger.jobSerial} of ${ranks[1]}`;
    throw requestInvalid('before_job_serial', { expected, actual });
  }

  #ended(jobSerial: number): Promise<DistributionJob | undefined> {
    return this.#needs.store.records(keySpaces.jobHistory).get(joinKey(jobSerial));
  }
}

/** One job of each rank. */
function ranksOf(jobs: readonly DistributionJob[]): DistributionJob[] {
  const ranks: DistributionJob[] = [];
  for (const job of jobs) if (!ranks.some((rank) => isSameRank(rank, job))) ranks.push(job);
  return ranks;
}

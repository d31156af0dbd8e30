import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { unreachableReasonOf } from '../../shared/domain/distribution-point-health.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { JobCancellation } from './job-cancellation.ts';
import { toGivenWay } from './job-changes.ts';
import type { JobFailure } from './job-failure.ts';
import type { RunResult } from './job-run.ts';
import type { JobTable } from './job-table.ts';
import type { PullConfig } from './pull-config.ts';
import { noteRate } from './rate-notes.ts';
import type { RetryPolicy } from './retry-policy.ts';
import type { RunInterruption } from './run-interruption.ts';
import type { TransferProgress } from './transfer-progress.ts';

/** What writing down how runs ended needs. */
export interface RunRecordNeeds {
  readonly jobs: JobTable;
  readonly hierarchy: Pick<HierarchyManager, 'recordReachability' | 'recordTransferRate'>;
  readonly retries: RetryPolicy;
  readonly cancellation: Pick<JobCancellation, 'complete' | 'confirmedBy'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called when a job waits for a DP that could not be reached. */
  readonly onUnreachable: (job: DistributionJob) => Promise<void>;
  /** Called when a job waits for a source of its pull DP: one may have come meanwhile. */
  readonly onNoSource: (job: DistributionJob) => void;
}

export interface RunRecordConfig {
  /** Fruitless tries in a row after which a job has failed; a full disk is none. @default 100 */
  readonly retryCountMax: number;
  readonly pull: PullConfig;
}

/** What is told of a run by how it went. */
export interface RecordedRun {
  readonly progress: TransferProgress;
  readonly startedMs: number;
  /** Why it was aborted, other than by the stop of the program. */
  readonly interruption?: RunInterruption;
}

/** A try that failed, and when the next one is due: decided once, however often it is written. */
export interface FailedTry {
  readonly kind: 'failed';
  readonly error: unknown;
  readonly failure: JobFailure;
  readonly delayMs: number;
  /** The first failure since the job last moved anything. */
  readonly isNews: boolean;
}

/** How a run ended. */
export type Outcome = RunResult | FailedTry | { readonly kind: 'interrupted' };

/**
 * Writes down how runs of jobs ended: that a job is complete, with its pull DP, gave way, waits for its
 * next try, or has failed. What could not be written may be written again: it changes nothing then.
 */
export class RunRecord {
  readonly #needs: RunRecordNeeds;
  readonly #config: RunRecordConfig;
  readonly #stopped: AbortSignal;

  /** @param stopped fires when the program stops */
  constructor(needs: RunRecordNeeds, config: RunRecordConfig, stopped: AbortSignal) {
    this.#needs = needs;
    this.#config = config;
    this.#stopped = stopped;
  }

  /** Writes how a run ended. Nothing is written when the program stops: the job stays started. */
  async write(job: DistributionJob, run: RecordedRun, outcome: Outcome): Promise<void> {
    const { jobs, retries, cancellation } = this.#needs;
    if (outcome.kind === 'done') {
      const { verifiedHash, validationReport } = outcome;
      await jobs.complete(job, run.progress, verifiedHash, validationReport);
      retries.forget(job.jobSerial);
    } else if (outcome.kind === 'cancel-heard') {
      await cancellation.complete(job, outcome.held);
      retries.forget(job.jobSerial);
    } else if (outcome.kind === 'handed-over') {
      await this.#recordHandover(job, outcome);
    } else if (run.interruption) {
      await this.#recordInterruption(job, run);
    } else if (outcome.kind === 'failed' && !this.#stopped.aborted) {
      await this.#recordFailure(job, run.progress, outcome);
    }
  }

  async #recordHandover(
    job: DistributionJob,
    { expectedHash, toldHash, locations }: Extract<Outcome, { kind: 'handed-over' }>,
  ): Promise<void> {
    const { clock, jobs, retries } = this.#needs;
    const restartAtMs = clock.nowMs() + this.#config.pull.pollDelayMs;
    await jobs.handedOver(job, { expectedHash, toldHash, locations, restartAtMs });
    retries.handedOver(job.jobSerial);
  }

  async #recordInterruption(job: DistributionJob, run: RecordedRun): Promise<void> {
    const { clock, jobs } = this.#needs;
    const { interruption } = run;
    if (interruption?.kind === 'gave-way') {
      const { waitingReason, reason } = interruption;
      const wait = { waitingReason, reason, updatedAtMs: clock.nowMs() };
      const change = (one: DistributionJob) => ({ job: toGivenWay(one, run.progress, wait) });
      await jobs.changed(job.jobSerial, change, []);
    } else if (interruption?.kind === 'again') {
      await jobs.progressed(job.jobSerial, run.progress);
      await jobs.dueAgain(job);
    } else await this.withdrawn(job, run);
  }

  /** Ends the job when it was withdrawn, whatever its run came to. */
  async withdrawn(job: DistributionJob, run: RecordedRun): Promise<void> {
    if (run.interruption?.kind !== 'withdrawn') return;
    const { reason } = run.interruption;
    await this.#end(job, 'cancelled', { reason, progress: run.progress });
  }

  async #recordFailure(
    job: DistributionJob,
    progress: TransferProgress,
    failed: FailedTry,
  ): Promise<void> {
    const { logger } = this.#needs;
    const { jobSerial, packageId, dpId } = job;
    const { failure, error } = failed;
    const facts = { jobSerial, packageId, dpId, err: error };
    const { reason } = failure;
    if (failure.kind === 'superseded') {
      logger.info(facts, 'Sending job was overtaken');
      await this.#needs.cancellation.confirmedBy(job);
      await this.#end(job, 'cancelled', { reason, progress });
    } else if (this.#isLastTry(job, progress, failure)) {
      logger.warn(facts, 'Sending job failed');
      await this.#end(job, 'failed', { reason, progress });
    } else {
      logger.info(facts, 'Sending job will be tried again');
      await this.#retryLater(job, progress, failed);
    }
  }

  async #end(
    job: DistributionJob,
    state: 'failed' | 'cancelled',
    result: { reason: string; progress: TransferProgress },
  ): Promise<void> {
    await this.#needs.jobs.end(job, state, result);
    this.#needs.retries.forget(job.jobSerial);
  }

  /** Whoever gets on goes on, and a full disk is waited for: somebody has to make room. */
  #isLastTry(
    { jobSerial, tryCount, action }: DistributionJob,
    { acknowledgedBytes }: TransferProgress,
    { waitingReason }: JobFailure,
  ): boolean {
    // Until the DP has heard it, or is none any more.
    if (action === 'cancel') return false;
    if (waitingReason === 'no-source') {
      const { noSourceRetryCountMax } = this.#config.pull;
      return this.#needs.retries.noSourceCount(jobSerial) >= noSourceRetryCountMax;
    }
    if (acknowledgedBytes > 0 || waitingReason === 'disk-full-at-dp') return false;
    return tryCount >= this.#config.retryCountMax;
  }

  async #retryLater(
    job: DistributionJob,
    progress: TransferProgress,
    { error, failure, delayMs, isNews }: FailedTry,
  ): Promise<void> {
    const { clock, jobs, onUnreachable, onNoSource } = this.#needs;
    const { waitingReason, reason } = failure;
    const restartAtMs = clock.nowMs() + delayMs;
    const wait = { waitingReason, reason, restartAtMs, isNews };
    const waiting = await jobs.retryLater(job, progress, wait);
    if (waiting && waitingReason === 'no-source') onNoSource(waiting);
    if (!waiting || waitingReason !== 'dp-unreachable') return;
    await this.#bestEffort(job, async (hierarchy) => {
      await onUnreachable(waiting);
      await hierarchy.recordReachability(job.dpId, unreachableReasonOf(error));
    });
  }

  /** Notes what a transfer tells of its DP; never rejects. */
  async measure(
    job: DistributionJob,
    { progress, startedMs }: RecordedRun,
    kind: RunResult['kind'],
  ): Promise<void> {
    const { jobSerial, packageId, dpId } = job;
    const durationMs = Math.round(this.#needs.clock.monotonicMs() - startedMs);
    const { sentBytes: sizeBytes } = progress;
    const facts = { jobSerial, packageId, dpId, sizeBytes, durationMs };
    const isDone = kind !== 'handed-over';
    this.#needs.logger.info(facts, isDone ? 'Sending job completed' : 'Pull DP took a job');
    await this.#bestEffort(job, async (hierarchy) => {
      await hierarchy.recordReachability(dpId);
      await noteRate(this.#needs, dpId, { sizeBytes, durationMs });
    });
  }

  /** What does not belong to the result of a job is no reason to write it, or do it, again. */
  async #bestEffort(
    { jobSerial, dpId }: DistributionJob,
    work: (hierarchy: RunRecordNeeds['hierarchy']) => Promise<unknown>,
  ): Promise<void> {
    try {
      await work(this.#needs.hierarchy);
    } catch (err) {
      this.#needs.logger.warn({ jobSerial, dpId, err }, 'State of a DP could not be noted');
    }
  }
}

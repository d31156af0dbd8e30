import type { DistributionJob, WaitingReason } from '../../shared/domain/distribution-job.ts';
import { moved } from '../../shared/domain/distribution-job.ts';
import { unreachableReasonOf } from '../../shared/domain/distribution-point-health.ts';
import { ignoreAbort, isAbortError, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { JobCancellation } from './job-cancellation.ts';
import { toGivenWay } from './job-changes.ts';
import { type JobFailure, toJobFailure } from './job-failure.ts';
import type { JobRunner, RunResult } from './job-run.ts';
import type { JobTable } from './job-table.ts';
import type { PullConfig } from './pull-config.ts';
import { noteRate } from './rate-notes.ts';
import type { RetryPolicy } from './retry-policy.ts';
import { RunInterrupted, type RunInterruption } from './run-interruption.ts';
import { TransferProgress } from './transfer-progress.ts';

export interface RunningJobsComponents {
  readonly jobs: JobTable;
  readonly runner: Pick<JobRunner, 'run'>;
  readonly hierarchy: Pick<
    HierarchyManager,
    'require' | 'recordReachability' | 'recordTransferRate'
  >;
  readonly retries: RetryPolicy;
  readonly cancellation: Pick<JobCancellation, 'complete' | 'confirmedBy'>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** Called when a job waits for a DP that could not be reached. */
  readonly onUnreachable: (job: DistributionJob) => Promise<void>;
  /** Called when a job waits for a source of its pull DP: one may have come meanwhile. */
  readonly onNoSource: (job: DistributionJob) => void;
  /** Called when a job does not run any more. */
  readonly onEnded: () => void;
}

export interface RunningJobsConfig {
  /** Fruitless tries in a row after which a job has failed; a full disk is none. @default 100 */
  readonly retryCountMax: number;
  /** How often a running job's row is written. @default 1_000 */
  readonly progressWriteMs: number;
  readonly pull: PullConfig;
}

interface RunningJob {
  readonly progress: TransferProgress;
  readonly controller: AbortController;
  /** Fires when the job is withdrawn or the program stops. */
  readonly signal: AbortSignal;
  readonly startedMs: number;
  /** Why it was aborted, other than by the stop of the program. */
  interruption?: RunInterruption;
}

/** A try that failed, and when the next one is due: decided once, however often it is written. */
interface FailedTry {
  readonly kind: 'failed';
  readonly error: unknown;
  readonly failure: JobFailure;
  readonly delayMs: number;
  /** The first failure since the job last moved anything. */
  readonly isNews: boolean;
}

type Outcome = RunResult | FailedTry | { readonly kind: 'interrupted' };

/** First and longest wait before the result of a run is written again. */
const recordDelayMs = 1_000;
const recordDelayMsMax = 30_000;

/**
 * The jobs that run now: each runs once, and how it ended is written, whatever happens. A stop of
 * the program leaves them started, as a crash does.
 */
export class RunningJobs {
  readonly #needs: RunningJobsComponents;
  readonly #config: RunningJobsConfig;
  readonly #stopped: AbortSignal;
  readonly #running = new Map<number, RunningJob>();
  readonly #runs = new Set<Promise<void>>();

  /** @param stopped fires when the program stops */
  constructor(needs: RunningJobsComponents, config: RunningJobsConfig, stopped: AbortSignal) {
    this.#needs = needs;
    this.#config = config;
    this.#stopped = stopped;
  }

  /** How far a running job is. */
  progressOf(jobSerial: number): TransferProgress | undefined {
    return this.#running.get(jobSerial)?.progress;
  }

  /** Whether the job runs, or its result is being written. */
  has(jobSerial: number): boolean {
    return this.#running.has(jobSerial);
  }

  /** Resolves when nothing runs any more. */
  async whenIdle(): Promise<void> {
    while (this.#runs.size > 0) await Promise.all(this.#runs);
  }

  /**
   * Starts a job, unless it has ended meanwhile; resolves when it runs.
   *
   * @throws DISK_FULL of this site: it does not run
   */
  async start(job: DistributionJob): Promise<void> {
    const { clock, jobs } = this.#needs;
    const { jobSerial } = job;
    const nowMs = clock.nowMs();
    const started = moved(job, 'started', {
      reason: '',
      restartAtMs: 0,
      startedAtMs: job.startedAtMs || nowMs,
      tryCount: job.tryCount + 1,
      updatedAtMs: nowMs,
    });
    if (!(await jobs.started(started))) return;
    const controller = new AbortController();
    const run: RunningJob = {
      progress: new TransferProgress({
        monotonicMs: () => clock.monotonicMs(),
        onChange: () => jobs.touched(jobSerial),
        job: started,
      }),
      controller,
      signal: AbortSignal.any([this.#stopped, controller.signal]),
      startedMs: clock.monotonicMs(),
    };
    this.#running.set(jobSerial, run);
    const ended = this.#run(started, run).finally(() => {
      this.#runs.delete(ended);
      this.#needs.onEnded();
    });
    this.#runs.add(ended);
  }

  /**
   * Ends a job that is not to go on.
   *
   * @returns false when it does not run: then nothing was done
   */
  withdraw(jobSerial: number, reason: string): boolean {
    return this.#interrupt(jobSerial, { kind: 'withdrawn', reason });
  }

  /** Lets a job that runs begin anew; nothing is done when it does not run. */
  again(jobSerial: number): void {
    this.#interrupt(jobSerial, { kind: 'again', reason: 'It begins anew' });
  }

  /**
   * Interrupts a job that goes on later where it is, when what it waits for is there; nothing is done
   * when it does not run.
   */
  giveWay(jobSerial: number, waitingReason: WaitingReason, reason: string): void {
    this.#interrupt(jobSerial, { kind: 'gave-way', waitingReason, reason });
  }

  #interrupt(jobSerial: number, why: RunInterruption): boolean {
    const run = this.#running.get(jobSerial);
    if (!run) return false;
    // The first counts, and a withdrawal before all else.
    const wasWithdrawn = run.interruption?.kind === 'withdrawn';
    if (!run.interruption || (why.kind === 'withdrawn' && !wasWithdrawn)) run.interruption = why;
    run.controller.abort(new RunInterrupted(why.reason));
    return true;
  }

  /** Never rejects: a failure of any kind is a failed try. */
  async #run(job: DistributionJob, run: RunningJob): Promise<void> {
    const { jobSerial, packageId, dpId, action } = job;
    this.#needs.logger.info({ jobSerial, packageId, dpId, action }, 'Sending job started');
    const outcome = await this.#outcomeOf(job, run);
    await this.#written(job, () => this.#record(job, run, outcome));
    // Withdrawn while the result was written: it is not to go on, whatever that was. It counts as
    // running until that is written too, so that it cannot be started in between.
    const { interruption } = run;
    if (interruption?.kind === 'withdrawn') {
      await this.#written(job, () => this.#recordWithdrawal(job, run));
    } else if (interruption?.kind === 'again' && outcome.kind === 'handed-over') {
      // What the pull DP has taken is to be done in another way.
      await this.#written(job, () => this.#needs.jobs.dueAgain(job));
    }
    this.#running.delete(jobSerial);
    const { kind } = outcome;
    if (kind !== 'failed' && kind !== 'interrupted') await this.#measure(job, run, kind);
  }

  async #outcomeOf(job: DistributionJob, run: RunningJob): Promise<Outcome> {
    const { hierarchy, runner, retries } = this.#needs;
    const finished = new AbortController();
    const writing = this.#writeProgress(job, run.progress, finished.signal);
    const { progress, signal } = run;
    try {
      const dp = await hierarchy.require(job.dpId);
      const wasDiskFull = retries.wasDiskFull(job.jobSerial);
      return await runner.run({
        ...{ job, dp, progress, signal, wasDiskFull },
        onBegun: () => this.#begun(job),
        onWindowClosed: () => this.giveWay(job.jobSerial, 'window-closed', 'Its window is closed'),
      });
    } catch (error) {
      // That is no failure, and not remembered as one.
      return run.interruption ? { kind: 'interrupted' } : this.#failedTry(job, progress, error);
    } finally {
      finished.abort(workIsOver);
      await writing;
    }
  }

  /** Never rejects: that sending began counts less than that it goes on. */
  async #begun({ jobSerial }: DistributionJob): Promise<void> {
    try {
      await this.#needs.jobs.begun(jobSerial);
    } catch (err) {
      this.#needs.logger.warn({ jobSerial, err }, 'Begin of sending could not be written');
    }
  }

  #failedTry(job: DistributionJob, progress: TransferProgress, error: unknown): FailedTry {
    const { retries } = this.#needs;
    const failure = toJobFailure(error);
    const delayMs = retries.delayMs(job, failure, progress.acknowledgedBytes > 0);
    const isNews = retries.isFirstFailure(job.jobSerial);
    return { kind: 'failed', error, failure, delayMs, isNews };
  }

  /** Never rejects: how far a job is counts less than that it goes on. */
  async #writeProgress(
    { jobSerial }: DistributionJob,
    progress: TransferProgress,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, jobs, logger } = this.#needs;
    while (!signal.aborted) {
      try {
        await clock.sleep(this.#config.progressWriteMs, signal);
        await jobs.progressed(jobSerial, progress);
      } catch (err) {
        if (!isAbortError(err)) logger.warn({ jobSerial, err }, 'Progress could not be written');
      }
    }
  }

  /** Tries until the result is written, for a result that is lost would be a lost job. */
  async #written({ jobSerial }: DistributionJob, write: () => Promise<void>): Promise<void> {
    const { clock, logger, random } = this.#needs;
    for (let tryCount = 1; ; tryCount++) {
      try {
        return await write();
      } catch (err) {
        // The program stops: the job stays started, as after a crash.
        if (this.#stopped.aborted) return;
        logger.error({ jobSerial, err }, 'Result of a job could not be written yet');
      }
      const delay = { tryCount, firstMs: recordDelayMs, capMs: recordDelayMsMax, random };
      await clock.sleep(retryDelayMs(delay), this.#stopped).catch(ignoreAbort);
      if (this.#stopped.aborted) return;
    }
  }

  async #record(job: DistributionJob, run: RunningJob, outcome: Outcome): Promise<void> {
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

  async #recordInterruption(job: DistributionJob, run: RunningJob): Promise<void> {
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
    } else await this.#recordWithdrawal(job, run);
  }

  async #recordWithdrawal(job: DistributionJob, run: RunningJob): Promise<void> {
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

  /** What a transfer tells of its DP. */
  async #measure(
    job: DistributionJob,
    { progress, startedMs }: RunningJob,
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
    work: (hierarchy: RunningJobsComponents['hierarchy']) => Promise<unknown>,
  ): Promise<void> {
    try {
      await work(this.#needs.hierarchy);
    } catch (err) {
      this.#needs.logger.warn({ jobSerial, dpId, err }, 'State of a DP could not be noted');
    }
  }
}

import type { DistributionJob, WaitingReason } from '../../shared/domain/distribution-job.ts';
import { moved } from '../../shared/domain/distribution-job.ts';
import { ignoreAbort, isAbortError, workIsOver } from '../../shared/runtime/abort-error.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import { toJobFailure } from './job-failure.ts';
import type { JobRunner } from './job-run.ts';
import { RunInterrupted, type RunInterruption } from './run-interruption.ts';
import {
  type FailedTry,
  type Outcome,
  type RecordedRun,
  RunRecord,
  type RunRecordConfig,
  type RunRecordNeeds,
} from './run-record.ts';
import { TransferProgress } from './transfer-progress.ts';

export interface RunningJobsComponents extends RunRecordNeeds {
  readonly runner: Pick<JobRunner, 'run'>;
  readonly hierarchy: Pick<HierarchyManager, 'require'> & RunRecordNeeds['hierarchy'];
  readonly random: () => number;
  /** Called when a job does not run any more, or was not to be started. */
  readonly onEnded: () => void;
}

export interface RunningJobsConfig extends RunRecordConfig {
  /** How often a running job's row is written. @default 1_000 */
  readonly progressWriteMs: number;
}

/** A run that is under way. */
interface RunningJob extends RecordedRun {
  readonly controller: AbortController;
  /** Fires when the job is withdrawn or the program stops. */
  readonly signal: AbortSignal;
  interruption?: RunInterruption;
}

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
  readonly #record: RunRecord;
  readonly #running = new Map<number, RunningJob>();
  readonly #runs = new Set<Promise<void>>();

  /** @param stopped fires when the program stops */
  constructor(needs: RunningJobsComponents, config: RunningJobsConfig, stopped: AbortSignal) {
    this.#needs = needs;
    this.#config = config;
    this.#stopped = stopped;
    this.#record = new RunRecord(needs, config, stopped);
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
    // Whatever kept it from that may be over: an end that failed leaves it waiting as it was.
    if (!(await jobs.started(started))) return this.#needs.onEnded();
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
    await this.#written(job, () => this.#record.write(job, run, outcome));
    // Withdrawn while the result was written: it is not to go on, whatever that was. It counts as
    // running until that is written too, so that it cannot be started in between.
    const { interruption } = run;
    if (interruption?.kind === 'withdrawn') {
      await this.#written(job, () => this.#record.withdrawn(job, run));
    } else if (interruption?.kind === 'again' && outcome.kind === 'handed-over') {
      // What the pull DP has taken is to be done in another way.
      await this.#written(job, () => this.#needs.jobs.dueAgain(job));
    }
    this.#running.delete(jobSerial);
    const { kind } = outcome;
    if (kind !== 'failed' && kind !== 'interrupted') await this.#record.measure(job, run, kind);
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
}

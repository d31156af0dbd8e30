/**
 * Moves content to the DPs of this site: decides which jobs run, runs them, retries them, and tells
 * Distribution Manager how they ended. Woken by notifications "distribution-job", by DPs that come
 * back, and by the time a retry is due. Owns the tables "distribution jobs" and "job history". A
 * crash leaves jobs started; at the next start they run again and go on where the DP stands.
 */
import {
  type DistributionJob,
  isRunning,
  moved,
  type WaitingReason,
} from '../../shared/domain/distribution-job.ts';
import {
  decideQueue,
  type JobQueueLimits,
  type QueueDecision,
} from '../../shared/domain/job-queue.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import { type JobFailure, toJobFailure } from './job-failure.ts';
import type { JobRunner } from './job-run.ts';
import type { JobTable } from './job-table.ts';
import { RetryPolicy, type RetryPolicyConfig } from './retry-policy.ts';
import type { ReturnWatch } from './return-watch.ts';
import { TransferProgress } from './transfer-progress.ts';

export interface PackageTransferManagerComponents {
  readonly jobs: JobTable;
  readonly runner: JobRunner;
  readonly hierarchy: HierarchyManager;
  readonly returns: ReturnWatch;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

export interface PackageTransferManagerConfig extends JobQueueLimits, RetryPolicyConfig {
  /** How often a running job's row is written. @default 1_000 */
  readonly progressWriteMs: number;
}

export const defaultPackageTransferManagerConfig: PackageTransferManagerConfig = {
  packagesMax: 3,
  distributionPointsPerPackageMax: 5,
  retryCountMax: 100,
  retryDelayMs: 5_000,
  retryDelayMsMax: 30 * 60_000,
  diskFullDelayMs: 2_000,
  diskFullDelayMsMax: 30_000,
  progressWriteMs: 1_000,
};

/** Why a run was aborted, other than by the stop of the program. */
class JobWithdrawn extends Error {}

interface RunningJob {
  readonly progress: TransferProgress;
  readonly controller: AbortController;
  readonly startedMs: number;
  readonly ended: Promise<void>;
}

export class PackageTransferManager implements Component {
  readonly #needs: PackageTransferManagerComponents;
  readonly #config: PackageTransferManagerConfig;
  readonly #retries: RetryPolicy;
  readonly #stopped = new AbortController();
  readonly #wake = new WakeSignal();
  readonly #running = new Map<number, RunningJob>();
  #loop: Promise<void> = Promise.resolve();
  #decision: QueueDecision = { start: [], waiting: new Map(), nextDueMs: undefined };

  constructor(needs: PackageTransferManagerComponents, config: PackageTransferManagerConfig) {
    this.#needs = needs;
    this.#config = config;
    this.#retries = new RetryPolicy(config, needs.random);
  }

  async start(): Promise<void> {
    await this.#needs.jobs.load();
    for (const job of this.#needs.jobs.open()) {
      if (isRunning(job)) await this.#interrupted(job);
      else if (job.waitingReason === 'dp-unreachable') await this.#awaitReturn(job);
    }
    this.#needs.jobs.onNotified(() => this.#wake.wake());
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#loop;
    await Promise.allSettled([...this.#running.values()].map(({ ended }) => ended));
  }

  /** How far a running job is. */
  progressOf(jobSerial: number): TransferProgress | undefined {
    return this.#running.get(jobSerial)?.progress;
  }

  /** Why each job that does not run waits, by serial. */
  get waiting(): QueueDecision['waiting'] {
    return this.#decision.waiting;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await this.#takeNotifications();
      const nowMs = this.#needs.clock.nowMs();
      this.#decision = decideQueue(this.#needs.jobs.open(), this.#config, nowMs);
      for (const job of this.#decision.start) await this.#startJob(job);
      await this.#nextEvent(nowMs);
    }
  }

  async #nextEvent(nowMs: number): Promise<void> {
    const due = new AbortController();
    const signal = AbortSignal.any([this.#stopped.signal, due.signal]);
    const events: Promise<void>[] = [this.#wake.wait(signal)];
    const { nextDueMs } = this.#decision;
    if (nextDueMs !== undefined) {
      events.push(this.#needs.clock.sleep(Math.max(0, nextDueMs - nowMs), signal));
    }
    try {
      await Promise.race(events);
    } catch (error) {
      if (!isAbortError(error)) throw error;
    } finally {
      due.abort();
      await Promise.allSettled(events);
    }
  }

  /** New jobs join the queue, and withdraw older ones for the same package and DP. */
  async #takeNotifications(): Promise<void> {
    for await (const { job, superseded } of this.#needs.jobs.takeNotified()) {
      for (const older of superseded) await this.#withdraw(older, 'A newer job took over');
      const dp = await this.#needs.hierarchy.get(job.dpId);
      if (!dp) await this.#withdraw(job, 'The distribution point was deleted');
      else if (job.waitingReason === 'dp-unreachable') await this.#awaitReturn(job);
    }
  }

  async #withdraw(job: DistributionJob, reason: string): Promise<void> {
    const running = this.#running.get(job.jobSerial);
    if (running) running.controller.abort(new JobWithdrawn(reason));
    else await this.#needs.jobs.end(job, 'cancelled', { reason });
  }

  /** After a crash: the run is gone, the job is due at once. */
  async #interrupted(job: DistributionJob): Promise<void> {
    await this.#needs.jobs.put(
      moved(job, 'pending-restart', {
        reason: 'The site server was restarted',
        restartAtMs: 0,
        updatedAtMs: this.#needs.clock.nowMs(),
      }),
    );
  }

  async #startJob(job: DistributionJob): Promise<void> {
    const { clock, jobs } = this.#needs;
    const nowMs = clock.nowMs();
    const started = moved(job, 'started', {
      reason: '',
      restartAtMs: 0,
      startedAtMs: job.startedAtMs || nowMs,
      tryCount: job.tryCount + 1,
      updatedAtMs: nowMs,
    });
    await jobs.started(started);
    const progress = new TransferProgress(clock.monotonicMs, () => jobs.touched(job.jobSerial));
    const controller = new AbortController();
    const startedMs = clock.monotonicMs();
    const ended = this.#runJob(started, progress, controller);
    this.#running.set(job.jobSerial, { progress, controller, startedMs, ended });
    void ended.finally(() => {
      this.#running.delete(job.jobSerial);
      this.#wake.wake();
    });
  }

  async #runJob(
    job: DistributionJob,
    progress: TransferProgress,
    controller: AbortController,
  ): Promise<void> {
    const { hierarchy, runner, logger } = this.#needs;
    const signal = AbortSignal.any([this.#stopped.signal, controller.signal]);
    const finished = new AbortController();
    const writing = this.#writeProgress(job, progress, finished.signal);
    const { jobSerial, packageId, dpId } = job;
    logger.info({ jobSerial, packageId, dpId, action: job.action }, 'Sending job started');
    try {
      const dp = await hierarchy.require(dpId);
      const neededBytes = this.#retries.neededBytesOf(jobSerial);
      const verifiedHash = await runner.run({ job, dp, progress, signal, neededBytes });
      finished.abort();
      await writing;
      await this.#complete(job, progress, verifiedHash);
    } catch (error) {
      finished.abort();
      await writing;
      await this.#onFailure(job, progress, controller.signal.reason ?? error);
    }
  }

  async #writeProgress(
    job: DistributionJob,
    progress: TransferProgress,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      for (;;) {
        await this.#needs.clock.sleep(this.#config.progressWriteMs, signal);
        await this.#needs.jobs.progressed(job.jobSerial, progress);
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    }
  }

  async #complete(
    job: DistributionJob,
    progress: TransferProgress,
    verifiedHash: string | undefined,
  ): Promise<void> {
    const { hierarchy, jobs, clock, logger } = this.#needs;
    const startedMs = this.#running.get(job.jobSerial)?.startedMs ?? clock.monotonicMs();
    const durationMs = Math.round(clock.monotonicMs() - startedMs);
    await jobs.complete(job, progress, verifiedHash);
    this.#retries.forget(job.jobSerial);
    const { jobSerial, packageId, dpId } = job;
    const sizeBytes = progress.sentBytes;
    logger.info({ jobSerial, packageId, dpId, sizeBytes, durationMs }, 'Sending job completed');
    await hierarchy.recordReachability(dpId);
    if (sizeBytes > 1_000_000 && durationMs > 0) {
      await hierarchy.recordTransferRate(dpId, (sizeBytes * 1000) / durationMs);
    }
  }

  async #onFailure(
    job: DistributionJob,
    progress: TransferProgress,
    error: unknown,
  ): Promise<void> {
    if (error instanceof JobWithdrawn) {
      await this.#needs.jobs.end(job, 'cancelled', { reason: error.message, progress });
      return;
    }
    // The program stops: the job stays started, as after a crash.
    if (this.#stopped.signal.aborted) return;
    const failure = toJobFailure(error, progress.remainingBytes);
    const { jobSerial, packageId, dpId } = job;
    this.#needs.logger.warn(
      { jobSerial, packageId, dpId, err: error },
      'Sending job did not end well',
    );
    if (failure.kind === 'superseded') {
      await this.#needs.jobs.end(job, 'cancelled', { reason: failure.reason, progress });
    } else if (this.#isLastTry(job, failure)) {
      await this.#needs.jobs.end(job, 'failed', { reason: failure.reason, progress });
    } else {
      await this.#retryLater(job, progress, failure);
    }
  }

  /** A full disk is waited for however long it takes: somebody has to make room. */
  #isLastTry(job: DistributionJob, { waitingReason }: JobFailure): boolean {
    return waitingReason !== 'disk-full-at-dp' && job.tryCount >= this.#config.retryCountMax;
  }

  async #retryLater(
    job: DistributionJob,
    progress: TransferProgress,
    failure: JobFailure,
  ): Promise<void> {
    const { clock, jobs, hierarchy } = this.#needs;
    const delayMs = this.#retries.delayMs(job, failure, progress.acknowledgedBytes > 0);
    const { waitingReason, reason } = failure;
    const restartAtMs = clock.nowMs() + delayMs;
    const isNews = this.#retries.isFirstFailure(job.jobSerial);
    const wait = { waitingReason, reason, restartAtMs, isNews };
    const waiting = await jobs.retryLater(job, progress, wait);
    if (waitingReason !== 'dp-unreachable') return;
    await hierarchy.recordReachability(job.dpId, reason);
    if (waiting) await this.#awaitReturn(waiting);
  }

  /** A DP that comes back is served at once, not when its retry is due. */
  async #awaitReturn(job: DistributionJob): Promise<void> {
    const dp = await this.#needs.hierarchy.get(job.dpId);
    if (!dp) return;
    this.#needs.returns.watch(dp, this.#stopped.signal, async () => {
      await this.#makeDue(job.dpId, 'dp-unreachable');
    });
  }

  async #makeDue(dpId: string, reason: WaitingReason): Promise<void> {
    const restartAtMs = this.#needs.clock.nowMs();
    for (const job of this.#needs.jobs.open()) {
      if (job.dpId !== dpId || job.waitingReason !== reason) continue;
      if (job.restartAtMs <= restartAtMs || isRunning(job)) continue;
      const dueAtMs = restartAtMs + this.#retries.returnDelayMs(job.jobSerial);
      await this.#needs.jobs.put({ ...job, restartAtMs: Math.min(job.restartAtMs, dueAtMs) });
    }
    this.#wake.wake();
  }
}

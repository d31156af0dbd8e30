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
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import {
  decideQueue,
  type JobQueueLimits,
  type QueueDecision,
} from '../../shared/domain/job-queue.ts';
import { isAbortError, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { JobRunner } from './job-run.ts';
import type { JobTable } from './job-table.ts';
import { RetryPolicy, type RetryPolicyConfig } from './retry-policy.ts';
import type { ReturnWatch } from './return-watch.ts';
import { RunningJobs, type RunningJobsConfig } from './running-jobs.ts';
import type { TransferProgress } from './transfer-progress.ts';

export interface PackageTransferManagerComponents {
  readonly jobs: JobTable;
  readonly runner: Pick<JobRunner, 'run'>;
  readonly hierarchy: Pick<
    HierarchyManager,
    'get' | 'require' | 'recordReachability' | 'recordTransferRate'
  >;
  readonly returns: Pick<ReturnWatch, 'watch' | 'forget'>;
  readonly clock: Clock;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  readonly logger: Logger;
}

export interface PackageTransferManagerConfig
  extends JobQueueLimits,
    RetryPolicyConfig,
    RunningJobsConfig {}

export class PackageTransferManager implements Component {
  readonly #needs: PackageTransferManagerComponents;
  readonly #config: PackageTransferManagerConfig;
  readonly #retries: RetryPolicy;
  readonly #running: RunningJobs;
  readonly #stopped = new AbortController();
  readonly #wake = new WakeSignal();
  #holdReason = '';
  #unsubscribe: () => void = () => {};
  #loop: Promise<void> = Promise.resolve();
  #decision: QueueDecision = { start: [], waiting: new Map(), nextDueMs: undefined };

  constructor(needs: PackageTransferManagerComponents, config: PackageTransferManagerConfig) {
    this.#needs = needs;
    this.#config = config;
    this.#retries = new RetryPolicy(config, needs.random);
    const onUnreachable = (job: DistributionJob) => this.#awaitReturn(job);
    const onEnded = () => this.#wake.wake();
    const components = { ...needs, retries: this.#retries, onUnreachable, onEnded };
    this.#running = new RunningJobs(components, config, this.#stopped.signal);
  }

  async start(): Promise<void> {
    await this.#needs.jobs.load();
    await this.#repair();
    this.#unsubscribe = this.#needs.jobs.onNotified(() => this.#wake.wake());
    this.#loop = this.#run();
  }

  /** Leaves rows as a crash would: what runs stays started. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#unsubscribe();
    await this.#loop;
    await this.#running.whenIdle();
  }

  /** How far a running job is. */
  progressOf(jobSerial: number): TransferProgress | undefined {
    return this.#running.progressOf(jobSerial);
  }

  /** Why each job that does not run waits, by serial. */
  get waiting(): QueueDecision['waiting'] {
    return this.#decision.waiting;
  }

  /** Why no job is begun at all; empty when all is well. No row tells it: none can be written. */
  get holdReason(): string {
    return this.#holdReason;
  }

  #held(reason: string): void {
    if (this.#holdReason === reason) return;
    this.#holdReason = reason;
    for (const { jobSerial } of [...this.#needs.jobs.open()]) this.#needs.jobs.touched(jobSerial);
  }

  /** After a crash: runs are gone, and what was to be withdrawn may still be there. */
  async #repair(): Promise<void> {
    const { jobs } = this.#needs;
    for (const job of [...jobs.open()]) if (isRunning(job)) await this.#interrupted(job);
    for (const job of jobs.superseded()) await this.#withdraw(job, supersededReason);
    for (const job of [...jobs.open()]) await this.#lookAtDistributionPoint(job);
  }

  /** The run is gone, the job is due at once; that it was cut off is not the DP's failure. */
  async #interrupted(job: DistributionJob): Promise<void> {
    await this.#needs.jobs.put(
      moved(job, 'pending-restart', {
        reason: 'The site server was restarted',
        restartAtMs: 0,
        tryCount: 0,
        updatedAtMs: this.#needs.clock.nowMs(),
      }),
    );
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    let failureCount = 0;
    while (!signal.aborted) {
      const hadRoom = await this.#turn();
      failureCount = hadRoom ? 0 : failureCount + 1;
      await (hadRoom ? this.#nextEvent() : this.#untilThereMayBeRoom(failureCount));
    }
  }

  /** @returns false when the disk of this site is full: then all stays as it is */
  async #turn(): Promise<boolean> {
    const { jobs, clock, logger } = this.#needs;
    try {
      await this.#takeNotifications();
      this.#decision = decideQueue(jobs.open(), this.#config, clock.nowMs());
      for (const { jobSerial } of this.#decision.start) {
        const job = jobs.get(jobSerial);
        // One whose last result is just being written starts when that is done.
        if (!job || this.#running.has(jobSerial) || this.#stopped.signal.aborted) continue;
        await this.#running.start(job);
      }
      await jobs.trimHistory();
      this.#held('');
      return true;
    } catch (error) {
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
      this.#held(`The site server cannot go on: ${error.message}`);
      logger.warn({ err: error }, 'Disk of the site server is full');
      return false;
    }
  }

  async #untilThereMayBeRoom(tryCount: number): Promise<void> {
    const { diskFullDelayMs: firstMs, diskFullDelayMsMax: capMs } = this.#config;
    const { clock, random } = this.#needs;
    const delayMs = retryDelayMs({ tryCount, firstMs, capMs, random });
    await clock.sleep(delayMs, this.#stopped.signal).catch(ignoreAbort);
  }

  /** Until something was notified, a run has ended, or the next job is due. */
  async #nextEvent(): Promise<void> {
    const over = new AbortController();
    const signal = AbortSignal.any([this.#stopped.signal, over.signal]);
    const events: Promise<void>[] = [this.#wake.wait(signal)];
    const { nextDueMs } = this.#decision;
    if (nextDueMs !== undefined) {
      const { clock } = this.#needs;
      // The turn itself took time: it is not waited for twice.
      events.push(clock.sleep(Math.max(0, nextDueMs - clock.nowMs()), signal));
    }
    try {
      await Promise.race(events);
    } catch (error) {
      ignoreAbort(error);
    } finally {
      over.abort(workIsOver);
      await Promise.allSettled(events);
    }
  }

  /** New jobs join the queue, and withdraw older ones for the same package and DP. */
  async #takeNotifications(): Promise<void> {
    for await (const { job, superseded } of this.#needs.jobs.takeNotified()) {
      for (const older of superseded) await this.#withdraw(older, supersededReason);
      await this.#lookAtDistributionPoint(job);
    }
  }

  async #lookAtDistributionPoint(job: DistributionJob): Promise<void> {
    const { hierarchy, returns } = this.#needs;
    if (!(await hierarchy.get(job.dpId))) {
      returns.forget(job.dpId);
      await this.#withdraw(job, 'The distribution point was deleted');
    } else if (job.waitingReason === 'dp-unreachable') await this.#awaitReturn(job);
  }

  async #withdraw(job: DistributionJob, reason: string): Promise<void> {
    if (this.#running.withdraw(job.jobSerial, reason)) return;
    await this.#needs.jobs.end(job, 'cancelled', { reason });
    this.#retries.forget(job.jobSerial);
  }

  /** A DP that comes back is served at once, not when its retry is due. */
  async #awaitReturn({ dpId }: DistributionJob): Promise<void> {
    const dp = await this.#needs.hierarchy.get(dpId);
    if (!dp) return;
    const onReturn = () => this.#makeDue(dpId, 'dp-unreachable');
    this.#needs.returns.watch(dp, this.#stopped.signal, onReturn);
  }

  async #makeDue(dpId: string, reason: WaitingReason): Promise<void> {
    const { clock, jobs } = this.#needs;
    const nowMs = clock.nowMs();
    for (const job of [...jobs.open()]) {
      if (job.dpId !== dpId) continue;
      const current = jobs.get(job.jobSerial);
      if (current?.waitingReason !== reason || current.restartAtMs <= nowMs) continue;
      const dueAtMs = nowMs + this.#retries.returnDelayMs(job.jobSerial);
      await jobs.put({ ...current, restartAtMs: Math.min(current.restartAtMs, dueAtMs) });
    }
    this.#wake.wake();
  }
}

const supersededReason = 'A newer job took over';

function ignoreAbort(error: unknown): void {
  if (!isAbortError(error)) throw error;
}

/**
 * Moves content to the DPs of this site: decides which jobs run, runs them, retries them, and tells
 * Distribution Manager how they ended. Woken by notifications "distribution-job", by DPs that come
 * back, by sources of pull DPs that get content, by what pull DPs say, and by the time a retry is due.
 * Owns the tables "distribution jobs" and "job history". A crash leaves jobs started; at the next
 * start they run again and go on where the DP stands.
 */
import { contentNamesOf } from '../../shared/domain/content-location.ts';
import {
  type DistributionJob,
  isRunning,
  isStartable,
  isWithPullDp,
  moved,
  takenBack,
  type WaitingReason,
} from '../../shared/domain/distribution-job.ts';
import type { DistributionPointKind } from '../../shared/domain/distribution-point.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { decideQueue, type QueueDecision } from '../../shared/domain/job-queue.ts';
import type { JobQueueLimits } from '../../shared/domain/job-slots.ts';
import { cancelledReason } from '../../shared/domain/package-status-moves.ts';
import type { PullWord } from '../../shared/domain/pull-effect.ts';
import type { RemainingTransfer } from '../../shared/domain/transfer-pace.ts';
import { ignoreAbort, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { ContentDpMap } from '../hierarchy-manager/content-dp-map.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import type { JobCancellation } from './job-cancellation.ts';
import type { JobRunner } from './job-run.ts';
import type { JobTable } from './job-table.ts';
import type { PullConfig } from './pull-config.ts';
import { type FetchedBytes, PullMeasure } from './pull-measure.ts';
import type { PullNotification } from './pull-notification.ts';
import { PullPoll } from './pull-poll.ts';
import { PullReports } from './pull-reports.ts';
import { noteRate } from './rate-notes.ts';
import { RetryPolicy, type RetryPolicyConfig } from './retry-policy.ts';
import type { ReturnWatch } from './return-watch.ts';
import { RunningJobs, type RunningJobsConfig } from './running-jobs.ts';
import { SourceNews } from './source-news.ts';
import { SuspendedPulls } from './suspended-pulls.ts';
import type { TransferPermits } from './transfer-permits.ts';
import type { TransferProgress } from './transfer-progress.ts';

export interface PackageTransferManagerComponents {
  readonly store: Pick<StateStore, 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'subscribe' | 'pending' | 'handled'>;
  readonly packages: Pick<PackageStore, 'packages' | 'turn' | 'retryingChanges'>;
  readonly contentMap: Pick<ContentDpMap, 'notArriving'>;
  readonly status: StatusReporter;
  readonly jobs: JobTable;
  readonly runner: Pick<JobRunner, 'run'>;
  readonly notification: Pick<
    PullNotification,
    'query' | 'look' | 'sourcesOf' | 'sourcesChanged' | 'suspend'
  >;
  readonly cancellation: Pick<JobCancellation, 'complete' | 'confirmedBy'>;
  readonly hierarchy: Pick<
    HierarchyManager,
    'get' | 'kindOf' | 'require' | 'recordReachability' | 'recordTransferRate'
  >;
  readonly permits: Pick<
    TransferPermits,
    'heed' | 'hindranceOf' | 'etaMs' | 'opensAtMs' | 'onChanged'
  >;
  readonly returns: Pick<ReturnWatch, 'watch' | 'forget'>;
  /** Told after each change of what limits it. @default never */
  readonly settings?: { onChanged(listener: () => void): () => void };
  readonly clock: Clock;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  readonly logger: Logger;
}

export interface PackageTransferManagerConfig
  extends JobQueueLimits,
    RetryPolicyConfig,
    RunningJobsConfig {
  readonly pull: PullConfig;
}

export class PackageTransferManager implements Component {
  readonly #needs: PackageTransferManagerComponents;
  readonly #config: PackageTransferManagerConfig;
  readonly #retries: RetryPolicy;
  readonly #running: RunningJobs;
  readonly #stopped = new AbortController();
  readonly #wake = new WakeSignal();
  readonly #reports: PullReports;
  readonly #poll: PullPoll;
  readonly #news: SourceNews;
  readonly #suspended: SuspendedPulls;
  readonly #measure: PullMeasure;
  /** The kind of its DP when each open job was last looked at. */
  readonly #kindOf = new Map<number, DistributionPointKind>();
  #holdReason = '';
  #unsubscribe: () => void = () => {};
  #loop: Promise<void> = Promise.resolve();
  #decision: QueueDecision = {
    ...{ start: [], giveWay: [], waiting: new Map(), withoutRoom: [], nextDueMs: undefined },
  };

  constructor(needs: PackageTransferManagerComponents, config: PackageTransferManagerConfig) {
    this.#needs = needs;
    this.#config = config;
    this.#retries = new RetryPolicy(config, needs.random);
    const onUnreachable = (job: DistributionJob) => this.#awaitReturn(job);
    const onEnded = () => this.#wake.wake();
    const onNoSource = ({ packageId }: DistributionJob) => this.#news.look(packageId);
    const retries = this.#retries;
    const components = { ...needs, retries, onUnreachable, onNoSource, onEnded };
    this.#running = new RunningJobs(components, config, this.#stopped.signal);
    const kindOf = (dpId: string) => needs.hierarchy.kindOf(dpId);
    this.#suspended = new SuspendedPulls(needs, this.#stopped.signal);
    const onSuspendedHeard = (job: DistributionJob) => this.#suspended.tell(job);
    const pull = { ...needs, retries, kindOf, onRoom: onEnded, onDue: onEnded, onSuspendedHeard };
    this.#reports = new PullReports(pull, config);
    this.#poll = new PullPoll({ ...pull, reports: this.#reports }, config.pull);
    this.#news = new SourceNews(pull);
    const onMeasured = (dpId: string, fetched: FetchedBytes) => void this.#noteRate(dpId, fetched);
    this.#measure = new PullMeasure({ ...needs, onMeasured });
  }

  async start(): Promise<void> {
    const { jobs } = this.#needs;
    await jobs.load();
    await this.#repair();
    const unsubscribes = [
      this.#needs.settings?.onChanged(() => this.#wake.wake()) ?? (() => {}),
      this.#needs.jobs.onNotified(() => this.#wake.wake()),
      this.#needs.permits.onChanged(() => this.#wake.wake()),
      this.#needs.jobs.onChanged((job) => {
        this.#needs.permits.heed(job);
        if (job.endedAtMs > 0) this.#kindOf.delete(job.jobSerial);
      }),
      this.#measure.follow(jobs),
    ];
    this.#unsubscribe = () => {
      for (const unsubscribe of unsubscribes) unsubscribe();
    };
    this.#loop = this.#run();
    this.#suspended.start();
    await this.#news.start();
    await this.#poll.start();
  }

  /** Leaves rows as a crash would: what runs stays started. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#unsubscribe();
    await this.#poll.stop();
    await this.#news.stop();
    await this.#loop;
    await this.#suspended.whenIdle();
    await this.#running.whenIdle();
  }

  /**
   * Takes what a pull DP said of a job, with changes that belong into the same batch. What is late, or
   * about nothing that is open, changes nothing else.
   */
  heard(word: PullWord, others: readonly Change[]): Promise<void> {
    return this.#reports.take(word, others);
  }

  /** An administrator has ended a job, or suspended it, in its row: what runs of it stops. */
  stopped(jobSerial: number, how: 'cancelled' | 'suspended'): void {
    if (how === 'cancelled') {
      this.#running.withdraw(jobSerial, cancelledReason);
      this.#retries.forget(jobSerial);
      return;
    }
    this.#running.again(jobSerial);
    const job = this.#needs.jobs.get(jobSerial);
    if (job) this.#suspended.tell(job);
  }

  /** An administrator has changed jobs: what is to run now is decided anew, and `waiting` says it at once. */
  steered(): void {
    this.#decide(this.#queueDecision());
    this.#wake.wake();
  }

  /** How far a running job is. */
  progressOf(jobSerial: number): TransferProgress | undefined {
    return this.#running.progressOf(jobSerial);
  }

  /** What holds a running job back: a limit, or one of higher priority; undefined when nothing does. */
  hindranceOf(jobSerial: number): string | undefined {
    return this.#needs.permits.hindranceOf(jobSerial);
  }

  /** Milliseconds until a job that runs, or that a pull DP has, is done; 0 when nobody can say. */
  etaMs(job: DistributionJob, remaining: RemainingTransfer): number {
    return this.#needs.permits.etaMs(job, remaining);
  }

  /** Why each job that does not run waits, by serial. */
  get waiting(): QueueDecision['waiting'] {
    return this.#decision.waiting;
  }

  /** Why no job is begun at all; empty when all is well. No row tells it: none can be written. */
  get holdReason(): string {
    return this.#holdReason;
  }

  /** Never rejects: what was measured is no part of a job's result. */
  async #noteRate(dpId: string, fetched: FetchedBytes): Promise<void> {
    try {
      await noteRate(this.#needs, dpId, fetched);
    } catch (err) {
      this.#needs.logger.warn({ dpId, err }, 'Rate of a pull DP could not be noted');
    }
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
    const { jobs, logger } = this.#needs;
    try {
      await this.#takeNotifications();
      this.#decide(this.#queueDecision());
      for (const { jobSerial } of this.#decision.start) {
        const job = jobs.get(jobSerial);
        // One whose last result is just being written starts when that is done.
        if (!job || this.#running.has(jobSerial) || this.#stopped.signal.aborted) continue;
        // A pull DP may have said meanwhile that it has it.
        if (isStartable(job)) await this.#running.start(job);
      }
      for (const { jobSerial } of this.#decision.giveWay) {
        this.#running.giveWay(jobSerial, 'slot', overtakenReason);
      }
      await this.#tellOfCapacity();
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

  #queueDecision(): QueueDecision {
    const { jobs, clock, permits } = this.#needs;
    return decideQueue(jobs.inOrder(), this.#config, clock.nowMs(), {
      pull: this.#pullQueue,
      opensAtMs: (job, nowMs) => permits.opensAtMs(job, nowMs),
    });
  }

  /** Whoever watches jobs hears why one waits: no row tells it. */
  #decide(decision: QueueDecision): void {
    const before = this.#decision;
    this.#decision = decision;
    if (!this.#needs.jobs.isWatched) return;
    for (const [jobSerial, { waitingReason, opensAtMs }] of decision.waiting) {
      const was = before.waiting.get(jobSerial);
      if (was?.waitingReason === waitingReason && was.opensAtMs === opensAtMs) continue;
      this.#needs.jobs.touched(jobSerial);
    }
  }

  get #pullQueue() {
    const isPullDp = (dpId: string) => this.#needs.hierarchy.kindOf(dpId) === 'pull';
    const { notificationsMax, jobsMax } = this.#config.pull;
    return { isPullDp, notificationsMax, jobsMax };
  }

  async #tellOfCapacity(): Promise<void> {
    const { jobs } = this.#needs;
    const { jobsMax } = this.#config.pull;
    for (const { jobSerial, waitingReason } of this.#decision.withoutRoom) {
      if (waitingReason !== 'capacity') await jobs.waitsForCapacity(jobSerial, jobsMax);
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
      // The turn itself took time: it is not waited for twice. A clock may be set meanwhile.
      const waitMs = Math.min(lookAgainMs, Math.max(0, nextDueMs - clock.nowMs()));
      events.push(clock.sleep(waitMs, signal));
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
      // An administrator may have named other sources.
      const current = this.#needs.jobs.get(job.jobSerial);
      if (current && isWithPullDp(current)) this.#news.look(job.packageId);
    }
  }

  async #lookAtDistributionPoint(job: DistributionJob): Promise<void> {
    const { hierarchy, returns } = this.#needs;
    const dp = await hierarchy.get(job.dpId);
    if (!dp) {
      returns.forget(job.dpId);
      return this.#withdraw(job, 'The distribution point was deleted');
    }
    if (job.waitingReason === 'dp-unreachable') await this.#awaitReturn(job);
    await this.#heedKind(job.jobSerial, dp.kind);
  }

  /** A job goes on in the way of its DP's kind, whichever it began in (ROLE-2). */
  async #heedKind(jobSerial: number, kind: DistributionPointKind): Promise<void> {
    const job = this.#needs.jobs.get(jobSerial);
    if (!job) return;
    const hasChanged = (this.#kindOf.get(jobSerial) ?? kind) !== kind;
    this.#kindOf.set(jobSerial, kind);
    if (isWithPullDp(job)) {
      if (kind === 'standard') await this.#takeBack(job);
    } else if (hasChanged && this.#running.has(jobSerial)) {
      this.#running.again(jobSerial);
    } else if (hasChanged || job.waitingReason === 'no-source') {
      await this.#needs.jobs.put({ ...job, restartAtMs: 0 });
    }
  }

  /** What a pull DP had taken is pushed now: due at once, and not arriving there for others. */
  async #takeBack({ jobSerial, packageId, dpId, sourceVersion }: DistributionJob): Promise<void> {
    const { clock, contentMap, jobs, packages } = this.#needs;
    await packages.turn(packageId, async () => {
      const names = contentNamesOf(await packages.packages.get(packageId), packageId);
      const gone = await contentMap.notArriving({ dpId, sourceVersion }, names);
      const due = { reason: '', restartAtMs: 0, updatedAtMs: clock.nowMs() };
      const change = (job: DistributionJob) => ({
        job: moved(takenBack(job), 'pending-restart', due),
      });
      await jobs.changed(jobSerial, change, gone);
    });
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
    for (const job of jobs.at(dpId)) {
      const current = jobs.get(job.jobSerial);
      if (current?.waitingReason !== reason || current.restartAtMs <= nowMs) continue;
      const dueAtMs = nowMs + this.#retries.returnDelayMs(job.jobSerial);
      await jobs.put({ ...current, restartAtMs: Math.min(current.restartAtMs, dueAtMs) });
    }
    this.#wake.wake();
  }
}

const supersededReason = 'A newer job took over';
const overtakenReason = 'A package of higher priority took its place';
/** Longest sleep while a job waits for a time: so long may the machine's clock be wrong unseen. */
const lookAgainMs = 30_000;

import type { ValidationReport } from '../../shared/domain/content-validation.ts';
import {
  type DistributionJob,
  isRunning,
  isWithPullDp,
  type JobState,
  moved,
  reporting,
  takenBack,
  type WaitingReason,
} from '../../shared/domain/distribution-job.ts';
import type { JobPlace } from '../../shared/domain/job-order.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { Tally } from '../../shared/runtime/tally.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import {
  isStarted,
  type JobChange,
  type JobHandover,
  type JobResult,
  type NotifiedJob,
  toEnded,
  toWaitingForRetry,
  toWithPullDp,
  withProgress,
} from './job-changes.ts';
import { JobHistory, type JobHistoryConfig } from './job-history.ts';
import { JobIntake } from './job-intake.ts';
import { beginMessages, endMessages, retryReport, waitMessages } from './job-messages.ts';
import { reprioritised } from './job-ranks.ts';
import { type JobTarget, OpenJobs, type OpenJobsFollower } from './open-jobs.ts';
import type { TransferProgress } from './transfer-progress.ts';

/** Hears of each change of a job. */
type JobListener = (job: DistributionJob) => void;

/** How a job ends. */
export type EndedJobState = 'complete' | 'failed' | 'cancelled';

export interface JobTableNeeds {
  readonly store: StateStore;
  readonly notifier: ChangeNotifier;
  readonly packages: Pick<PackageStore, 'packages' | 'turn' | 'retryingChanges'>;
  readonly status: StatusReporter;
  readonly clock: Clock;
}

/**
 * The tables "distribution jobs" and "job history", with all open jobs in memory. Every change of
 * a job is one batch with what it means to others: status messages, package status, notification.
 */
export class JobTable {
  readonly #needs: JobTableNeeds;
  readonly #history: JobHistory;
  readonly #open = new OpenJobs();
  /** Jobs whose end is being written, until it is or could not be: nothing else is written of them. */
  readonly #ending = new Map<number, Promise<unknown>>();
  readonly #ended = new Tally<EndedJobState>();
  readonly #listeners = new Set<JobListener>();
  readonly #intake: JobIntake;

  constructor(needs: JobTableNeeds, config: JobHistoryConfig = { jobHistoryCountMax: 100_000 }) {
    this.#needs = needs;
    this.#history = new JobHistory(needs, config);
    const put = (job: DistributionJob) => this.put(job);
    const onJoined = (job: DistributionJob) => this.#tell(job);
    this.#intake = new JobIntake({ ...needs, open: this.#open, put, onJoined });
  }

  /** Reads the open jobs; once, before anything else. */
  async load(): Promise<void> {
    for await (const [, job] of this.#jobs.list()) this.#open.set(job);
    await this.reprioritise([...this.#open.values()].map(({ dpId }) => dpId));
  }

  /** All open jobs, in no order. */
  open(): Iterable<DistributionJob> {
    return this.#open.values();
  }

  /** How many open jobs are in a state. */
  countOf(state: JobState): number {
    return this.#open.countOf(state);
  }

  /** How many have ended so since this program began. */
  endedCountOf(state: EndedJobState): number {
    return this.#ended.of(state);
  }

  /** Up to so many open jobs in the order of the queue: the first ones, or those behind a place. */
  inOrder(countMax: number, behind?: JobPlace): DistributionJob[] {
    return this.#open.inOrder(countMax, behind);
  }

  /** Tells the follower of all open jobs, and from now on of each change, before anybody else hears of it. */
  followedBy(follower: OpenJobsFollower): void {
    this.#open.followedBy(follower);
  }

  /** All open jobs for a DP, oldest first. */
  at(dpId: string): DistributionJob[] {
    return this.#open.at(dpId);
  }

  /** All open jobs of a package, oldest first. */
  ofPackage(packageId: string): DistributionJob[] {
    return this.#open.ofPackage(packageId);
  }

  /** An open job as it is now. */
  get(jobSerial: number): DistributionJob | undefined {
    return this.#open.get(jobSerial);
  }

  /** All open jobs for the package and DP of this one, oldest first. */
  sameTargetAs(job: JobTarget): DistributionJob[] {
    return this.#open.sameTargetAs(job);
  }

  /** How far an open job came with its last try, 0 to 100; undefined when the DP was never asked. */
  percentOf(jobSerial: number): number | undefined {
    const { totalBytes = 0, remainingBytes = 0 } = this.#open.get(jobSerial) ?? {};
    if (totalBytes === 0) return undefined;
    return Math.floor((100 * (totalBytes - remainingBytes)) / totalBytes);
  }

  /** Open jobs that a newer one for the same package and DP has taken over from. */
  superseded(): DistributionJob[] {
    return this.#intake.superseded();
  }

  /** Calls the listener after each change of a job, its end and its progress included. */
  onChanged(listener: JobListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Wakes when jobs were made or changed by others. */
  onNotified(wake: () => void): () => void {
    return this.#needs.notifier.subscribe('distribution-job', wake);
  }

  /**
   * The jobs others have made, or of which something else was changed; each joins the open jobs. A
   * notification is handled when the next one is asked for.
   */
  takeNotified(): AsyncGenerator<NotifiedJob> {
    return this.#intake.takeNotified();
  }

  /**
   * The job runs from now on. One that is just ending is waited for: its end may fail, and then nobody else
   * lets it run.
   *
   * @returns false when it must not: it has ended, was just ending before this, or is suspended
   */
  async started(job: DistributionJob): Promise<boolean> {
    const { jobSerial } = job;
    const isLive = this.#isLive(jobSerial);
    if (isLive) await this.#write(job, []);
    await this.#endSettled(jobSerial);
    return isLive && this.#open.get(jobSerial)?.state === 'started';
  }

  /** The DP has taken the job: told once, however many runs the job takes. */
  async begun(jobSerial: number): Promise<void> {
    const job = this.#open.get(jobSerial);
    if (!job || job.begunAtMs !== undefined || !this.#isLive(jobSerial)) return;
    const begun = { ...job, begunAtMs: this.#nowMs };
    await this.#write(begun, beginMessages(this.#needs.status, begun));
  }

  /** The job as it is now; nothing when it has ended meanwhile. */
  async put(job: DistributionJob): Promise<void> {
    if (this.#isLive(job.jobSerial)) await this.#write(job, []);
  }

  /** DPs may have another priority now. The rows follow with what else changes of them. */
  async reprioritise(dpIds: Iterable<string>): Promise<void> {
    for (const job of await reprioritised(this.#needs.store, this.#open, dpIds)) this.#tell(job);
  }

  /** Tells listeners that the progress of a job has changed. */
  touched(jobSerial: number): void {
    const job = this.#open.get(jobSerial);
    if (job) this.#tell(job);
  }

  /** Writes how far a running job is. */
  async progressed(jobSerial: number, progress: TransferProgress): Promise<void> {
    const job = this.#open.get(jobSerial);
    if (!job) return;
    const next = withProgress(job, progress, this.#nowMs);
    const inProgress = job.state === 'started' && progress.acknowledgedBytes > 0;
    await this.put(inProgress ? moved(next, 'in-progress', { updatedAtMs: this.#nowMs }) : next);
  }

  /**
   * The job waits for its next try; undefined when it has ended meanwhile.
   *
   * @param wait.isNews false for one more failure like the last: no further status message
   */
  async retryLater(
    job: DistributionJob,
    progress: TransferProgress,
    wait: { waitingReason: WaitingReason; reason: string; restartAtMs: number; isNews: boolean },
  ): Promise<DistributionJob | undefined> {
    const { packages } = this.#needs;
    const { isNews, ...rest } = wait;
    return packages.turn(job.packageId, async () => {
      const statusChanges = await packages.retryingChanges(job, wait.reason);
      const current = this.#open.get(job.jobSerial);
      // What a pull DP has said meanwhile is newer than that it could not be reached.
      if (!current || !this.#isLive(job.jobSerial) || !isRunning(current)) return undefined;
      const waiting = toWaitingForRetry(current, progress, { ...rest, updatedAtMs: this.#nowMs });
      const { told, messages } = retryReport(this.#needs.status, waiting, isNews);
      await this.#write(told, [...statusChanges, ...messages]);
      return told;
    });
  }

  /** The job is due at once, as if it had not been tried this time; unless it has ended meanwhile. */
  async dueAgain({ jobSerial }: DistributionJob): Promise<void> {
    const current = this.#open.get(jobSerial);
    if (!current || !isStarted(current)) return;
    const tryCount = Math.max(0, current.tryCount - 1);
    const due = { reason: '', restartAtMs: 0, tryCount, updatedAtMs: this.#nowMs };
    await this.put(moved(takenBack(current), 'pending-restart', due));
  }

  /** The job waits until its pull DP has room for one more: told once. */
  async waitsForCapacity(jobSerial: number, jobsMax: number): Promise<void> {
    const job = this.#open.get(jobSerial);
    if (!job || job.waitingReason === 'capacity' || !this.#isLive(jobSerial)) return;
    const reason = `${job.dpId} has as many jobs as it takes, ${jobsMax}; this one goes on when one of them ends`;
    const { isNews, job: told } = reporting(job, 'capacity');
    const waiting: DistributionJob = { ...told, waitingReason: 'capacity', reason };
    const wait = { reason: 'capacity', limit: jobsMax } as const;
    await this.#write(waiting, isNews ? waitMessages(this.#needs.status, waiting, wait) : []);
  }

  /**
   * A pull DP has taken the job, and will say how it ended (PULL-3). What it has said already counts
   * more.
   *
   * @param job as its run began
   */
  async handedOver(job: DistributionJob, handover: JobHandover): Promise<void> {
    const { packages } = this.#needs;
    await packages.turn(job.packageId, async () => {
      const locations = await handover.locations();
      const current = this.#open.get(job.jobSerial);
      if (!current || !this.#isLive(job.jobSerial)) return;
      const { expectedHash, toldHash } = handover;
      if (current.state === 'started') {
        const { job: next, messages } = this.withPullDp(
          { ...current, expectedHash, toldHash },
          { reason: '', restartAtMs: handover.restartAtMs },
        );
        await this.#write({ ...next, pollCount: 0 }, [...locations, ...messages]);
      } else if (isWithPullDp(current)) {
        await this.#write({ ...current, expectedHash, toldHash }, locations);
      }
      // Otherwise it has given up again before this was written: nothing is arriving there.
    });
  }

  /** The job as one that a pull DP has, with what is reported when it is the first time. */
  withPullDp(
    job: DistributionJob,
    facts: Pick<DistributionJob, 'reason' | 'restartAtMs'> & {
      readonly waitingReason?: WaitingReason;
    },
  ): Required<JobChange> {
    const next = toWithPullDp(job, { ...facts, updatedAtMs: this.#nowMs });
    const isFirst = job.begunAtMs === undefined;
    return { job: next, messages: isFirst ? beginMessages(this.#needs.status, next) : [] };
  }

  /**
   * Writes a change of an open job with what goes with it, in one batch.
   *
   * @param change makes it of the job as it is, without a pause; with what is reported
   * @param options.sync somebody is promised it
   * @returns false when the job has ended, or is just ending: then nothing was written
   */
  async changed(
    jobSerial: number,
    change: (job: DistributionJob) => JobChange,
    others: readonly Change[],
    options = { sync: false },
  ): Promise<boolean> {
    const current = this.#open.get(jobSerial);
    if (!current || !this.#isLive(jobSerial)) return false;
    const { job, messages = [] } = change(current);
    await this.#write(job, [...messages, ...others], options);
    return true;
  }

  /** The job has done what it was made for. */
  async complete(
    job: DistributionJob,
    progress: TransferProgress,
    verifiedHash: string | undefined,
    validationReport?: ValidationReport,
  ): Promise<void> {
    await this.end(job, 'complete', {
      reason: '',
      progress,
      ...(verifiedHash !== undefined && { verifiedHash }),
      ...(validationReport && { validationReport }),
    });
  }

  /**
   * Ends a job: off the open jobs, into the history, and Distribution Manager is told, in one
   * batch that is on disk when this resolves. When it fails the job stays open, as it was.
   *
   * @returns false when it has ended already, or is just ending: then nothing was written
   */
  async end(job: DistributionJob, state: EndedJobState, result: JobResult): Promise<boolean> {
    const { jobSerial } = job;
    const current = this.#open.get(jobSerial);
    if (!current || this.#ending.has(jobSerial)) return false;
    const ended = toEnded(current, state, { ...result, nowMs: this.#nowMs });
    const key = joinKey(jobSerial);
    const { store, notifier, status } = this.#needs;
    const changes = [
      this.#jobs.delete(key),
      this.#history.add(ended),
      notifier.notification('transfer-result', key),
      ...endMessages(status, ended),
      ...(result.others ?? []),
    ];
    const writing = store.write(changes, { sync: true });
    this.#ending.set(jobSerial, Promise.allSettled([writing]));
    try {
      await writing;
      this.#open.delete(current);
      this.#ended.add(state);
    } finally {
      this.#ending.delete(jobSerial);
    }
    this.#tell(ended);
    return true;
  }

  /** Cuts off the oldest of the history, a batch at a time; to be called now and then. */
  trimHistory(): Promise<void> {
    return this.#history.trim();
  }

  get #jobs() {
    return this.#needs.store.records(keySpaces.distributionJobs);
  }

  get #nowMs(): number {
    return this.#needs.clock.nowMs();
  }

  /** Resolves when no end of the job is being written, whether it was or could not be. */
  async #endSettled(jobSerial: number): Promise<void> {
    for (let end = this.#ending.get(jobSerial); end; end = this.#ending.get(jobSerial)) await end;
  }

  #isLive(jobSerial: number): boolean {
    return this.#open.has(jobSerial) && !this.#ending.has(jobSerial);
  }

  /** In memory at once, so that nobody builds on the row before; back again when it fails. */
  async #write(
    job: DistributionJob,
    others: readonly Change[],
    options = { sync: false },
  ): Promise<void> {
    const before = this.#open.get(job.jobSerial);
    this.#open.set(job);
    try {
      const row = this.#jobs.put(joinKey(job.jobSerial), job);
      await this.#needs.store.write([row, ...others], options);
    } catch (error) {
      if (before && this.#open.get(job.jobSerial) === job) this.#open.set(before);
      throw error;
    }
    this.#tell(job);
  }

  #tell(job: DistributionJob): void {
    for (const listener of this.#listeners) listener(job);
  }
}

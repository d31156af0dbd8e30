import {
  type DistributionJob,
  moved,
  type WaitingReason,
} from '../../shared/domain/distribution-job.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { ChangeNotifier, Notification } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import { endMessages, retryMessages, startMessages } from './job-messages.ts';
import type { TransferProgress } from './transfer-progress.ts';

export interface JobTableNeeds {
  readonly store: StateStore;
  readonly notifier: ChangeNotifier;
  readonly packages: Pick<PackageStore, 'turn' | 'retryingChanges'>;
  readonly status: StatusReporter;
  readonly clock: Clock;
}

/** What a notification brought: the job, and the older open jobs it takes over from. */
export interface NotifiedJob {
  readonly job: DistributionJob;
  readonly superseded: readonly DistributionJob[];
}

/**
 * The tables "distribution jobs" and "job history", with all open jobs in memory. Every change of
 * a job is one batch with what it means to others: status messages, package status, notification.
 */
export class JobTable {
  readonly #needs: JobTableNeeds;
  readonly #open = new Map<number, DistributionJob>();
  readonly #listeners = new Set<(job: DistributionJob) => void>();

  constructor(needs: JobTableNeeds) {
    this.#needs = needs;
  }

  /** Reads the open jobs; once, before anything else. */
  async load(): Promise<void> {
    for await (const [, job] of this.#jobs.list()) this.#open.set(job.jobSerial, job);
  }

  open(): Iterable<DistributionJob> {
    return this.#open.values();
  }

  get(jobSerial: number): DistributionJob | undefined {
    return this.#open.get(jobSerial);
  }

  /** Calls the listener after each change of a job, its end and its progress included. */
  onChanged(listener: (job: DistributionJob) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Wakes when jobs were made or changed by others. */
  onNotified(wake: () => void): () => void {
    return this.#needs.notifier.subscribe('distribution-job', wake);
  }

  /** The jobs others have made or changed since; each joins the open jobs. */
  async *takeNotified(): AsyncGenerator<NotifiedJob> {
    for await (const notification of this.#needs.notifier.pending('distribution-job')) {
      const job = await this.#jobs.get(notification.subject);
      if (job) yield this.#joined(job);
      await this.#handled(notification);
    }
  }

  /** The job runs from now on. */
  async started(job: DistributionJob): Promise<void> {
    await this.#write(job, [...startMessages(this.#needs.status, job)]);
  }

  async put(job: DistributionJob): Promise<void> {
    if (this.#open.has(job.jobSerial)) await this.#write(job, []);
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
    const next = this.#withProgress(job, progress);
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
    const current = this.#open.get(job.jobSerial);
    if (!current) return undefined;
    const { packages, status } = this.#needs;
    const { isNews, ...rest } = wait;
    const waiting = moved(this.#withProgress(current, progress), 'pending-restart', {
      ...rest,
      tryCount: wait.waitingReason === 'disk-full-at-dp' ? current.tryCount - 1 : current.tryCount,
      updatedAtMs: this.#nowMs,
    });
    await packages.turn(job.packageId, async () => {
      const statusChanges = await packages.retryingChanges(waiting, wait.reason);
      const messages = isNews ? retryMessages(status, waiting) : [];
      await this.#write(waiting, [...statusChanges, ...messages]);
    });
    return waiting;
  }

  /** The job has done what it was made for. */
  async complete(
    job: DistributionJob,
    progress: TransferProgress,
    verifiedHash: string | undefined,
  ): Promise<void> {
    await this.end(job, 'complete', {
      reason: '',
      progress,
      ...(verifiedHash && { verifiedHash }),
    });
  }

  /**
   * Ends a job: off the open jobs, into the history, and Distribution Manager is told, in one
   * batch that is on disk when this resolves.
   */
  async end(
    job: DistributionJob,
    state: 'complete' | 'failed' | 'cancelled',
    result: { reason: string; progress?: TransferProgress; verifiedHash?: string },
  ): Promise<void> {
    const current = this.#open.get(job.jobSerial);
    if (!current) return;
    const { store, notifier, status } = this.#needs;
    const { reason, progress, verifiedHash } = result;
    const ended = moved(progress ? this.#withProgress(current, progress) : current, state, {
      reason,
      restartAtMs: 0,
      updatedAtMs: this.#nowMs,
      endedAtMs: this.#nowMs,
      ...(verifiedHash && { verifiedHash }),
    });
    const key = joinKey(job.jobSerial);
    const changes = [
      this.#jobs.delete(key),
      store.records(keySpaces.jobHistory).put(key, ended),
      notifier.notification('transfer-result', key),
      ...endMessages(status, ended),
    ];
    this.#open.delete(job.jobSerial);
    await store.write(changes, { sync: true });
    this.#tell(ended);
  }

  get #jobs() {
    return this.#needs.store.records(keySpaces.distributionJobs);
  }

  get #nowMs(): number {
    return this.#needs.clock.nowMs();
  }

  /** Of two jobs for one package and DP the newer one counts, whichever is heard of first. */
  #joined(job: DistributionJob): NotifiedJob {
    const rivals = [...this.#open.values()].filter(
      ({ packageId, dpId, jobSerial }) =>
        packageId === job.packageId && dpId === job.dpId && jobSerial !== job.jobSerial,
    );
    const current = this.#open.get(job.jobSerial) ?? job;
    this.#open.set(job.jobSerial, current);
    this.#tell(current);
    const newest = Math.max(job.jobSerial, ...rivals.map(({ jobSerial }) => jobSerial));
    const superseded = [current, ...rivals].filter(({ jobSerial }) => jobSerial < newest);
    return { job: current, superseded };
  }

  async #handled(notification: Notification): Promise<void> {
    const { store, notifier } = this.#needs;
    await store.write([notifier.handled(notification)], { sync: false });
  }

  #withProgress(job: DistributionJob, progress: TransferProgress): DistributionJob {
    return {
      ...job,
      totalBytes: progress.expectedBytes,
      remainingBytes: progress.remainingBytes,
      bytesSent: job.bytesSent + progress.takeUncountedSentBytes(),
      updatedAtMs: this.#nowMs,
    };
  }

  async #write(job: DistributionJob, others: readonly Change[]): Promise<void> {
    this.#open.set(job.jobSerial, job);
    const row = this.#jobs.put(joinKey(job.jobSerial), job);
    await this.#needs.store.write([row, ...others], { sync: false });
    this.#tell(job);
  }

  #tell(job: DistributionJob): void {
    for (const listener of this.#listeners) listener(job);
  }
}

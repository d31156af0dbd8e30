import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { Priority } from '../../shared/domain/package.ts';
import { filesToMake } from '../../shared/domain/send-queue.ts';
import type { MiniJob, SendRequest } from '../../shared/domain/send-request.ts';
import { withDestination } from '../../shared/domain/send-request-moves.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { ChangeNotifier, Notification } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { PackageFileStore } from '../package-file-store/package-file-store.ts';
import { type ForwardedEnd, ForwardedJobs } from './forwarded-jobs.ts';
import { RequestFiles } from './request-files.ts';
import type { SendRequestTable } from './send-request-table.ts';

/** What the Scheduler needs. */
export interface SchedulerComponents {
  /** Says when `filesAheadMax` may have changed. @default never */
  readonly settings?: { onChanged(listener: () => void): () => void };
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'pending' | 'handled' | 'subscribe'>;
  readonly requests: SendRequestTable;
  readonly directory: Pick<SiteDirectory, 'own' | 'tree' | 'hasRouteTo'>;
  readonly files: Pick<PackageFileStore, 'make' | 'has'>;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  readonly logger: Logger;
}

/** How the Scheduler is tuned. */
export interface SchedulerConfig {
  /** First wait after a package file could not be made, or a full disk; doubles. @default 2_000 */
  readonly retryDelayMs: number;
  /** Longest such wait. @default 30_000 */
  readonly retryDelayMsMax: number;
  /** Tries to make a package file, a full disk not counted. @default 5 */
  readonly makingTriesMax: number;
  /** How often jobs that are forwarded are looked through for what nobody waits for. @default 60_000 */
  readonly lookIntervalMs: number;
  /** Package files made ahead for one destination; see `filesToMake`. @default 5 */
  readonly filesAheadMax: number;
}

export const defaultSchedulerConfig: SchedulerConfig = {
  retryDelayMs: 2_000,
  retryDelayMsMax: 30_000,
  makingTriesMax: 5,
  lookIntervalMs: 60_000,
  filesAheadMax: 5,
};

/**
 * Turns mini-jobs into send requests (REP-3): one for each, to the next site on the way, with its
 * package file made; keeps them current when the way changes, and ends those whose mini-job is gone,
 * and jobs of other sites that nobody waits for any more. Works from the rows of "mini-jobs" alone; a
 * notification says which to look at. Writes, by its table, "send
 * requests" and their history. A crash leaves requests without a file, which is then made.
 */
export class Scheduler implements Component {
  readonly #components: SchedulerComponents;
  readonly #config: SchedulerConfig;
  readonly #stopping = new AbortController();
  readonly #wake = new WakeSignal();
  readonly #jobs = new Map<string, MiniJob>();
  readonly #forwarded: ForwardedJobs;
  /** The jobs to look at in the next round; a job that is gone may be among them. */
  readonly #due = new Set<string>();
  /** Of packages, as they were read in this round: many jobs are of one. */
  readonly #priorities = new Map<string, Priority | undefined>();
  /** The hierarchy's word of some package has changed, or may have before the start. */
  #havePackagesChanged = true;
  #isLookDue = false;
  readonly #files: RequestFiles;
  #unsubscribe: (() => void)[] = [];
  #loop: Promise<unknown> = Promise.resolve();

  constructor(components: SchedulerComponents, config = defaultSchedulerConfig) {
    this.#components = components;
    this.#config = config;
    this.#files = new RequestFiles(components, config);
    this.#forwarded = new ForwardedJobs(components);
  }

  async start(): Promise<void> {
    const { notifier, requests, store } = this.#components;
    await requests.load();
    for await (const [jobId, job] of store.records(keySpaces.miniJobs).list()) {
      this.#keep(job);
      this.#due.add(jobId);
    }
    for (const { jobId } of requests.open()) this.#due.add(jobId);
    this.#unsubscribe = [
      requests.onChanged((request) => this.#onChanged(request)),
      this.#components.settings?.onChanged(() => this.#wake.wake()) ?? (() => {}),
      notifier.subscribe('mini-job', () => this.#wake.wake()),
      notifier.subscribe('site', () => this.#wake.wake()),
      // Others handle these, and they are many; what is on its way of a deleted package can wait.
      notifier.subscribe('hierarchy-package', () => {
        this.#havePackagesChanged = true;
      }),
    ];
    this.#wake.wake();
    this.#loop = Promise.all([this.#run(), this.#lookNowAndThen()]);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await this.#loop;
    await this.#files.stop();
    await this.#components.requests.whenIdle();
  }

  #onChanged(request: SendRequest): void {
    if (request.finishedAtMs > 0) this.#forget(request.jobId);
    // The Sender did not find the file; or the end of a send frees the way for another destination.
    const isOfInterest = request.file.fileHash === '' || request.state !== 'sending';
    if (!isOfInterest) return;
    if (request.finishedAtMs === 0) this.#due.add(request.jobId);
    this.#wake.wake();
  }

  #keep(job: MiniJob): void {
    this.#jobs.set(job.jobId, job);
    this.#forwarded.add(job);
  }

  #forget(jobId: string): void {
    const job = this.#jobs.get(jobId);
    this.#jobs.delete(jobId);
    if (job) this.#forwarded.delete(job);
  }

  async #lookNowAndThen(): Promise<void> {
    const { clock } = this.#components;
    const { signal } = this.#stopping;
    try {
      for (;;) {
        await clock.sleep(this.#config.lookIntervalMs, signal);
        this.#isLookDue = true;
        this.#wake.wake();
      }
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  /** Works at every wake-up until stopped. A failure that is nobody's to handle ends the process. */
  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    let failureCount = 0;
    try {
      for (;;) {
        await this.#wake.wait(signal);
        failureCount = (await this.#hadRoom()) ? 0 : failureCount + 1;
        if (failureCount === 0) continue;
        await this.#components.clock.sleep(this.#retryDelayMs(failureCount), signal);
        this.#wake.wake();
      }
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  /** One round, or false when the site's own disk is full: then all of it is done later. */
  async #hadRoom(): Promise<boolean> {
    try {
      const notifications = await this.#takeNotified();
      if (this.#isLookDue) await this.#lookAtForwarded();
      this.#priorities.clear();
      for (const jobId of [...this.#due]) await this.#look(jobId);
      this.#makeFiles();
      await this.#handled(notifications);
      return true;
    } catch (error) {
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
      this.#components.logger.warn({ err: error }, 'Disk of the site server is full');
      return false;
    }
  }

  #retryDelayMs(tryCount: number): number {
    const { retryDelayMs: firstMs, retryDelayMsMax: capMs } = this.#config;
    return retryDelayMs({ tryCount, firstMs, capMs, random: this.#components.random });
  }

  async #takeNotified(): Promise<Notification[]> {
    const { notifier, store } = this.#components;
    const notifications: Notification[] = [];
    for await (const notification of notifier.pending('mini-job')) {
      const job = await store.records(keySpaces.miniJobs).get(notification.subject);
      if (job) this.#keep(job);
      else this.#forget(notification.subject);
      this.#due.add(notification.subject);
      // What came before it to the same site may have lost its place.
      for (const other of job ? this.#forwarded.of(job.packageId) : []) this.#due.add(other.jobId);
      notifications.push(notification);
    }
    // Then every way is looked at again. Others that react to sites are woken by them only.
    let hasSiteChanged = false;
    for await (const notification of notifier.pending('site')) {
      notifications.push(notification);
      hasSiteChanged = true;
    }
    if (hasSiteChanged) for (const jobId of this.#jobs.keys()) this.#due.add(jobId);
    return notifications;
  }

  async #handled(notifications: readonly Notification[]): Promise<void> {
    const { store, notifier } = this.#components;
    const changes: Change[] = notifications.map((one) => notifier.handled(one));
    await store.write(changes, { sync: false });
  }

  async #lookAtForwarded(): Promise<void> {
    const nowMs = this.#components.clock.nowMs();
    const haveChanged = this.#havePackagesChanged;
    this.#isLookDue = false;
    this.#havePackagesChanged = false;
    for (const { jobId, expiresAtMs = Infinity } of this.#forwarded.all()) {
      if (haveChanged || expiresAtMs <= nowMs) this.#due.add(jobId);
    }
    if (!haveChanged) return;
    try {
      await this.#components.store.write(await this.#forwarded.failuresGone(), { sync: false });
    } catch (error) {
      this.#havePackagesChanged = true;
      throw error;
    }
  }

  async #look(jobId: string): Promise<void> {
    this.#due.delete(jobId);
    try {
      const job = this.#jobs.get(jobId);
      const end = job?.forwarded === undefined ? undefined : await this.#forwarded.endOf(job);
      if (!job) await this.#cancelOrphan(jobId);
      else if (end) await this.#endForwarded(job, end);
      else await this.#schedule(job);
    } catch (error) {
      this.#due.add(jobId);
      throw error;
    }
  }

  /**
   * A request whose job was superseded, or is wanted no more, ends even while it is sent. One that the
   * receiver has stored before the end of the send is written down here was delivered all the same.
   */
  async #cancelOrphan(jobId: string): Promise<void> {
    const { requests } = this.#components;
    const request = requests.ofJob(jobId);
    if (!request) return;
    this.#files.abandon(request.requestId);
    const { packageId, finalSiteCode } = request;
    const results = this.#components.store.records(keySpaces.siteDeliveryResults);
    const result = await results.get(joinKey(packageId, finalSiteCode));
    if (result?.jobId === jobId && result.outcome === 'delivered') {
      await requests.end(request.requestId, { state: 'complete', reason: '' });
      return;
    }
    const reason = 'A newer version took its place, or the site is not to have the package';
    await requests.end(request.requestId, { state: 'cancelled', reason });
  }

  /** A job without a request gets one, so that its end stands in the history. */
  async #endForwarded(job: MiniJob, end: ForwardedEnd): Promise<void> {
    const { requests } = this.#components;
    const request = requests.ofJob(job.jobId) ?? (await requests.create(job.jobId, ''));
    if (!request) return this.#forget(job.jobId);
    this.#files.abandon(request.requestId);
    await requests.end(request.requestId, { state: 'cancelled', ...end });
  }

  /**
   * A request has the priority that its package has now. Its mini-job keeps the one of the order: it is
   * signed, and the same at every try; the sites behind the next one look at the package, too.
   */
  async #rank({ requestId, packageId }: SendRequest): Promise<void> {
    const { store, requests } = this.#components;
    if (!this.#priorities.has(packageId)) {
      const definition = await store.records(keySpaces.packageDefinitions).get(packageId);
      this.#priorities.set(packageId, definition?.properties.priority);
    }
    const priority = this.#priorities.get(packageId);
    if (priority === undefined) return;
    await requests.change(requestId, (one) =>
      one.priority === priority ? one : { ...one, priority },
    );
  }

  async #schedule({ jobId, finalSiteCode }: MiniJob): Promise<void> {
    const { requests } = this.#components;
    const destination = this.#nextHopTo(finalSiteCode) ?? '';
    const request = requests.ofJob(jobId) ?? (await requests.create(jobId, destination));
    if (!request) {
      // It has ended since it was read.
      this.#forget(jobId);
      return;
    }
    await this.#rank(request);
    if (request.destinationSiteCode === destination) return;
    // What runs goes on where it is: bytes that are moving are worth more than a better way.
    await requests.change(request.requestId, (current) =>
      current.state === 'sending' || current.destinationSiteCode === destination
        ? current
        : withDestination(current, destination),
    );
  }

  #nextHopTo(finalSiteCode: string): string | undefined {
    const { directory } = this.#components;
    const { siteCode } = directory.own;
    const isDirect = directory.hasRouteTo(finalSiteCode) && directory.tree.get(finalSiteCode);
    return isDirect ? finalSiteCode : directory.tree.neighbourTowards(siteCode, finalSiteCode);
  }

  #makeFiles(): void {
    const { requests } = this.#components;
    const isBeingMade = (requestId: string) => this.#files.isProviding(requestId);
    const wanting = filesToMake(requests.open(), isBeingMade, this.#config.filesAheadMax);
    for (const request of wanting) {
      const job = this.#jobs.get(request.jobId);
      if (job) this.#files.provide(request.requestId, { ...job, priority: request.priority });
    }
  }
}

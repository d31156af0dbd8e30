import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { compareSendRequests } from '../../shared/domain/send-queue.ts';
import type { MiniJob, SendRequest } from '../../shared/domain/send-request.ts';
import { withDestination } from '../../shared/domain/send-request-moves.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { ChangeNotifier, Notification } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { PackageFileStore } from '../package-file-store/package-file-store.ts';
import { RequestFiles } from './request-files.ts';
import type { SendRequestTable } from './send-request-table.ts';

/** What the Scheduler needs. */
export interface SchedulerComponents {
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
}

export const defaultSchedulerConfig: SchedulerConfig = {
  retryDelayMs: 2_000,
  retryDelayMsMax: 30_000,
  makingTriesMax: 5,
};

/**
 * Turns mini-jobs into send requests (REP-3): one for each, to the next site on the way, with its
 * package file made; keeps them current when the way changes, and ends those whose mini-job is gone.
 * Works from the rows of "mini-jobs" alone; a notification only wakes it. Writes, by its table, "send
 * requests" and their history. A crash leaves requests without a file, which is then made.
 */
export class Scheduler implements Component {
  readonly #components: SchedulerComponents;
  readonly #config: SchedulerConfig;
  readonly #stopping = new AbortController();
  readonly #wake = new WakeSignal();
  readonly #jobs = new Map<string, MiniJob>();
  readonly #files: RequestFiles;
  #unsubscribe: (() => void)[] = [];
  #loop: Promise<void> = Promise.resolve();

  constructor(components: SchedulerComponents, config = defaultSchedulerConfig) {
    this.#components = components;
    this.#config = config;
    this.#files = new RequestFiles(components, config);
  }

  async start(): Promise<void> {
    const { notifier, requests, store } = this.#components;
    await requests.load();
    for await (const [jobId, job] of store.records(keySpaces.miniJobs).list()) {
      this.#jobs.set(jobId, job);
    }
    this.#unsubscribe = [
      requests.onChanged((request) => this.#onChanged(request)),
      notifier.subscribe('mini-job', () => this.#wake.wake()),
      notifier.subscribe('site', () => this.#wake.wake()),
    ];
    this.#wake.wake();
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await this.#loop;
    await this.#files.stop();
    await this.#components.requests.whenIdle();
  }

  #onChanged(request: SendRequest): void {
    if (request.finishedAtMs > 0) this.#jobs.delete(request.jobId);
    // The Sender did not find the file; or the end of a send frees the way for another destination.
    const isOfInterest = request.file.fileHash === '' || request.state !== 'sending';
    if (isOfInterest) this.#wake.wake();
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
      await this.#cancelOrphans();
      for (const job of [...this.#jobs.values()]) await this.#schedule(job);
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
      if (job) this.#jobs.set(job.jobId, job);
      else this.#jobs.delete(notification.subject);
      notifications.push(notification);
    }
    // Every way is looked at again in each round. Others that react to sites are woken by them only.
    for await (const notification of notifier.pending('site')) notifications.push(notification);
    return notifications;
  }

  async #handled(notifications: readonly Notification[]): Promise<void> {
    const { store, notifier } = this.#components;
    const changes: Change[] = notifications.map((one) => notifier.handled(one));
    await store.write(changes, { sync: false });
  }

  /** A request whose job was superseded, or is wanted no more, ends even while it is sent. */
  async #cancelOrphans(): Promise<void> {
    const { requests } = this.#components;
    for (const { requestId, jobId } of [...requests.open()]) {
      if (this.#jobs.has(jobId)) continue;
      this.#files.abandon(requestId);
      const reason = 'A newer version took its place, or the site is not to have the package';
      await requests.end(requestId, { state: 'cancelled', reason });
    }
  }

  async #schedule({ jobId, finalSiteCode }: MiniJob): Promise<void> {
    const { requests } = this.#components;
    const destination = this.#nextHopTo(finalSiteCode) ?? '';
    const request = requests.ofJob(jobId) ?? (await requests.create(jobId, destination));
    if (!request) {
      // It has ended since it was read.
      this.#jobs.delete(jobId);
      return;
    }
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
    const wanting = [...this.#components.requests.open()].filter(
      ({ file, destinationSiteCode }) => file.fileHash === '' && destinationSiteCode !== '',
    );
    for (const request of wanting.sort(compareSendRequests)) {
      const job = this.#jobs.get(request.jobId);
      if (job) this.#files.provide(request.requestId, job);
    }
  }
}

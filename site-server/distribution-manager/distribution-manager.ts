import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { isLeaving } from '../../shared/domain/package-processing.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { ChangeNotifier, Notification } from '../../shared/state-store/change-notifier.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageStore } from './package-store.ts';
import type { PackageTask } from './package-task.ts';
import { Postponements } from './postponements.ts';
import type { PullResponses } from './pull-responses.ts';
import type { TransferResults } from './transfer-results.ts';

/** What Distribution Manager needs. */
export interface DistributionManagerComponents {
  readonly store: Pick<StateStore, 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'pending' | 'handled' | 'subscribe'>;
  readonly packages: Pick<PackageStore, 'packages'>;
  readonly packageTask: Pick<PackageTask, 'run'>;
  readonly transferResults: Pick<TransferResults, 'take'>;
  readonly pullResponses: Pick<PullResponses, 'take'>;
  readonly clock: Pick<Clock, 'sleep'>;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  /** Told after each change of what limits it. @default never */
  readonly settings?: { onChanged(listener: () => void): () => void };
  readonly logger: Logger;
}

/** How Distribution Manager is tuned. */
export interface DistributionManagerConfig {
  /** Packages processed at once. @default 3 @see behaviour row DM-2 */
  readonly packagesMax: number;
  /** First wait after a snapshot found no room; doubles up to the cap. @default 5_000 */
  readonly retryDelayMs: number;
  /** Longest wait between such tries. @default 300_000 */
  readonly retryDelayMsMax: number;
}

export const defaultDistributionManagerConfig: DistributionManagerConfig = {
  packagesMax: 3,
  retryDelayMs: 5_000,
  retryDelayMsMax: 300_000,
};

/** A package that is processed now. */
interface RunningTask {
  /** The notifications it deletes at its end. */
  readonly keys: ReadonlySet<string>;
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

/**
 * Takes packages from "package notification" and processes them, at most three at once and each by
 * one task at a time (DM-2); takes the results of transfers (DM-5), and what pull DPs say (PULL-9).
 * What it does, it decides from the rows alone. A notification is deleted when its package has been
 * processed: a crash leaves it, and the package is processed again, with the same result (DM-1).
 */
export class DistributionManager implements Component {
  readonly #components: DistributionManagerComponents;
  readonly #config: DistributionManagerConfig;
  readonly #stopping = new AbortController();
  readonly #packageWake = new WakeSignal();
  readonly #resultWake = new WakeSignal();
  readonly #responseWake = new WakeSignal();
  readonly #queue = new Map<string, Notification[]>();
  readonly #running = new Map<string, RunningTask>();
  readonly #postponements: Postponements;
  /** Notifications deleted while they are read, which the reading may still show. */
  readonly #justHandledKeys = new Set<string>();
  #unsubscribe: (() => void)[] = [];
  #loops: Promise<void>[] = [];

  constructor(
    components: DistributionManagerComponents,
    config = defaultDistributionManagerConfig,
  ) {
    this.#components = components;
    this.#config = config;
    this.#postponements = new Postponements(components.clock);
  }

  async start(): Promise<void> {
    const { notifier } = this.#components;
    this.#unsubscribe = [
      notifier.subscribe('package', () => this.#packageWake.wake()),
      notifier.subscribe('transfer-result', () => this.#resultWake.wake()),
      notifier.subscribe('pull-response', () => this.#responseWake.wake()),
      this.#components.settings?.onChanged(() => this.#packageWake.wake()) ?? (() => {}),
    ];
    this.#loops = [
      this.#loop(this.#packageWake, () => this.#takePackages()),
      this.#loop(this.#resultWake, () => this.#takeResults()),
      this.#loop(this.#responseWake, () => this.#takeResponses()),
    ];
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    for (const { abort } of this.#running.values()) abort.abort();
    this.#postponements.clear();
    await Promise.all(this.#loops);
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  /** Works at every wake-up until stopped. A failure that is nobody's to handle ends the process. */
  async #loop(wake: WakeSignal, work: () => Promise<boolean>): Promise<void> {
    const { signal } = this.#stopping;
    let failureCount = 0;
    try {
      while (!signal.aborted) {
        await wake.wait(signal);
        const isDone = await this.#hadRoom(work);
        failureCount = isDone ? 0 : failureCount + 1;
        if (isDone) continue;
        await this.#components.clock.sleep(this.#retryDelayMs(failureCount), signal);
        wake.wake();
      }
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  /** What `work` says, or false when the site's own disk is full: then all stays pending. */
  async #hadRoom(work: () => Promise<boolean>): Promise<boolean> {
    try {
      return await work();
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

  async #takeResults(): Promise<boolean> {
    await this.#components.transferResults.take(this.#stopping.signal);
    return true;
  }

  async #takeResponses(): Promise<boolean> {
    await this.#components.pullResponses.take(this.#stopping.signal);
    return true;
  }

  async #takePackages(): Promise<boolean> {
    await this.#readNotifications();
    await this.#abortTasksOfLeaving();
    for (const packageId of this.#queue.keys()) {
      const isFull = this.#running.size >= this.#config.packagesMax;
      if (isFull || this.#stopping.signal.aborted) break;
      if (!this.#running.has(packageId)) this.#startTask(packageId);
    }
    return true;
  }

  /** Brings the queue up to date: first come, first served. */
  async #readNotifications(): Promise<void> {
    const pending = new Map<string, Notification[]>();
    this.#justHandledKeys.clear();
    for await (const notification of this.#components.notifier.pending('package')) {
      const ofPackage = pending.get(notification.subject) ?? [];
      pending.set(notification.subject, ofPackage);
      ofPackage.push(notification);
    }
    for (const [packageId, read] of pending) {
      const notifications = read.filter(({ key }) => !this.#justHandledKeys.has(key));
      if (!this.#isNews(packageId, notifications)) continue;
      if (!this.#queue.has(packageId)) {
        this.#components.logger.debug({ packageId }, 'Added package to package processing queue');
      }
      this.#queue.set(packageId, notifications);
    }
  }

  /** Whether more is pending than a task that runs, or one that waits, will see to anyway. */
  #isNews(packageId: string, notifications: readonly Notification[]): boolean {
    const runningKeys = this.#running.get(packageId)?.keys;
    const knownKeys = runningKeys ?? this.#postponements.knownKeysOf(packageId);
    return notifications.some(({ key }) => !knownKeys?.has(key));
  }

  /** The source of a package that is being deleted is not read to its end. */
  async #abortTasksOfLeaving(): Promise<void> {
    for (const [packageId, { abort }] of this.#running) {
      const sitePackage = await this.#components.packages.packages.get(packageId);
      if (sitePackage && isLeaving(sitePackage) && this.#queue.has(packageId)) abort.abort();
    }
  }

  #startTask(packageId: string): void {
    const notifications = this.#queue.get(packageId) ?? [];
    this.#queue.delete(packageId);
    const abort = new AbortController();
    const keys = new Set(notifications.map(({ key }) => key));
    const ended = this.#runTask(packageId, notifications, abort.signal).finally(() => {
      this.#running.delete(packageId);
      this.#packageWake.wake();
    });
    this.#running.set(packageId, { keys, abort, ended });
    const { packagesMax } = this.#config;
    const using = `using ${this.#running.size} of ${packagesMax}`;
    this.#components.logger.info({ packageId }, `Started package processing task, ${using}`);
  }

  async #runTask(
    packageId: string,
    notifications: readonly Notification[],
    signal: AbortSignal,
  ): Promise<void> {
    const { packageTask, notifier, store } = this.#components;
    try {
      const isDone = await this.#hadRoom(async () => {
        const result = await packageTask.run(packageId, signal);
        if (result === 'postponed') return false;
        const handled = notifications.map((notification) => notifier.handled(notification));
        await store.write(handled, { sync: false });
        for (const { key } of notifications) this.#justHandledKeys.add(key);
        return true;
      });
      if (isDone) this.#postponements.delete(packageId);
      else this.#postpone(packageId, new Set(notifications.map(({ key }) => key)));
    } catch (error) {
      // Its notifications are pending still: the next task goes on where the rows stand.
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  #postpone(packageId: string, keys: ReadonlySet<string>): void {
    const tryCount = this.#postponements.tryCountOf(packageId) + 1;
    const delayMs = this.#retryDelayMs(tryCount);
    const wake = () => this.#packageWake.wake();
    this.#postponements.add(packageId, { knownKeys: keys, delayMs }, wake);
    const facts = { packageId, tryCount, delayMs };
    this.#components.logger.info(facts, 'Package waits for its next try');
  }
}

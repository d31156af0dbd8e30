import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type {
  ChangeNotifier,
  Notification,
  NotificationTopic,
} from '../../shared/state-store/change-notifier.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import type { HierarchyPackages } from '../distribution-manager/hierarchy-packages.ts';
import type { GroupReactions } from './group-reactions.ts';
import type { HierarchyDistributionPoints } from './hierarchy-distribution-points.ts';
import type { OwnContents } from './own-contents.ts';

/** What the reactor needs. */
export interface HierarchyReactorComponents {
  readonly store: Pick<StateStore, 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'pending' | 'handled' | 'subscribe' | 'notification'>;
  readonly packages: Pick<
    HierarchyPackages,
    'bringUpToDate' | 'lookAgainAtSites' | 'statusChanged'
  >;
  readonly distributionPoints: Pick<HierarchyDistributionPoints, 'bringUpToDate' | 'welcome'>;
  readonly groups: Pick<GroupReactions, 'bringUpToDate'>;
  readonly contents: Pick<OwnContents, 'bringUpToDate'>;
  readonly hierarchyPackages: Pick<HierarchyPackageRows, 'isOwn'>;
  /** Calls the listener once what was kept until then can be concluded. @returns ends it @default never */
  readonly onCaughtUp?: (listener: () => void) => () => void;
  /** What must be done once, before anything else. */
  readonly begin: () => Promise<void>;
  readonly clock: Pick<Clock, 'sleep'>;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  readonly logger: Logger;
}

/** How the reactor is tuned. */
export interface HierarchyReactorConfig {
  /** First wait after the disk was full; doubles up to the cap. @default 2_000 */
  readonly retryDelayMs: number;
  /** Longest such wait. @default 30_000 */
  readonly retryDelayMsMax: number;
}

export const defaultHierarchyReactorConfig: HierarchyReactorConfig = {
  retryDelayMs: 2_000,
  retryDelayMsMax: 30_000,
};

/** DPs, and who is in which group, before packages: a package's wishes may be for a DP that has just come. */
const topics = [
  'hierarchy-distribution-point',
  'distribution-point-added',
  'distribution-point-group',
  'hierarchy-package',
  'site-content',
  'site-package-status',
] as const;

/**
 * Brings this site's own tables up to date with the replicated ones (docs/hierarchy.md, 1), one subject
 * after another. Woken by every change of a replicated row, whether an administrator made it here or
 * another site did. A notification is deleted with its effects; a crash leaves it, and the same is done
 * again, which changes nothing.
 */
export class HierarchyReactor implements Component {
  readonly #components: HierarchyReactorComponents;
  readonly #config: HierarchyReactorConfig;
  readonly #stopping = new AbortController();
  readonly #wake = new WakeSignal();
  #unsubscribe: (() => void)[] = [];
  #loop: Promise<void> | undefined;
  #hasSiteChanged = false;

  constructor(components: HierarchyReactorComponents, config = defaultHierarchyReactorConfig) {
    this.#components = components;
    this.#config = config;
  }

  async start(): Promise<void> {
    await this.#components.begin();
    const { notifier } = this.#components;
    const wake = () => this.#wake.wake();
    this.#unsubscribe = [
      ...topics.map((topic) => notifier.subscribe(topic, wake)),
      this.#components.onCaughtUp?.(wake) ?? (() => {}),
      // Others handle these; what waits for a site that is gone goes on. At the start it is told, too.
      notifier.subscribe('site', () => {
        this.#hasSiteChanged = true;
        wake();
      }),
    ];
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    let failureCount = 0;
    try {
      for (;;) {
        await this.#wake.wait(signal);
        const isDone = await this.#hadRoom();
        failureCount = isDone ? 0 : failureCount + 1;
        if (isDone) continue;
        await this.#components.clock.sleep(this.#delayMs(failureCount), signal);
        this.#wake.wake();
      }
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  /** False when the site's own disk is full: then all stays pending. */
  async #hadRoom(): Promise<boolean> {
    try {
      for (const topic of topics) await this.#takeAll(topic);
      if (this.#hasSiteChanged) await this.#lookAgain();
      return true;
    } catch (error) {
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
      this.#components.logger.warn({ err: error }, 'Disk of the site server is full');
      return false;
    }
  }

  /** A site that changes meanwhile is looked at again. */
  async #lookAgain(): Promise<void> {
    this.#hasSiteChanged = false;
    try {
      await this.#components.packages.lookAgainAtSites();
    } catch (error) {
      this.#hasSiteChanged = true;
      throw error;
    }
  }

  async #takeAll(topic: NotificationTopic): Promise<void> {
    const { notifier } = this.#components;
    const pending = new Map<string, Notification[]>();
    for await (const notification of notifier.pending(topic)) {
      const ofSubject = pending.get(notification.subject) ?? [];
      pending.set(notification.subject, ofSubject);
      ofSubject.push(notification);
    }
    if (topic === 'distribution-point-added') return this.#welcome(pending);
    for (const [subject, notifications] of pending) {
      if (this.#stopping.signal.aborted) return;
      await this.#take(topic, {
        subject,
        handled: notifications.map((notification) => notifier.handled(notification)),
      });
    }
  }

  async #welcome(pending: ReadonlyMap<string, readonly Notification[]>): Promise<void> {
    if (pending.size === 0) return;
    const { notifier, distributionPoints } = this.#components;
    const handled = [...pending.values()].flat().map((one) => notifier.handled(one));
    await distributionPoints.welcome(new Set(pending.keys()), handled);
  }

  async #take(
    topic: NotificationTopic,
    { subject, handled }: { subject: string; handled: readonly Change[] },
  ): Promise<void> {
    const { packages, distributionPoints, groups, contents, hierarchyPackages } = this.#components;
    const { notifier, store } = this.#components;
    if (topic === 'hierarchy-distribution-point') {
      return distributionPoints.bringUpToDate(subject, handled);
    }
    if (topic === 'distribution-point-group') return groups.bringUpToDate(subject, handled);
    if (topic === 'hierarchy-package') return packages.bringUpToDate(subject, handled);
    if (topic === 'site-package-status') return packages.statusChanged(subject, handled);
    // What a site holds of a package, its source site decides by: what to send, and when it may go.
    if (!hierarchyPackages.isOwn(subject)) return contents.bringUpToDate(subject, handled);
    await store.write([notifier.notification('package', subject), ...handled], { sync: false });
  }

  #delayMs(tryCount: number): number {
    const { retryDelayMs: firstMs, retryDelayMsMax: capMs } = this.#config;
    return retryDelayMs({ tryCount, firstMs, capMs, random: this.#components.random });
  }
}

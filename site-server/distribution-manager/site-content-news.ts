import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** What takes the news of other sites' contents needs. */
export interface SiteContentNewsComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'pending' | 'handled' | 'notification' | 'subscribe'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Logger;
  readonly siteCode: string;
}

/** Wait before a full disk of the site is looked at again. */
const diskFullDelayMs = 5_000;

/**
 * Wakes Distribution Manager for a package of this site when another site says what it holds of it:
 * takes the topic "site-content", and hands it on as topic "package" in the same batch.
 */
export class SiteContentNews implements Component {
  readonly #components: SiteContentNewsComponents;
  readonly #stopping = new AbortController();
  readonly #wake = new WakeSignal();
  #unsubscribe = () => {};
  #loop: Promise<void> = Promise.resolve();

  constructor(components: SiteContentNewsComponents) {
    this.#components = components;
  }

  async start(): Promise<void> {
    const { notifier } = this.#components;
    this.#unsubscribe = notifier.subscribe('site-content', () => this.#wake.wake());
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#unsubscribe();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    try {
      for (;;) {
        await this.#wake.wait(signal);
        if (await this.#hadRoom()) continue;
        await this.#components.clock.sleep(diskFullDelayMs, signal);
        this.#wake.wake();
      }
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  async #hadRoom(): Promise<boolean> {
    try {
      await this.#take();
      return true;
    } catch (error) {
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
      this.#components.logger.warn({ err: error }, 'Disk of the site server is full');
      return false;
    }
  }

  async #take(): Promise<void> {
    const { store, notifier, siteCode } = this.#components;
    const packageIds = new Set<string>();
    const changes: Change[] = [];
    for await (const notification of notifier.pending('site-content')) {
      packageIds.add(notification.subject);
      changes.push(notifier.handled(notification));
    }
    for (const packageId of packageIds) {
      const sitePackage = await store.records(keySpaces.packages).get(packageId);
      if (sitePackage?.sourceSiteCode === siteCode) {
        changes.push(notifier.notification('package', packageId));
      }
    }
    await store.write(changes, { sync: false });
  }
}

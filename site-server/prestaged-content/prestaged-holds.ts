import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { isKept, type PrestagedHold } from '../../shared/domain/prestaged-content.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** What keeping imported content needs. */
export interface PrestagedHoldsComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  readonly logger: Logger;
}

/** How long it is kept. */
export interface PrestagedHoldsConfig {
  /** How long imported content stays that no DP of this site is to have. @default 30 days */
  readonly keptMs: number;
  /** How often it is looked for what is over. @default 1 h */
  readonly sweepIntervalMs: number;
}

/**
 * Keeps what was imported although no DP of this site is to have it (yet), so that an administrator may
 * import first and distribute afterwards. Owns the table "prestaged packages". When the time of a row
 * is over, the row goes in one batch with the notification that makes Distribution Manager let go of the
 * content, unless it is wanted by then; a crash leaves both to be done.
 */
export class PrestagedHolds implements Component {
  readonly #components: PrestagedHoldsComponents;
  readonly #config: PrestagedHoldsConfig;
  readonly #stopping = new AbortController();
  #sweeping: Promise<void> = Promise.resolve();

  constructor(components: PrestagedHoldsComponents, config: PrestagedHoldsConfig) {
    this.#components = components;
    this.#config = config;
  }

  async start(): Promise<void> {
    this.#sweeping = this.#sweepForEver();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#sweeping;
  }

  /** Whether the content of a package stays though nobody here is to have it. */
  async isKept(packageId: string): Promise<boolean> {
    return isKept(await this.#holds.get(packageId), this.#components.clock.nowMs());
  }

  /** The row for what is imported now, and the change that writes it. */
  newHold(version: { readonly packageId: string; readonly sourceVersion: number }): {
    readonly hold: PrestagedHold;
    readonly change: Change;
  } {
    const { packageId, sourceVersion } = version;
    const importedAtMs = this.#components.clock.nowMs();
    const keptUntilMs = importedAtMs + this.#config.keptMs;
    const hold = { packageId, sourceVersion, importedAtMs, keptUntilMs };
    return { hold, change: this.#holds.put(packageId, hold) };
  }

  /** Ends what is over. */
  async sweep(): Promise<void> {
    const { store, notifier, clock, logger } = this.#components;
    for await (const [packageId, hold] of this.#holds.list()) {
      if (isKept(hold, clock.nowMs())) continue;
      const changes = [this.#holds.delete(packageId), notifier.notification('package', packageId)];
      await store.write(changes, { sync: false });
      logger.info({ packageId }, 'Imported content is not kept for its own sake any more');
    }
  }

  async #sweepForEver(): Promise<void> {
    const { clock, logger } = this.#components;
    const { signal } = this.#stopping;
    try {
      for (;;) {
        await this.sweep().catch((err: unknown) => {
          if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
          logger.warn({ err }, 'Imported content that is over could not be let go of');
        });
        await clock.sleep(this.#config.sweepIntervalMs, signal);
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    }
  }

  get #holds() {
    return this.#components.store.records(keySpaces.prestagedPackages);
  }
}

import { ignoreAbort } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { SerialQueue } from '../runtime/serial-queue.ts';
import type { ContentRelease } from './content-release.ts';
import type { LibraryLayout } from './library-layout.ts';
import type { LibraryRooms } from './library-rooms.ts';
import type { LibraryTasks } from './library-tasks.ts';
import type { Quarantine } from './quarantine.ts';
import { sweepMarks, sweepShards } from './sweep-steps.ts';
import type { WorkerPool } from './worker-pool.ts';

/** What a sweep needs. */
export interface LibrarySweepComponents {
  readonly rooms: LibraryRooms;
  readonly release: ContentRelease;
  readonly pool: WorkerPool<LibraryTasks>;
  /** The queue all changes of the library pass. */
  readonly changes: SerialQueue;
  /** Makes the index complete if it is not; false when it cannot. Runs outside the queue. */
  readonly completeIndex: () => Promise<boolean>;
  readonly layout: LibraryLayout;
  readonly quarantine: Pick<Quarantine, 'trim'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How a sweep is tuned. */
export interface LibrarySweepConfig {
  readonly unreferencedGraceMs: number;
  readonly unfinishedGraceMs: number;
  readonly sweepIntervalMs: number;
}

/** Shards of the file library that are looked at in one step. */
const shardsPerStep = 128;

/**
 * Deletes what nothing uses: files, contents of no package, staged files of packages nobody works
 * on. Goes through the library in small steps between its changes; each can be done twice.
 */
export class LibrarySweep {
  readonly #needs: LibrarySweepComponents;
  readonly #config: LibrarySweepConfig;
  #isIndexTidy = false;

  constructor(needs: LibrarySweepComponents, config: LibrarySweepConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  /** Sweeps now and after each interval. What is staged may first be gone on with for one. */
  async runUntil(stopped: AbortSignal): Promise<void> {
    for (let isFirst = true; !stopped.aborted; isFirst = false) {
      try {
        await this.sweep({ signal: stopped, keepStaged: isFirst });
      } catch (err) {
        if (!stopped.aborted) this.#needs.logger.warn({ err }, 'Sweep of the library failed');
      }
      await this.#needs.clock.sleep(this.#config.sweepIntervalMs, stopped).catch(ignoreAbort);
    }
  }

  async sweep(options: { signal: AbortSignal; keepStaged: boolean }): Promise<void> {
    const { changes, release, completeIndex } = this.#needs;
    await changes.run(() => release.letGoOfLeftovers());
    await this.#needs.quarantine.trim();
    if (!options.keepStaged) await this.#sweepStaging();
    // Without all references nobody knows what is unused.
    if (!(await completeIndex())) return;
    await changes.run(() => this.#tidyIndex());
    await this.#sweepFiles(options.signal);
  }

  async #sweepFiles(signal: AbortSignal): Promise<void> {
    const { rooms, changes, clock, logger, layout } = this.#needs;
    const graceMs = this.#config.unreferencedGraceMs;
    const { fileLibrary, staging } = layout;
    const workSinceMs = await this.#needs.pool.run('oldestWorkMs', { staging });
    const shards = await this.#needs.pool.run('listShards', { fileLibrary });
    let removedCount = 0;
    for (let start = 0; start < shards.length; start += shardsPerStep) {
      if (signal.aborted) return;
      const step = shards.slice(start, start + shardsPerStep);
      const swept = await changes.run(() =>
        sweepShards(rooms, step, { nowMs: clock.nowMs(), graceMs, workSinceMs }),
      );
      removedCount += swept.removedCount;
    }
    await changes.run(() => sweepMarks(rooms, shards));
    if (removedCount > 0) logger.info({ removedCount }, 'Unused files deleted');
  }

  async #sweepStaging(): Promise<void> {
    const { pool, clock, layout, logger } = this.#needs;
    const untouchedSinceMs = clock.nowMs() - this.#config.unfinishedGraceMs;
    const { staging } = layout;
    const names = await pool.run('removeStale', { staging, untouchedSinceMs });
    for (const name of names) logger.info({ name }, 'Stale staging directory deleted');
  }

  /**
   * Once in a process: a power cut can bring back references that were dropped, of contents whose
   * manifests are gone.
   */
  async #tidyIndex(): Promise<void> {
    if (this.#isIndexTidy) return;
    const { rooms, release, clock } = this.#needs;
    await rooms.references.dropGone(release.isLive, clock.nowMs());
    this.#isIndexTidy = true;
  }
}

import { isErrorWithCode, type WaybillError } from '../../../shared/domain/errors.ts';
import type { PullSource } from '../../../shared/domain/pull-source.ts';
import type { BegunAction } from '../../../shared/package-receiver/package-actions.ts';
import { ignoreAbort, isAbortError } from '../../../shared/runtime/abort-error.ts';
import type { Clock } from '../../../shared/runtime/clock.ts';
import type { ClientLibrary } from './client-library.ts';
import type { GetObserver } from './package-access.ts';
import type { PackageLocation } from './package-location.ts';

/** What a download tells. */
export interface DownloadEvents {
  expected(bytes: number): void;
  done(bytes: number): void;
  /** Content bytes that came over the wire from a source. */
  received(source: PullSource, bytes: number): void;
  lied(source: PullSource, error: WaybillError): void;
  waiting(error: WaybillError): void;
  resumed(): void;
}

/** A download that runs, and waits inside as long as nobody gives what is missing. */
export interface RunningDownload {
  /** Resolves when every file is here and verified. */
  readonly whenDone: Promise<void>;
  /** From now on these are asked, also those that failed before. */
  setSources(sources: readonly PullSource[]): void;
}

/** Begins to bring all that is absent of an action that the receiver has begun. */
export type StartDownload = (
  library: ClientLibrary,
  job: {
    readonly action: BegunAction;
    readonly sources: readonly PullSource[];
    readonly signal: AbortSignal;
    readonly events: DownloadEvents;
  },
) => RunningDownload;

/** How a download is looked after. */
export interface WatchedDownloadNeeds {
  readonly clock: Clock;
  readonly locate: (signal: AbortSignal) => Promise<PackageLocation>;
  readonly start: StartDownload;
  /** While nobody gives what is missing, the site is asked so often for other sources. */
  readonly relocateMs: number;
}

/** What is downloaded, and who hears of it. */
export interface DownloadJob {
  readonly library: ClientLibrary;
  readonly action: BegunAction;
  readonly location: PackageLocation;
  readonly signal: AbortSignal;
  readonly observer: GetObserver;
  readonly onReceived: (source: PullSource, bytes: number) => void;
}

/**
 * A download of somebody who waits for it: ends when the disk is full, and asks the site anew while
 * no source gives what is missing.
 *
 * @returns the location of another version, when the package has one by now; else undefined
 * @throws DISK_FULL; AbortError; what the download throws
 */
export async function runWatchedDownload(
  needs: WatchedDownloadNeeds,
  job: DownloadJob,
): Promise<PackageLocation | undefined> {
  const watch = new DownloadWatch(needs, job);
  return watch.run();
}

class DownloadWatch {
  readonly #needs: WatchedDownloadNeeds;
  readonly #job: DownloadJob;
  readonly #ended = new AbortController();
  #isWaiting = false;
  #failure: WaybillError | undefined;
  #newer: PackageLocation | undefined;

  constructor(needs: WatchedDownloadNeeds, job: DownloadJob) {
    this.#needs = needs;
    this.#job = job;
  }

  async run(): Promise<PackageLocation | undefined> {
    const { library, action, location } = this.#job;
    const signal = AbortSignal.any([this.#job.signal, this.#ended.signal]);
    const { sources } = location;
    const download = this.#needs.start(library, {
      action,
      sources,
      signal,
      events: this.#events(),
    });
    const relocating = this.#relocate(download, signal);
    try {
      await download.whenDone;
    } catch (error) {
      if (this.#failure) throw this.#failure;
      if (!this.#newer || !isAbortError(error)) throw error;
    } finally {
      this.#ended.abort();
      await relocating;
    }
    return this.#newer;
  }

  #events(): DownloadEvents {
    const { observer, onReceived } = this.#job;
    return {
      expected: (bytes) => observer.expected(bytes),
      done: (bytes) => observer.done(bytes),
      lied: (source, error) => observer.lied(source, error),
      received: onReceived,
      waiting: (error) => this.#onWaiting(error),
      resumed: () => {
        this.#isWaiting = false;
        observer.resumed();
      },
    };
  }

  /** Sources may come back by themselves; room on the disk is made by somebody. */
  #onWaiting(error: WaybillError): void {
    if (isErrorWithCode(error, 'DISK_FULL')) {
      this.#failure = error;
      this.#ended.abort();
      return;
    }
    this.#isWaiting = true;
    this.#job.observer.waiting(error);
  }

  /** Until the download has ended. */
  async #relocate(download: RunningDownload, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#needs.clock.sleep(this.#needs.relocateMs, signal).catch(ignoreAbort);
      if (!signal.aborted && this.#isWaiting) await this.#relocateOnce(download, signal);
    }
  }

  async #relocateOnce(download: RunningDownload, signal: AbortSignal): Promise<void> {
    let found: PackageLocation;
    try {
      found = await this.#needs.locate(signal);
    } catch {
      // The site is away, or knows of nobody either: the sources that are known may still come back.
      return;
    }
    if (signal.aborted) return;
    if (found.version.packageHash === this.#job.action.version.packageHash) {
      download.setSources(found.sources);
      return;
    }
    this.#newer = found;
    this.#ended.abort();
  }
}

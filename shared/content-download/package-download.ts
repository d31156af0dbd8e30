/**
 * Fetches what is absent of a package from ranked sources into a package receiver (PULL-1, PULL-6,
 * PULL-7): all sources at once, piece by piece, each byte verified by the receiver before it counts.
 * Called by a pull DP and by `waybill get`. Stores nothing itself: a crash leaves what the receiver
 * keeps, and at most one request a stream is made twice.
 */
import type { ContentLibrary } from '../content-library/content-library.ts';
import type { WaybillError } from '../domain/errors.ts';
import type { PullContentState } from '../domain/pull-job.ts';
import type { PullSource } from '../domain/pull-source.ts';
import type { BegunAction } from '../package-receiver/package-actions.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { type ArrivingRegister, ContentFetch, type ContentReceiver } from './content-fetch.ts';
import { ContentLedger } from './content-ledger.ts';
import { DownloadSources } from './download-sources.ts';
import { DownloadWaits, defaultWaitRules, type WaitRules } from './download-waits.ts';
import { Intake } from './intake.ts';
import { SharedChannels } from './shared-channels.ts';
import type { ContentChannel } from './source-connection.ts';
import type { SourceSet } from './source-set.ts';
import { defaultSourceRules, type SourceRules } from './source-state.ts';
import { AgentStreams } from './stream-budget.ts';
import { defaultUnitFetchConfig, type UnitFetchConfig } from './unit-fetch.ts';

/** What is told of a download while it runs. */
export interface DownloadObserver {
  /**
   * For each content in this order: downloading-signature (unless its manifest is here),
   * signature-downloaded, downloading (unless nothing is missing), downloaded. Awaited.
   */
  contentState(contentId: string, state: PullContentState): Promise<void>;
  /**
   * Content bytes that are to be fetched more (or, negative, less) than was known. First of all the
   * sizes of all contents, then less for what turns out to be here.
   */
  expected(bytes: number): void;
  /** Content bytes that are verified and written now, in units that were missing. */
  done(bytes: number): void;
  /** Content bytes that came over the wire, wrong or doubled ones included. */
  received(bytes: number): void;
  /** A source gave wrong bytes: set aside for good. */
  lied(source: PullSource, error: WaybillError): void;
  /**
   * Nobody gives what is missing (PULL_SOURCES_EXHAUSTED), or DISK_FULL here; goes on by itself, at
   * the latest then (Unix epoch). Told again when it is so still.
   */
  waiting(error: WaybillError, restartAtMs: number): void;
  /** Something came again. */
  resumed(): void;
}

export interface PackageDownloadNeeds {
  readonly receiver: ContentReceiver;
  readonly library: Pick<ContentLibrary, 'getPackage'>;
  readonly arriving: ArrivingRegister;
  /** Opens a channel to a source; the download closes it. */
  readonly connect: (source: PullSource) => ContentChannel;
  readonly clock: Clock;
  /** From 0 up to 1, as `Math.random`. */
  readonly random: () => number;
  readonly logger: Logger;
  /**
   * The identity of this agent, such as waybill://dp/PS1DP1, by which DPs that are each other's sources
   * share out what each of them asks a common source for. Without it they ask for more of the same.
   */
  readonly self?: string | undefined;
}

/** How a download is tuned. */
export interface PackageDownloadConfig extends UnitFetchConfig, SourceRules, WaitRules {
  /** Streams of all downloads that run here at once; each has one at least. @default 64 */
  readonly streamsOfAllMax: number;
}

export const defaultPackageDownloadConfig: PackageDownloadConfig = {
  ...defaultUnitFetchConfig,
  ...defaultSourceRules,
  ...defaultWaitRules,
  streamsOfAllMax: 64,
};

export interface PackageDownloadJob {
  /** Begun at the receiver. */
  readonly action: BegunAction;
  /** May change while the download runs. */
  readonly sources: SourceSet;
  /** What it keeps to while it fetches. @default nothing, of normal priority */
  readonly intake?: Intake;
  readonly signal: AbortSignal;
  readonly observer: DownloadObserver;
}

/** A package all of which is here, and can be fetched from here as one that arrives. */
export class DownloadedPackage {
  readonly #ends: (() => void)[] = [];

  /** @param end of a content, which can be fetched from here until it is called */
  add(end: () => void): void {
    this.#ends.push(end);
  }

  /** Its contents arrive no more: to be called after the commit, or when there will be none. */
  end(): void {
    for (const end of this.#ends.splice(0)) end();
  }
}

/** See the head of this file. One can run any number of jobs, one after another or at once. */
export class PackageDownload {
  readonly #needs: PackageDownloadNeeds;
  readonly #config: PackageDownloadConfig;
  readonly #channels: SharedChannels;
  readonly #streams: AgentStreams;

  constructor(needs: PackageDownloadNeeds, config: Partial<PackageDownloadConfig> = {}) {
    this.#needs = needs;
    this.#config = { ...defaultPackageDownloadConfig, ...config };
    this.#channels = new SharedChannels(needs.connect);
    this.#streams = new AgentStreams(this.#config.streamsOfAllMax);
  }

  /**
   * Brings all that is absent of an action. Resolves when every file of every content is here and
   * verified; the caller commits, then ends what it got. Never gives up: waits inside.
   *
   * @throws AbortError; ACTION_…, FILE_NOT_WANTED, CONTENT_INCOMPLETE and whatever else is nobody's
   *   to wait for: begin the action again
   */
  async run(job: PackageDownloadJob): Promise<DownloadedPackage> {
    const downloaded = new DownloadedPackage();
    using intake = job.intake ?? new Intake(this.#needs, 2);
    intake.open();
    const sources = this.#openSources(job, intake);
    try {
      await this.#bring(job, { sources, intake }, downloaded);
      return downloaded;
    } catch (error) {
      downloaded.end();
      throw error;
    } finally {
      await sources.close();
    }
  }

  async #bring(
    { action, observer, signal }: PackageDownloadJob,
    parts: { readonly sources: DownloadSources; readonly intake: Intake },
    downloaded: DownloadedPackage,
  ): Promise<void> {
    const { clock, library } = this.#needs;
    const { packageId, version } = action;
    const waits = new DownloadWaits({ packageId, clock, observer }, this.#config);
    const hasOlder = (await library.getPackage(packageId)) !== undefined;
    const contents = version.contents.map((content) => ({
      content,
      ledger: new ContentLedger(observer, content.sizeBytes),
    }));
    for (const { content, ledger } of contents) {
      const needs = {
        ...this.#needs,
        ...parts,
        streams: this.#streams,
        waits,
        hasOlder,
        ledger,
        onReceived: (bytes: number) => observer.received(bytes),
        onState: (state: PullContentState) => observer.contentState(content.contentId, state),
        onRegistered: (end: () => void) => downloaded.add(end),
        config: this.#config,
      };
      await new ContentFetch(needs, { action, content, signal }).run();
    }
  }

  #openSources({ sources, observer }: PackageDownloadJob, intake: Intake): DownloadSources {
    const { clock, random, logger } = this.#needs;
    const connect = (source: PullSource) => this.#channels.open(source);
    const onLied = (source: PullSource, error: WaybillError) => observer.lied(source, error);
    const priority = () => intake.priority;
    const needs = { connect, clock, random, priority, logger, onLied };
    return new DownloadSources(sources, needs, this.#config);
  }
}

import type { LibraryPackage } from '../../content-library/package-library.ts';
import type { WaybillError } from '../../domain/errors.ts';
import type { PullSource } from '../../domain/pull-source.ts';
import { CapturedLog } from '../../testing/captured-log.ts';
import type { FakeClock } from '../../testing/fake-clock.ts';
import { SeededRandom } from '../../testing/seeded-random.ts';
import type { ArrivingContentEntry } from '../content-fetch.ts';
import type { Intake } from '../intake.ts';
import {
  type DownloadedPackage,
  type DownloadObserver,
  PackageDownload,
  type PackageDownloadConfig,
} from '../package-download.ts';
import { SourceSet } from '../source-set.ts';
import { type FakeContent, packageId } from './fake-content.ts';
import { FakeLink } from './fake-network.ts';
import type { FakePeer } from './fake-peer.ts';
import { FakeReceiver } from './fake-receiver.ts';

/** What a download told of itself. */
export class RecordedDownload implements DownloadObserver {
  readonly states: string[] = [];
  readonly liars: string[] = [];
  readonly errors: WaybillError[] = [];
  readonly waits: { code: string; atMs: number; restartAtMs: number }[] = [];
  readonly resumes: number[] = [];
  expectedBytes = 0;
  doneBytes = 0;
  receivedBytes = 0;
  readonly #clock: FakeClock;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  async contentState(_contentId: string, state: string): Promise<void> {
    this.states.push(state);
  }
  expected(bytes: number): void {
    this.expectedBytes += bytes;
  }
  done(bytes: number): void {
    this.doneBytes += bytes;
  }
  received(bytes: number): void {
    this.receivedBytes += bytes;
  }
  lied({ address }: PullSource, error: WaybillError): void {
    this.liars.push(address);
    this.errors.push(error);
  }
  waiting(error: WaybillError, restartAtMs: number): void {
    const { code } = error;
    this.errors.push(error);
    this.waits.push({ code, atMs: this.#clock.nowMs(), restartAtMs });
  }
  resumed(): void {
    this.resumes.push(this.#clock.nowMs());
  }
}

/** One who downloads a fake content from fake peers. */
export class FakePuller {
  receiver: FakeReceiver;
  /** Whether an older version of the package is here. */
  hasOlder = false;
  readonly observer: RecordedDownload;
  readonly set: SourceSet;
  readonly link: FakeLink;
  readonly log = new CapturedLog();
  readonly #clock: FakeClock;
  readonly #peers: readonly FakePeer[];
  readonly #content: FakeContent;
  readonly #self: string | undefined;
  readonly #ended = new AbortController();
  entry: ArrivingContentEntry | undefined;
  onEntry: (entry: ArrivingContentEntry) => void = () => {};
  onGrown: () => void = () => {};
  downloaded: DownloadedPackage | undefined;
  doneAtMs: number | undefined;
  failure: unknown;

  constructor(
    clock: FakeClock,
    content: FakeContent,
    options: {
      peers: readonly FakePeer[];
      link?: FakeLink;
      sources?: readonly PullSource[];
      self?: string;
    },
  ) {
    this.#clock = clock;
    this.#content = content;
    this.#peers = options.peers;
    this.#self = options.self;
    this.link = options.link ?? new FakeLink(1e9);
    this.receiver = new FakeReceiver(content);
    this.observer = new RecordedDownload(clock);
    this.set = new SourceSet(options.sources ?? options.peers.map(({ source }) => source));
  }

  /** Begins; what becomes of it is in `doneAtMs` and `failure`. */
  start(options: { seed?: number; config?: Partial<PackageDownloadConfig> } = {}): Promise<void> {
    const older = this.hasOlder ? ({} as LibraryPackage) : undefined;
    const download = new PackageDownload(
      {
        receiver: this.receiver,
        library: { getPackage: async () => older },
        arriving: {
          add: (entry) => {
            this.entry = entry;
            this.onEntry(entry);
            return () => {
              this.entry = undefined;
            };
          },
          changed: () => this.onGrown(),
        },
        connect: (source) => this.#peerOf(source).channelFor(this.link),
        clock: this.#clock,
        random: new SeededRandom(options.seed ?? 1).next,
        logger: this.log.logger,
        self: this.#self,
      },
      options.config,
    );
    const { version } = this.#content;
    const action = { packageId, jobSerial: 1, version, redistribute: false };
    const { set: sources, observer } = this;
    const { signal } = this.#ended;
    const intake = this.intake && { intake: this.intake };
    return download.run({ action, sources, observer, signal, ...intake }).then(
      (downloaded) => {
        this.downloaded = downloaded;
        this.doneAtMs = this.#clock.monotonicMs();
      },
      (failure: unknown) => {
        this.failure = failure;
      },
    );
  }

  /** What it keeps to while it fetches. */
  intake: Intake | undefined;

  stop(): void {
    this.#ended.abort();
  }

  #peerOf({ address }: PullSource): FakePeer {
    const peer = this.#peers.find(({ source }) => source.address === address);
    if (!peer) throw new Error(`There is no peer ${address}`);
    return peer;
  }
}

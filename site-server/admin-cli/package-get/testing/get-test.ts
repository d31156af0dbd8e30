import type { PackageVersion } from '../../../../shared/domain/package.ts';
import { TestSender } from '../../../../shared/package-receiver/testing/test-distribution-point.ts';
import { AbortError, throwIfAborted } from '../../../../shared/runtime/abort-error.ts';
import { FakeClock } from '../../../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../../../shared/testing/temporary-directory.ts';
import { TestLibrary, type TestTree } from '../../../../shared/testing/test-library.ts';
import { nearSource } from '../../testing/fake-packages.ts';
import { openClientLibrary } from '../client-library.ts';
import type { FetchedPackage, GetObserver } from '../package-access.ts';
import { PackageGet } from '../package-get.ts';
import type { PackageLocation } from '../package-location.ts';
import type { RunningDownload, StartDownload } from '../watched-download.ts';

/** Remembers what it was told. */
export class KeptEvents implements GetObserver {
  readonly told: string[] = [];
  /** Called after each event. */
  onEvent: (event: string) => void = () => {};

  begun({ isResumed, location }: { location: PackageLocation; isResumed: boolean }): void {
    const { sourceVersion } = location.version;
    this.#tell(`${isResumed ? 'goes on with' : 'begins'} version ${sourceVersion}`);
  }

  expected(): void {}
  done(): void {}

  lied(): void {
    this.#tell('lied');
  }

  waiting(): void {
    this.#tell('waiting');
  }

  resumed(): void {
    this.#tell('resumed');
  }

  writing(bytes: number): void {
    if (bytes === 0) this.#tell('writing');
  }

  warned(message: string): void {
    this.#tell(message);
  }

  #tell(event: string): void {
    this.told.push(event);
    this.onEvent(event);
  }
}

/** A client with an output directory, and a source whose library it fetches from. */
export class GetTest implements AsyncDisposable {
  readonly directory: TemporaryDirectory;
  readonly source: TestLibrary;
  readonly clock = new FakeClock(Date.now());
  readonly events = new KeptEvents();
  readonly interrupted = new AbortController();
  /** What the site says of the package; set by `publish`. */
  located: () => Promise<PackageLocation> = () => Promise.reject(new Error('Nothing is published'));
  /** How a download goes; a test may make it end otherwise. */
  start: StartDownload = (...args) => this.bringAll(...args);
  /** Hashes of files and `hash:index` of pieces, as they were fetched. */
  sent: string[] = [];
  /** After so many it is as if the process were interrupted. */
  sentMax = Infinity;

  private constructor(directory: TemporaryDirectory, source: TestLibrary) {
    this.directory = directory;
    this.source = source;
  }

  static async open(): Promise<GetTest> {
    const directory = await TemporaryDirectory.create();
    return new GetTest(directory, await TestLibrary.open({ directory: directory.join('site') }));
  }

  get out(): string {
    return this.directory.join('home', 'office');
  }

  get work(): string {
    return `${this.out}.waybill-partial`;
  }

  async publish(sourceVersion: number, tree: TestTree): Promise<PackageVersion> {
    const version = await this.source.commit('PS100001', sourceVersion, tree);
    this.located = async () => ({ version, sources: [nearSource] });
    return version;
  }

  run(outDirectory = this.out): Promise<FetchedPackage> {
    const { clock } = this;
    const get = new PackageGet({
      clock,
      locate: () => this.located(),
      startDownload: (library, job) => this.start(library, job),
      openLibrary: (folder) => openClientLibrary(folder, clock),
    });
    const options = { signal: this.interrupted.signal, observer: this.events };
    return get.run({ packageId: 'PS100001', outDirectory }, options);
  }

  /** A download that brings all that is wanted, piece by piece. */
  bringAll(
    ...[{ receiver }, { action, events, signal }]: Parameters<StartDownload>
  ): RunningDownload {
    const bring = async () => {
      const sender = new TestSender(this.source, receiver);
      await sender.begin(action.version, action.jobSerial);
      await sender.bring(action.version, action.jobSerial, (bytes, { hash }) => {
        throwIfAborted(signal);
        if (this.sent.length >= this.sentMax) throw new AbortError();
        this.sent.push(hash);
        events.received(nearSource, bytes.length);
        events.done(bytes.length);
        return bytes;
      });
    };
    return { whenDone: bring(), setSources: () => {} };
  }

  /** A download that waits until it is aborted or told of sources. */
  waitFor(error: Parameters<GetObserver['waiting']>[0]): StartDownload {
    return (library, job) => {
      let wake = () => {};
      const told = new Promise<void>((resolve, reject) => {
        wake = resolve;
        job.signal.addEventListener('abort', () => reject(new AbortError()));
      });
      const run = async () => {
        job.events.waiting(error);
        await told;
        job.events.resumed();
        await this.bringAll(library, job).whenDone;
      };
      return { whenDone: run(), setSources: () => wake() };
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.source[Symbol.asyncDispose]();
    await this.directory[Symbol.asyncDispose]();
  }
}

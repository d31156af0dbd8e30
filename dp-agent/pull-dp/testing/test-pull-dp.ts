import { setImmediate as nextTurn } from 'node:timers/promises';
import { isErrorWithCode, WaybillError } from '../../../shared/domain/errors.ts';
import type { PackageVersion, Priority } from '../../../shared/domain/package.ts';
import type { PullUrgency } from '../../../shared/domain/pull-job.ts';
import type { PullSource } from '../../../shared/domain/pull-source.ts';
import type { StateMessage } from '../../../shared/domain/state-message.ts';
import { fetchingPassage } from '../../../shared/domain/transfer-passage.ts';
import type {
  BegunAction,
  PackageAction,
} from '../../../shared/package-receiver/package-actions.ts';
import { AbortError } from '../../../shared/runtime/abort-error.ts';
import { keySpaces } from '../../../shared/state-store/key-space.ts';
import { StateStore } from '../../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../../shared/testing/captured-log.ts';
import { CrashingStore } from '../../../shared/testing/crashing-store.ts';
import { FakeClock } from '../../../shared/testing/fake-clock.ts';
import { collect, toVersion } from '../../../shared/testing/test-library.ts';
import { PassageHours } from '../../../shared/transfer-arbiter/passage-hours.ts';
import { TransferArbiter } from '../../../shared/transfer-arbiter/transfer-arbiter.ts';
import { StateMessageOutbox } from '../../state-reporter/state-message-outbox.ts';
import type {
  FetchedPackage,
  FetchObserver,
  PackageFetch,
  PackageFetcher,
} from '../package-fetcher.ts';
import { PullDp } from '../pull-dp.ts';
import { PullDpSettings } from '../pull-dp-settings.ts';
import { PullJobStore } from '../pull-job-store.ts';
import type { PullNotification } from '../pull-notification.ts';

export const packageId = 'PS100001';
export const source = (dpId: string, rank = 1): PullSource => ({
  identity: { kind: 'dp', dpId },
  address: `${dpId.toLowerCase()}:8531`,
  rank,
});

/** A version of so many contents of 1,000 bytes. */
export function testVersion(sourceVersion = 1, contentCount = 1, id = packageId): PackageVersion {
  const contents = Array.from({ length: contentCount }, (_, index) => ({
    contentId: contentCount === 1 ? `${id}.${sourceVersion}` : `${id}.${sourceVersion}.${index}`,
    contentHash: '01'.repeat(32),
    signatureHash: '02'.repeat(32),
    manifestBytes: 100,
    signatureBytes: 0,
    entryCount: 1,
    fileCount: 1,
    sizeBytes: 1_000,
  }));
  return toVersion(id, sourceVersion, contents);
}

/** The bundle's hash, for tests to which bytes do not matter. */
const bundleHash = 'ab'.repeat(32);

/** What a site says of a version. */
export function notificationOf(
  version: PackageVersion,
  jobSerial: number,
  changes: Partial<PullNotification> = {},
): PullNotification {
  return {
    packageId: version.packageId,
    jobSerial,
    sourceVersion: version.sourceVersion,
    action: 'add',
    allowFallback: false,
    priority: 2,
    sizeBytes: version.contents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    bundleHash,
    contents: version.contents.map(({ contentId }) => ({ contentId, relatedContentId: '' })),
    sources: [source('PS1DP2')],
    managementPoint: 'ps1:8530',
    packagesMax: 5,
    ignoresWindow: false,
    ...changes,
  };
}

/** Fences and commits as a package receiver does; what it has committed outlives an agent. */
export class FakeReceiver {
  readonly newest = new Map<string, number>();
  readonly committed = new Map<string, { jobSerial: number; packageHash: string }>();
  readonly begun: BegunAction[] = [];
  /** Thrown by the next calls, first one first. */
  readonly beginFailures: Error[] = [];
  readonly commitFailures: Error[] = [];
  commitCount = 0;
  isCommitting = false;
  /** What a commit waits for. */
  beforeCommit: () => Promise<void> = async () => {};

  async begin(action: BegunAction) {
    const failure = this.beginFailures.shift();
    if (failure) throw failure;
    this.#admit(action);
    this.begun.push(action);
    return { contentIdsWithoutManifest: [], inspected: [] };
  }

  async commit(action: PackageAction): Promise<string> {
    this.#admit(action);
    const failure = this.commitFailures.shift();
    if (failure) throw failure;
    const begun = this.begun.findLast(({ jobSerial }) => jobSerial === action.jobSerial);
    if (!begun) throw new WaybillError({ code: 'ACTION_NOT_BEGUN', ...action });
    this.isCommitting = true;
    await this.beforeCommit();
    this.isCommitting = false;
    const { packageHash } = begun.version;
    this.commitCount += 1;
    this.committed.set(action.packageId, { jobSerial: action.jobSerial, packageHash });
    return packageHash;
  }

  async getPackage(id: string) {
    const held = this.committed.get(id);
    return held && { ...testVersion(1, 1, id), ...held };
  }

  #admit({ packageId: id, jobSerial }: PackageAction): void {
    const newestJobSerial = this.newest.get(id) ?? 0;
    if (jobSerial < newestJobSerial) {
      const facts = { packageId: id, jobSerial, newestJobSerial };
      throw new WaybillError({ code: 'ACTION_SUPERSEDED', ...facts });
    }
    this.newest.set(id, jobSerial);
  }
}

/** What a fetch does in a test. */
export type FetchScript = (fetch: {
  readonly action: BegunAction;
  readonly signal: AbortSignal;
  readonly observer: FetchObserver;
  readonly sources: readonly PullSource[];
  /** Tells all states of all contents, and their bytes. */
  readonly bringAll: () => Promise<void>;
}) => Promise<void>;

/** Runs scripts, by package; without one it brings all at once. */
export class FakeFetcher implements PackageFetcher {
  readonly scripts = new Map<string, FetchScript>();
  /** Packages that are being fetched, in the order in which they began. */
  readonly running: string[] = [];
  /** Priorities that were given to fetches. */
  readonly priorities: Priority[] = [];
  /** For each of them, whether it is to run whatever the hour is. */
  readonly ignoreWindows: boolean[] = [];
  readonly sourcesSet: (readonly PullSource[])[] = [];
  endCount = 0;

  open(first: readonly PullSource[], urgency: PullUrgency): PackageFetch {
    let sources = first;
    const setUrgency = ({ priority, ignoresWindow = false }: PullUrgency) => {
      this.priorities.push(priority);
      this.ignoreWindows.push(ignoresWindow);
    };
    setUrgency(urgency);
    return {
      setUrgency,
      setSources: (next) => {
        sources = next;
        this.sourcesSet.push(next);
      },
      run: async ({ action, signal, observer }) => {
        const bringAll = () => bringContents(action, observer);
        const script = this.scripts.get(action.packageId) ?? bringAll;
        this.running.push(action.packageId);
        try {
          await script({ action, signal, observer, sources, bringAll });
          return this.#fetched();
        } finally {
          this.running.splice(this.running.indexOf(action.packageId), 1);
        }
      },
    };
  }

  #fetched(): FetchedPackage {
    return {
      end: () => {
        this.endCount += 1;
      },
    };
  }
}

async function bringContents({ version }: BegunAction, observer: FetchObserver): Promise<void> {
  for (const { contentId, sizeBytes } of version.contents) {
    await observer.contentState(contentId, 'downloading-signature');
    await observer.contentState(contentId, 'signature-downloaded');
    observer.expected(sizeBytes);
    await observer.contentState(contentId, 'downloading');
    observer.received(sizeBytes);
    observer.done(sizeBytes);
    await observer.contentState(contentId, 'downloaded');
  }
}

/** Never ends but by an abort. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((_, reject) => {
    const abort = () => reject(new AbortError());
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
  });
}

/** Resolves when that is so. Throws after many turns of the event loop, so that a test ends. */
export async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    if (turn > turnsMax) throw new Error(`Never: ${String(condition)}`);
    await nextTurn();
  }
}

/** Seconds, on any machine. */
const turnsMax = 1_000_000;

/** A pull DP over a real state store, which outlives it. */
export class TestPullDp {
  readonly clock = new FakeClock();
  readonly log = new CapturedLog();
  readonly receiver = new FakeReceiver();
  readonly fetcher = new FakeFetcher();
  readonly arbiter = new TransferArbiter(this.clock);
  readonly #database: StateStore;
  life!: CrashingStore;
  outbox!: StateMessageOutbox;
  jobs!: PullJobStore;
  settings!: PullDpSettings;
  hours!: PassageHours;
  pullDp!: PullDp;

  private constructor(database: StateStore) {
    this.#database = database;
  }

  static async open(directory: string): Promise<TestPullDp> {
    const { store } = await StateStore.open({ directory, logger: new CapturedLog().logger });
    return new TestPullDp(store);
  }

  /** A fetch of any package runs until it is aborted. */
  hold(id = packageId): void {
    this.fetcher.scripts.set(id, ({ signal }) => untilAborted(signal));
  }

  /** Begins a life of the agent; a crash may be due in it. */
  async start(crashAt = Number.POSITIVE_INFINITY, isLastWritten = false): Promise<void> {
    const { clock, receiver, fetcher } = this;
    this.life = new CrashingStore(this.#database);
    this.life.crashAt(crashAt, isLastWritten);
    const { store } = this.life;
    const { logger } = this.log;
    this.outbox = new StateMessageOutbox({ store, clock, logger }, { dpId: 'PS1DP1' });
    this.jobs = new PullJobStore(store, this.outbox);
    this.settings = new PullDpSettings(store);
    this.hours = new PassageHours({ arbiter: this.arbiter, clock }, fetchingPassage);
    const { outbox, jobs, settings, life } = this;
    const library = {
      getPackage: (id: string) => receiver.getPackage(id),
    };
    const random = () => 0.5;
    this.pullDp = new PullDp({
      receiver: {
        begin: (action) => life.whileAlive(() => receiver.begin(action)),
        commit: (action) => life.whileAlive(() => receiver.commit(action)),
      },
      ...{ library, fetcher, jobs, outbox, settings, clock, random, logger },
      hours: this.hours,
    });
    await this.hours.start();
    await outbox.start();
    await this.pullDp.start();
  }

  /** The agent dies, and nothing it was about to do is done. */
  async crash(): Promise<void> {
    this.life.crash();
    await this.#database.settled();
  }

  async stop(): Promise<void> {
    await this.pullDp.stop();
    await this.hours.stop();
    await this.outbox.stop();
  }

  async close(): Promise<void> {
    if (this.life && !this.life.hasCrashed) await this.stop();
    await this.#database.close();
  }

  /** The last two phases of a notification. */
  async notify(
    version: PackageVersion,
    jobSerial: number,
    changes: Partial<PullNotification> = {},
  ): Promise<void> {
    const { packageId: id } = version;
    this.pullDp.putPackageInfo({ packageId: id, jobSerial, version, bundleHash, manifests: [] });
    await this.pullDp.notify(notificationOf(version, jobSerial, changes));
  }

  /** All messages that were not sent, in order. */
  async messages(): Promise<StateMessage[]> {
    const rows = await collect(this.#database.records(keySpaces.stateMessageOutbox).list());
    return rows.map(([, message]) => message);
  }

  /** `PS100001:1 success`, in order. */
  async told(): Promise<string[]> {
    const messages = await this.messages();
    return messages.map((one) => `${one.packageId}:${one.jobSerial} ${one.state}`);
  }

  /** Resolves when no job is left. */
  async done(): Promise<void> {
    await until(() => this.jobs.size === 0);
  }
}

/** The facts of an error, when it has this code. */
export function refusedWith(code: WaybillError['code']): (error: unknown) => boolean {
  return (error) => isErrorWithCode(error, code);
}

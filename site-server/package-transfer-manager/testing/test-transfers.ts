import type { DistributionJob } from '../../../shared/domain/distribution-job.ts';
import type { DistributionPoint } from '../../../shared/domain/distribution-point.ts';
import { WaybillError } from '../../../shared/domain/errors.ts';
import type { Priority } from '../../../shared/domain/package.ts';
import type { PackageStatus } from '../../../shared/domain/package-status.ts';
import type { SitePackage } from '../../../shared/domain/site-package.ts';
import type { TransferControls } from '../../../shared/domain/transfer-controls.ts';
import { ChangeNotifier } from '../../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../../shared/state-store/key-space.ts';
import { SerialCounter } from '../../../shared/state-store/serial-counter.ts';
import { StateStore } from '../../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../../shared/testing/captured-log.ts';
import { FakeClock } from '../../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../../shared/testing/temporary-directory.ts';
import { testJob } from '../../../shared/testing/test-job.ts';
import { TransferArbiter } from '../../../shared/transfer-arbiter/transfer-arbiter.ts';
import { TestSettings } from '../../component-settings/testing/test-settings.ts';
import { PackageStore } from '../../distribution-manager/package-store.ts';
import { ContentDpMap } from '../../hierarchy-manager/content-dp-map.ts';
import { HierarchyManager } from '../../hierarchy-manager/hierarchy-manager.ts';
import { TransferControlRows } from '../../hierarchy-manager/transfer-control-rows.ts';
import { StatusManager } from '../../status-manager/status-manager.ts';
import { type HeldPackage, JobCancellation } from '../job-cancellation.ts';
import type { JobRun, RunResult } from '../job-run.ts';
import { JobSteering } from '../job-steering.ts';
import { JobTable } from '../job-table.ts';
import {
  PackageTransferManager,
  type PackageTransferManagerComponents,
  type PackageTransferManagerConfig,
} from '../package-transfer-manager.ts';
import { defaultPullConfig } from '../pull-config.ts';
import type { PullHandover } from '../pull-notification.ts';
import { TransferPermits } from '../transfer-permits.ts';

const config: PackageTransferManagerConfig = {
  packagesMax: 3,
  distributionPointsPerPackageMax: 5,
  retryCountMax: 100,
  retryDelayMs: 5_000,
  retryDelayMsMax: 30 * 60_000,
  diskFullDelayMs: 2_000,
  diskFullDelayMsMax: 30_000,
  progressWriteMs: 1_000,
  pull: defaultPullConfig,
};

/** A run that a test ends as it likes. */
export interface FakeRun extends JobRun {
  finish(verifiedHash?: string): void;
  /** Its pull DP has taken the job. */
  handOver(handover?: Partial<PullHandover>): void;
  /** Its DP has heard that older jobs were cancelled. */
  hear(held?: HeldPackage): void;
  fail(error: unknown): void;
}

type FakeNotification = {
  -readonly [K in keyof PackageTransferManagerComponents['notification']]: PackageTransferManagerComponents['notification'][K];
};

/** The rooms a site has besides Package Transfer Manager, over one store; DPs are played. */
export class TestTransfers implements AsyncDisposable {
  readonly config = config;
  /** Changed by a test, they are obeyed from the next look on. */
  limits = { ...config };
  readonly settings = new TestSettings();
  readonly clock = new FakeClock();
  readonly log = new CapturedLog();
  readonly directory: TemporaryDirectory;
  /** Runs that have not ended, by job serial. */
  readonly runs = new Map<number, FakeRun>();
  /** Serials of all runs, in the order they began. */
  readonly started: number[] = [];
  /** DPs whose return is awaited, and whom to tell. */
  readonly watched = new Map<string, () => Promise<void>>();
  readonly forgotten: string[] = [];
  /** Thrown by writes, one after another, before the store is asked. */
  readonly writeFailures: unknown[] = [];
  /** What pull DPs are told and asked, besides runs. */
  readonly notification: FakeNotification = {
    query: () => Promise.reject(unreachable()),
    look: () => ({ of: async () => ({ sources: [], isComplete: false }) }),
    sourcesOf: async () => undefined,
    sourcesChanged: async () => undefined,
    suspend: async () => {},
  };
  contentMap!: ContentDpMap;
  notifier!: ChangeNotifier;
  hierarchy!: HierarchyManager;
  packages!: PackageStore;
  jobs!: JobTable;
  transferControls!: TransferControlRows;
  permits!: TransferPermits;
  manager!: PackageTransferManager;
  steering!: JobSteering;
  #jobSerials!: SerialCounter;
  #store!: StateStore;
  #isOver = false;

  private constructor(directory: TemporaryDirectory) {
    this.directory = directory;
  }

  static async open(): Promise<TestTransfers> {
    const test = new TestTransfers(await TemporaryDirectory.create());
    const { logger } = test.log;
    const directory = test.directory.join('state');
    ({ store: test.#store } = await StateStore.open({ directory, logger }));
    await test.makeComponents();
    return test;
  }

  /** A new life of the site: only the store is remembered. */
  async makeComponents(changes: Partial<PackageTransferManagerConfig> = {}): Promise<void> {
    const { clock, log } = this;
    this.limits = { ...config, ...changes };
    const store = this.#failingStore();
    this.runs.clear();
    this.watched.clear();
    this.notifier = new ChangeNotifier({ store: this.#store });
    const status = await StatusManager.open({ store: this.#store, clock, siteCode: 'PS1' });
    const { notifier } = this;
    const needs = { store, notifier, clock, logger: log.logger, status };
    this.packages = new PackageStore({ store: this.#store, clock });
    const { packages } = this;
    this.contentMap = new ContentDpMap({ store: this.#store, notifier, clock });
    const { contentMap } = this;
    this.hierarchy = new HierarchyManager({
      ...needs,
      store: this.#store,
      packages,
      contentMap,
      siteCode: 'PS1',
    });
    await this.hierarchy.start();
    this.jobs = new JobTable({ ...needs, packages: this.packages });
    const arbiter = new TransferArbiter(clock);
    await this.transferControls?.stop();
    this.transferControls = new TransferControlRows({
      ...{ store: this.#store, arbiter, siteCode: 'PS1' },
    });
    await this.transferControls.start();
    this.permits = new TransferPermits({ arbiter, transferControls: this.transferControls });
    const { jobs } = this;
    // Far above the serials that tests give.
    this.#jobSerials = await SerialCounter.open(this.#store, 'job-serials', { atLeast: 1_000 });
    const cancellation = new JobCancellation({
      ...{ ...needs, jobs, packages, jobSerials: this.#jobSerials },
    });
    this.manager = new PackageTransferManager(
      {
        ...needs,
        packages,
        contentMap,
        notification: this.notification,
        jobs: this.jobs,
        hierarchy: this.hierarchy,
        permits: this.permits,
        cancellation,
        runner: { run: (run) => this.#run(run) },
        returns: {
          watch: (dp: DistributionPoint, _signal, onReturn) => {
            this.watched.set(dp.dpId, onReturn);
          },
          forget: (dpId) => {
            this.forgotten.push(dpId);
          },
        },
        random: () => 1,
        settings: this.settings,
      },
      this.limits,
    );
    const steered = { ...needs, siteCode: 'PS1', jobs, transfers: this.manager };
    this.steering = new JobSteering({ ...steered, cancellation });
  }

  /** How many open jobs wait here. */
  get waitingCount(): number {
    const open = [...this.jobs.open()];
    return open.filter(({ jobSerial }) => this.manager.waitOf(jobSerial)).length;
  }

  get store(): StateStore {
    return this.#store;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.writeFailures.length = 0;
    await this.manager.stop();
    await this.transferControls.stop();
    await this.#store.close();
    await this.directory[Symbol.asyncDispose]();
  }

  /** Lets everybody work until the condition is true, or the test is over; time stands still. */
  async until(condition: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await condition()) && !this.#isOver) await new Promise(setImmediate);
    // What is true in memory is on its way to the rows.
    await this.#store.settled();
  }

  async addDistributionPoints(...dpIds: string[]): Promise<void> {
    for (const dpId of dpIds) {
      const settings = { address: `${dpId}:8531`, kind: 'standard', description: '' } as const;
      await this.hierarchy.add({ dpId, ...settings });
    }
  }

  /** Sets what is allowed on the way to a DP, as an administrator's word does. */
  async setControls(dpId: string, controls: TransferControls): Promise<void> {
    const point = await this.hierarchy.require(dpId);
    const rows = this.#store.records(keySpaces.distributionPoints);
    await this.#store.write([rows.put(dpId, { ...point, controls })], { sync: false });
  }

  async addPullDistributionPoints(...dpIds: string[]): Promise<void> {
    const pull = { sources: [], allowFallback: true, packagesMax: 5 };
    for (const dpId of dpIds) {
      const settings = { address: `${dpId}:8531`, kind: 'pull', description: '', pull } as const;
      await this.hierarchy.add({ dpId, ...settings });
    }
  }

  /** A serial that no job has. */
  async nextSerial(): Promise<number> {
    const { value, change } = this.#jobSerials.next();
    await this.#store.write([change], { sync: false });
    return value;
  }

  /** Hands a job over, as Distribution Manager does. */
  async addJob(facts: Partial<DistributionJob>): Promise<DistributionJob> {
    const job = testJob(facts);
    const { packageId, dpId, jobSerial } = job;
    const status: PackageStatus = {
      packageId,
      dpId,
      state: job.action === 'remove' ? 'removal-pending' : 'install-pending',
      installedVersion: 0,
      targetVersion: 1,
      reason: '',
      changedAtMs: 0,
      jobSerial,
      verifiedHash: '',
    };
    const key = joinKey(jobSerial);
    await this.#store.write(
      [
        this.#store.records(keySpaces.distributionJobs).put(key, job),
        this.notifier.notification('distribution-job', key),
        this.packages.putStatus(status),
      ],
      { sync: false },
    );
    return job;
  }

  /** Changes the priority of a package and tells of one of its jobs, as an administrator's word does. */
  async setPriority(packageId: string, priority: Priority, jobSerial: number): Promise<void> {
    const sitePackage = { packageId, properties: { priority } } as SitePackage;
    await this.#store.write(
      [
        this.packages.packages.put(packageId, sitePackage),
        this.notifier.notification('distribution-job', joinKey(jobSerial)),
      ],
      { sync: false },
    );
  }

  /** The row of an open job. */
  row(jobSerial: number): Promise<DistributionJob | undefined> {
    return this.#store.records(keySpaces.distributionJobs).get(joinKey(jobSerial));
  }

  /** The row of a job that has ended. */
  history(jobSerial: number): Promise<DistributionJob | undefined> {
    return this.#store.records(keySpaces.jobHistory).get(joinKey(jobSerial));
  }

  async untilState(jobSerial: number, state: DistributionJob['state']): Promise<DistributionJob> {
    let found: DistributionJob | undefined;
    await this.until(async () => {
      found = (await this.row(jobSerial)) ?? (await this.history(jobSerial));
      // A job that ended may be counted as running for a moment: its result is just written.
      return found?.state === state && (found.endedAtMs === 0 || !this.jobs.get(jobSerial));
    });
    return found as DistributionJob;
  }

  async untilRunning(...jobSerials: number[]): Promise<FakeRun[]> {
    await this.until(() => jobSerials.every((serial) => this.runs.has(serial)));
    return jobSerials.map((serial) => this.runs.get(serial) as FakeRun);
  }

  /** IDs of all status messages, oldest first. */
  async messageIds(): Promise<number[]> {
    const ids: number[] = [];
    for await (const [, { messageId }] of this.#store.records(keySpaces.statusMessages).list()) {
      ids.push(messageId);
    }
    return ids;
  }

  /** Subjects of pending notifications. */
  async pending(topic: 'distribution-job' | 'transfer-result'): Promise<number[]> {
    const serials: number[] = [];
    for await (const { subject } of this.notifier.pending(topic)) serials.push(Number(subject));
    return serials;
  }

  #run(run: JobRun): Promise<RunResult> {
    const { jobSerial } = run.job;
    if (run.signal.aborted) return Promise.reject(run.signal.reason);
    this.started.push(jobSerial);
    return new Promise<RunResult>((resolve, reject) => {
      const end = () => this.runs.delete(jobSerial);
      const finish = (verifiedHash?: string) => {
        end();
        resolve({ kind: 'done', verifiedHash });
      };
      const handOver = (handover: Partial<PullHandover> = {}) => {
        end();
        const told = {
          expectedHash: 'hash',
          toldHash: 'told',
          locations: async () => [],
          ...handover,
        };
        resolve({ kind: 'handed-over', ...told });
      };
      const hear = (held = { sourceVersion: 0, packageHash: '' }) => {
        end();
        resolve({ kind: 'cancel-heard', held });
      };
      const fail = (error: unknown) => {
        end();
        reject(error);
      };
      run.signal.addEventListener('abort', () => fail(run.signal.reason), { once: true });
      this.runs.set(jobSerial, { ...run, finish, handOver, hear, fail });
    });
  }

  #failingStore(): StateStore {
    const methods: Partial<StateStore> = {
      records: (space) => this.#store.records(space),
      onWritten: (listener) => this.#store.onWritten(listener),
      write: async (changes, options) => {
        if (this.writeFailures.length > 0) throw this.writeFailures.shift();
        await this.#store.write(changes, options);
      },
    };
    return methods as StateStore;
  }
}

/** The disk of the site has no room. */
export function siteDiskFull(): WaybillError {
  return new WaybillError({ code: 'DISK_FULL', path: 'state', freeBytes: 0, neededBytes: 1 });
}

/** A DP that does not answer. */
export function unreachable(): WaybillError {
  const facts = { peer: 'distribution point', address: 'a:1', reason: 'nothing listens there' };
  return new WaybillError({ code: 'PEER_UNREACHABLE', ...facts });
}

/** A failure nobody knows more of. */
export function peerFailed(): WaybillError {
  return new WaybillError({ code: 'PEER_FAILED', peer: 'distribution point', reason: 'test' });
}

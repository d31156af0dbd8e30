import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DistributionJob } from '../../../shared/domain/distribution-job.ts';
import type { DistributionPoint } from '../../../shared/domain/distribution-point.ts';
import type { CheckResult } from '../../../shared/domain/distribution-point-check.ts';
import { WaybillError } from '../../../shared/domain/errors.ts';
import type { PackageProperties } from '../../../shared/domain/package.ts';
import type { PackageStatus } from '../../../shared/domain/package-status.ts';
import type { SitePackage } from '../../../shared/domain/site-package.ts';
import { AbortError } from '../../../shared/runtime/abort-error.ts';
import {
  ChangeNotifier,
  type NotificationTopic,
} from '../../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../../shared/state-store/key-space.ts';
import { StateStore } from '../../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../../shared/testing/captured-log.ts';
import type { CrashingStore } from '../../../shared/testing/crashing-store.ts';
import { FakeClock } from '../../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../../shared/testing/temporary-directory.ts';
import { DistributionCommands } from '../../admin-service/distribution-commands.ts';
import { GroupCommands } from '../../admin-service/group-commands.ts';
import { PackageCommands } from '../../admin-service/package-commands.ts';
import { TestSettings } from '../../component-settings/testing/test-settings.ts';
import { ValidationResults } from '../../content-validation/validation-results.ts';
import { ContentDpMap } from '../../hierarchy-manager/content-dp-map.ts';
import { DistributionPointChecker } from '../../hierarchy-manager/distribution-point-checker.ts';
import { GroupReactions } from '../../hierarchy-manager/group-reactions.ts';
import { alignWithHierarchy } from '../../hierarchy-manager/hierarchy-alignment.ts';
import { HierarchyDistributionPoints } from '../../hierarchy-manager/hierarchy-distribution-points.ts';
import { HierarchyManager } from '../../hierarchy-manager/hierarchy-manager.ts';
import { HierarchyReactor } from '../../hierarchy-manager/hierarchy-reactor.ts';
import { OwnContents } from '../../hierarchy-manager/own-contents.ts';
import { type OwnSite, SiteDirectory } from '../../hierarchy-manager/site-directory.ts';
import { HybridClock } from '../../replication-manager/hybrid-clock.ts';
import { Revocations } from '../../revocations/revocations.ts';
import { StatusManager } from '../../status-manager/status-manager.ts';
import { DistributionManager } from '../distribution-manager.ts';
import { DistributionPointTask } from '../distribution-point-task.ts';
import { HierarchyPackageRows } from '../hierarchy-package-rows.ts';
import { HierarchyPackages } from '../hierarchy-packages.ts';
import { HierarchyWishes } from '../hierarchy-wishes.ts';
import { PackageEnd } from '../package-end.ts';
import { PackageIds } from '../package-ids.ts';
import { PackagePublisher } from '../package-publisher.ts';
import { PackageStore } from '../package-store.ts';
import { PackageTask } from '../package-task.ts';
import { openJobSerials } from '../site-counters.ts';
import { SnapshotProgress } from '../snapshot-progress.ts';
import { TransferResults } from '../transfer-results.ts';
import { type FakeSource, FakeSources, fakePackageHashOf } from './fake-sources.ts';

export const testSiteCode = 'PS1';

/** What every package of a test says of itself. */
export const testProperties: PackageProperties = {
  name: 'Dummy1',
  version: '1.0',
  manufacturer: '',
  language: '',
  description: '',
  priority: 2,
  programs: [],
  iconName: '',
  iconBase64: '',
};

/** How a DP of a test answers when it is asked. */
export type FakeAnswer = Partial<CheckResult> | 'unreachable' | 'silent';

/** What outlives a crash of the site: its disk, and the world around it. */
export interface TestMachine {
  readonly store: StateStore;
  readonly sources: FakeSources;
  readonly clock: FakeClock;
  readonly log: CapturedLog;
  /** DPs answer well unless it is said here how. */
  readonly answers: Map<string, FakeAnswer>;
  readonly checkedDpIds: string[];
  [Symbol.asyncDispose](): Promise<void>;
}

export async function openTestMachine(): Promise<TestMachine> {
  const directory = await TemporaryDirectory.create();
  const log = new CapturedLog();
  const { store } = await StateStore.open({ directory: directory.join('db'), logger: log.logger });
  return {
    store,
    sources: new FakeSources(),
    clock: new FakeClock(),
    log,
    answers: new Map(),
    checkedDpIds: [],
    async [Symbol.asyncDispose]() {
      await store.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

/** How a site of a test is. */
export interface TestSiteOptions {
  readonly packagesMax?: number;
  readonly life?: CrashingStore;
  /** A site of a hierarchy, whose replicated rows are acted on. */
  readonly own?: OwnSite;
  readonly isStoreDamaged?: boolean;
  /** @default true */
  readonly hasCaughtUp?: boolean | (() => boolean);
  readonly onCaughtUp?: (listener: () => void) => () => void;
  /** What it has said, and heard, of time. */
  readonly said?: HybridClock;
}

/** The real components of a site, without network and disk, Package Transfer Manager played. */
export class TestSite implements AsyncDisposable {
  readonly machine: TestMachine;
  readonly store: StateStore;
  readonly notifier: ChangeNotifier;
  readonly packages: PackageStore;
  readonly progress: SnapshotProgress;
  readonly contentMap: ContentDpMap;
  readonly hierarchy: HierarchyManager;
  readonly checker: DistributionPointChecker;
  readonly status: StatusManager;
  readonly packageCommands: PackageCommands;
  readonly distributionCommands: DistributionCommands;
  readonly groupCommands: GroupCommands;
  readonly distributionManager: DistributionManager;
  /** Distribution Manager's; changed by a test, and told, they are obeyed at once. */
  readonly limits: Made['limits'];
  readonly told: TestSettings;
  readonly hierarchyPackages: HierarchyPackageRows;
  readonly sites: SiteDirectory;
  /** Not started: its sweeps would wake the test's clock. */
  readonly revocations: Revocations;
  readonly clock: FakeClock;
  readonly reactor: HierarchyReactor;

  private constructor(machine: TestMachine, store: StateStore, made: Made) {
    this.machine = machine;
    this.store = store;
    this.progress = made.progress;
    this.notifier = made.notifier;
    this.packages = made.packages;
    this.contentMap = made.contentMap;
    this.hierarchy = made.hierarchy;
    this.checker = made.checker;
    this.status = made.status;
    this.packageCommands = made.packageCommands;
    this.distributionCommands = made.distributionCommands;
    this.groupCommands = made.groupCommands;
    this.distributionManager = made.distributionManager;
    this.limits = made.limits;
    this.told = made.settings;
    this.hierarchyPackages = made.hierarchyPackages;
    this.sites = made.sites;
    this.revocations = made.revocations;
    this.clock = machine.clock;
    this.reactor = made.reactor;
  }

  /**
   * Starts the site over what its machine remembers.
   *
   * @param options.life what Distribution Manager works through, until it crashes
   */
  static async start(machine: TestMachine, options: TestSiteOptions = {}): Promise<TestSite> {
    const made = await make(machine, options);
    const site = new TestSite(machine, machine.store, made);
    await made.sites.start();
    if (options.own) await made.reactor.start();
    await made.distributionManager.start();
    return site;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.reactor.stop();
    await this.distributionManager.stop();
    await this.sites.stop();
  }

  async addDistributionPoint(dpId: string): Promise<DistributionPoint> {
    return this.hierarchy.add({ dpId, address: `${dpId}:8531`, kind: 'standard', description: '' });
  }

  /** A package with one source that holds this. */
  async createPackage(source: FakeSource, directory = '/source'): Promise<string> {
    this.machine.sources.directories.set(directory, source);
    const { packageId } = await this.packageCommands.create(testProperties, [directory]);
    return packageId;
  }

  /** Resolves when Distribution Manager has seen to everything; waiting ones wait on. */
  async settled(): Promise<void> {
    await this.until(async () => (await this.pendingCount()) === 0);
  }

  /** @param topics in the order in which one leads to the other, so that none is missed */
  async pendingCount(
    topics: readonly NotificationTopic[] = ['transfer-result', 'package'],
  ): Promise<number> {
    let count = 0;
    for (const topic of topics) {
      for await (const _ of this.notifier.pending(topic)) count++;
    }
    return count;
  }

  /** Looks again after every turn of the event loop; the test's own time limit ends it. */
  async until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await isTrue())) await nextTurn();
  }

  getPackage(packageId: string): Promise<SitePackage | undefined> {
    return this.packages.packages.get(packageId);
  }

  getStatus(packageId: string, dpId: string): Promise<PackageStatus | undefined> {
    return this.packages.getStatus(packageId, dpId);
  }

  async openJobs(): Promise<DistributionJob[]> {
    const jobs: DistributionJob[] = [];
    const rows = this.machine.store.records(keySpaces.distributionJobs);
    for await (const [, job] of rows.list()) jobs.push(job);
    return jobs;
  }

  /** The one open job for a package on a DP. */
  async requireJob(packageId: string, dpId: string): Promise<DistributionJob> {
    const jobs = await this.openJobs();
    const found = jobs.filter((job) => job.packageId === packageId && job.dpId === dpId);
    const [job] = found;
    if (!job || found.length > 1) throw new Error(`${found.length} jobs, expected one`);
    return job;
  }

  /** Ends a job as Package Transfer Manager does, in one batch. */
  async endJob(
    job: DistributionJob,
    end: { state: 'complete' | 'failed' | 'cancelled'; reason?: string },
  ): Promise<void> {
    const { store, sources } = this.machine;
    const key = joinKey(job.jobSerial);
    const version = sources.packages.get(job.packageId);
    const hash = version?.sourceVersion === job.sourceVersion ? version.packageHash : 'older';
    const isVerified = end.state === 'complete' && job.action !== 'remove';
    const ended: DistributionJob = {
      ...job,
      state: end.state,
      reason: end.reason ?? '',
      endedAtMs: this.machine.clock.nowMs(),
      ...(isVerified && { verifiedHash: hash }),
    };
    const changes = [
      store.records(keySpaces.distributionJobs).delete(key),
      store.records(keySpaces.jobHistory).put(key, ended),
      this.notifier.notification('transfer-result', key),
    ];
    await store.write(changes, { sync: false });
  }

  /** Completes the one open job for a package on a DP, and what follows from it. */
  async complete(packageId: string, dpId: string): Promise<void> {
    await this.endJob(await this.requireJob(packageId, dpId), { state: 'complete' });
    await this.settled();
  }

  /** The ids of the status messages so far, oldest first. */
  async messageIds(): Promise<number[]> {
    const messages = await this.status.query({ countMax: 10_000 });
    return messages.map(({ messageId }) => messageId);
  }
}

type Made = Awaited<ReturnType<typeof make>>;

async function make(machine: TestMachine, options: TestSiteOptions) {
  const { clock, sources } = machine;
  const { logger } = machine.log;
  const store = options.life?.store ?? machine.store;
  const own: OwnSite = options.own ?? { siteCode: testSiteCode, kind: 'primary' };
  const { siteCode } = own;
  const random = () => 0.5;
  const notifier = new ChangeNotifier({ store });
  const packages = new PackageStore({ store, clock });
  const contentMap = new ContentDpMap({ store, notifier, clock });
  const hierarchy = new HierarchyManager({
    store: machine.store,
    notifier,
    packages,
    contentMap,
    clock,
    logger,
    siteCode,
  });
  await hierarchy.start();
  const hierarchyPackages = new HierarchyPackageRows({ store, siteCode });
  const sites = new SiteDirectory({ store: machine.store, own });
  const checkDistributionPoint = answersOf(machine);
  const checker = new DistributionPointChecker({ checkDistributionPoint, hierarchy, clock });
  const status = await StatusManager.open({ store, clock, siteCode });
  const counters = { store: machine.store, clock, siteCode, isStoreDamaged: false };
  const jobSerials = await openJobSerials(counters);
  const packageIds = await PackageIds.open(counters);
  const progress = new SnapshotProgress();
  const shared = {
    store,
    notifier,
    packages,
    contentMap,
    hierarchy,
    checker,
    status,
    clock,
    logger,
    hierarchyPackages,
    sites,
  };
  const { takeSnapshot, library } = whileAlive(sources, options.life);
  const publisher = new PackagePublisher({
    ...shared,
    library,
    takeSnapshot,
    packageHashOf: fakePackageHashOf,
    progress,
  });
  const distributionPointTask = new DistributionPointTask({ ...shared, jobSerials });
  const packageEnd = new PackageEnd({ ...shared, library });
  const packageTask = new PackageTask({ ...shared, publisher, distributionPointTask, packageEnd });
  const validationResults = new ValidationResults({ ...shared, siteCode });
  const transferResults = new TransferResults({ ...shared, validationResults });
  const packagesMax = options.packagesMax ?? 3;
  const limits = { packagesMax, retryDelayMs: 5_000, retryDelayMsMax: 300_000 };
  const settings = new TestSettings();
  const distributionManager = new DistributionManager(
    {
      ...{ ...shared, packageTask, transferResults, random, settings },
      pullResponses: { take: async () => {} },
    },
    limits,
  );
  const said = options.said ?? new HybridClock({ clock, siteCode });
  const nextMs = () => said.nextMs();
  let uuidCount = 0;
  const life = ++lifeCount;
  const newUuid = () => `${siteCode}-${life}-${++uuidCount}`;
  const isStoreDamaged = options.isStoreDamaged ?? false;
  const contents = new OwnContents({ ...shared, library: sources.library });
  const { hasCaughtUp: isSo = true, onCaughtUp } = options;
  const hasCaughtUp = () => (typeof isSo === 'function' ? isSo() : isSo);
  const reactor = new HierarchyReactor({
    ...{ ...shared, ...(onCaughtUp && { onCaughtUp }) },
    packages: new HierarchyPackages({
      ...shared,
      wishes: new HierarchyWishes({ ...shared, isStoreDamaged }),
      isStoreDamaged,
      hasCaughtUp,
      checkSources: (directories) => checked(sources, directories),
    }),
    distributionPoints: new HierarchyDistributionPoints({ ...shared, siteCode }),
    groups: new GroupReactions(shared),
    begin: () =>
      alignWithHierarchy({
        ...{ ...shared, store: machine.store, own, newUuid },
        siteAddress: () => `${siteCode}:8530`,
        ...{ isStoreDamaged, contents },
      }),
    contents,
    random,
  });
  const commanded = {
    ...{ ...shared, store: machine.store, packageIds, newUuid, siteCode, hasCaughtUp, nextMs },
    parentSiteCode: own.parent?.siteCode,
  };
  return {
    notifier,
    packages,
    contentMap,
    progress,
    hierarchy,
    checker,
    status,
    packageCommands: new PackageCommands(commanded),
    distributionCommands: new DistributionCommands(commanded),
    groupCommands: new GroupCommands(commanded),
    distributionManager,
    limits,
    settings,
    hierarchyPackages,
    sites,
    revocations: new Revocations({ ...shared, store: machine.store, siteCode }),
    reactor,
  };
}

/** Names each life apart, so that no two give out the same number. */
let lifeCount = 0;

async function checked(sources: FakeSources, directories: readonly string[]): Promise<void> {
  for (const path of directories) {
    if (sources.silent.has(path)) await new Promise(() => {});
    if (!sources.directories.has(path)) throw new WaybillError({ code: 'SOURCE_MISSING', path });
  }
}

/** A life that has crashed writes nothing to the library either. */
function whileAlive(
  sources: FakeSources,
  life: CrashingStore | undefined,
): Pick<FakeSources, 'takeSnapshot' | 'library'> {
  if (!life) return sources;
  const { takeSnapshot, library } = sources;
  return {
    takeSnapshot: (request) => life.whileAlive(() => takeSnapshot(request)),
    library: {
      ...library,
      commitPackage: (commit) => life.whileAlive(() => library.commitPackage(commit)),
      removePackage: (packageId) => life.whileAlive(() => library.removePackage(packageId)),
    },
  };
}

function answersOf(machine: TestMachine) {
  return async (dp: DistributionPoint, signal: AbortSignal): Promise<CheckResult> => {
    machine.checkedDpIds.push(dp.dpId);
    const answer = machine.answers.get(dp.dpId) ?? {};
    if (answer === 'unreachable') {
      const facts = { peer: dp.dpId, address: dp.address, reason: 'connection refused' };
      throw new WaybillError({ code: 'PEER_UNREACHABLE', ...facts });
    }
    if (answer === 'silent') await aborted(signal);
    const wellBehaved = {
      dpId: dp.dpId,
      siteCode: dp.siteCode,
      agentVersion: '0.1.0',
      freeBytes: 1e9,
    };
    return { ...wellBehaved, ...(answer as Partial<CheckResult>) };
  };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new AbortError()), { once: true });
  });
}

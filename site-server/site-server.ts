/** The wiring of a site server: the only file that sees every component. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ContentLibrary } from '../shared/content-library/content-library.ts';
import { packageHashOf } from '../shared/content-library/package-record.ts';
import { ContentServer } from '../shared/content-server/content-server.ts';
import { PieceSource } from '../shared/content-source/piece-source.ts';
import type { PeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { RpcServer } from '../shared/rpc/rpc-server.ts';
import { agentVersion } from '../shared/runtime/agent-version.ts';
import type { Clock } from '../shared/runtime/clock.ts';
import { type Component, startInOrder, stopInReverse } from '../shared/runtime/component.ts';
import type { Logger } from '../shared/runtime/logger.ts';
import { ChangeNotifier } from '../shared/state-store/change-notifier.ts';
import { StateStore, type StateStoreDamage } from '../shared/state-store/state-store.ts';
import { AdminService } from './admin-service/admin-service.ts';
import { DistributionCommands } from './admin-service/distribution-commands.ts';
import { DistributionPointCommands } from './admin-service/distribution-point-commands.ts';
import { LogReader } from './admin-service/log-reader.ts';
import { PackageCommands } from './admin-service/package-commands.ts';
import { PackageStatusView } from './admin-service/package-status-view.ts';
import { PackageView } from './admin-service/package-view.ts';
import { SiteCommands } from './admin-service/site-commands.ts';
import { checkedSources } from './admin-service/source-check.ts';
import { StatusMessageView } from './admin-service/status-message-view.ts';
import { AuditTrail, defaultAuditTrailConfig } from './audit-trail/audit-trail.ts';
import { DistributionManager } from './distribution-manager/distribution-manager.ts';
import { DistributionPointTask } from './distribution-manager/distribution-point-task.ts';
import { HierarchyPackageRows } from './distribution-manager/hierarchy-package-rows.ts';
import { HierarchyPackages } from './distribution-manager/hierarchy-packages.ts';
import { HierarchyWishes } from './distribution-manager/hierarchy-wishes.ts';
import { PackageEnd } from './distribution-manager/package-end.ts';
import { PackagePublisher } from './distribution-manager/package-publisher.ts';
import { hasLostPackages, recoverPackages } from './distribution-manager/package-recovery.ts';
import { PackageStore } from './distribution-manager/package-store.ts';
import { PackageTask } from './distribution-manager/package-task.ts';
import { PullResponses } from './distribution-manager/pull-responses.ts';
import {
  openJobSerials,
  openPackageIds,
  type SiteCountersComponents,
} from './distribution-manager/site-counters.ts';
import { SnapshotProgress } from './distribution-manager/snapshot-progress.ts';
import { takeSnapshot } from './distribution-manager/source-snapshot.ts';
import { TransferResults } from './distribution-manager/transfer-results.ts';
import { VersionDeltas } from './distribution-manager/version-deltas.ts';
import { DistributionPointConnections } from './distribution-point-connections/distribution-point-connections.ts';
import { ContentDpMap } from './hierarchy-manager/content-dp-map.ts';
import { DistributionPointChecker } from './hierarchy-manager/distribution-point-checker.ts';
import { alignWithHierarchy } from './hierarchy-manager/hierarchy-alignment.ts';
import { HierarchyDistributionPoints } from './hierarchy-manager/hierarchy-distribution-points.ts';
import { HierarchyManager } from './hierarchy-manager/hierarchy-manager.ts';
import { HierarchyReactor } from './hierarchy-manager/hierarchy-reactor.ts';
import { SiteDirectory } from './hierarchy-manager/site-directory.ts';
import { ContentLocator } from './management-point/content-locator.ts';
import { ManagementPoint } from './management-point/management-point.ts';
import { JobRunner } from './package-transfer-manager/job-run.ts';
import { JobTable } from './package-transfer-manager/job-table.ts';
import { JobView } from './package-transfer-manager/job-view.ts';
import { OwnCopyCheck } from './package-transfer-manager/own-copy-check.ts';
import { PackageTransferManager } from './package-transfer-manager/package-transfer-manager.ts';
import { PullNotification } from './package-transfer-manager/pull-notification.ts';
import { PullRates } from './package-transfer-manager/pull-rates.ts';
import { PullSources } from './package-transfer-manager/pull-sources.ts';
import { ReturnWatch } from './package-transfer-manager/return-watch.ts';
import { siteAddressOf } from './site-address.ts';
import type { SiteConfig } from './site-config.ts';
import { StateSystem } from './state-system/state-system.ts';
import { StatusManager } from './status-manager/status-manager.ts';

export interface SiteServerNeeds {
  readonly clock: Clock;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly credentials: PeerCredentials;
}

/** What the wiring adds to the configuration: where this program's logs go. */
type SiteSettings = SiteConfig & { readonly logDirectory: string };

/** Everything the rest is made of. */
interface Ground extends SiteServerNeeds {
  readonly config: SiteSettings;
  readonly store: StateStore;
  readonly notifier: ChangeNotifier;
  readonly library: ContentLibrary;
  readonly packages: PackageStore;
  readonly status: StatusManager;
  readonly auditTrail: AuditTrail;
  readonly contentMap: ContentDpMap;
  readonly hierarchy: HierarchyManager;
  readonly siteCode: string;
  readonly sites: SiteDirectory;
  readonly hierarchyPackages: HierarchyPackageRows;
  /** host:port by which others reach this site. */
  readonly siteAddress: () => string;
  /** Where the site listens: as it is configured, then with the port that was free. */
  readonly listening: { address: string };
  readonly connections: DistributionPointConnections;
  readonly checker: DistributionPointChecker;
  readonly snapshots: SnapshotProgress;
  readonly counters: SiteCountersComponents;
  readonly logOf: (component: string) => Logger;
}

export class SiteServer implements Component {
  readonly #store: StateStore;
  readonly #components: readonly Component[];

  private constructor(store: StateStore, components: readonly Component[]) {
    this.#store = store;
    this.#components = components;
  }

  /** @throws DATA_DIRECTORY_IN_USE when another process has the data directory */
  static async open(needs: SiteServerNeeds, config: SiteSettings): Promise<SiteServer> {
    const ground = await openGround(needs, config);
    const { library, status, auditTrail, hierarchy, connections } = ground;
    const transfers = packageTransferManager(ground);
    const stateSystem = new StateSystem({
      ...{ ...ground, ...transfers },
      logger: ground.logOf('state-system'),
    });
    const distribution = await distributionManager(ground, transfers, stateSystem);
    const server = new RpcServer(
      {
        credentials: needs.credentials,
        logger: ground.logOf('rpc'),
        onAudit: (event) => auditTrail.record(event),
      },
      { address: config.listen, siteCode: config.siteCode },
    );
    server.serve('Admin', (await adminService(ground, transfers)).conversation());
    const contentServer = new ContentServer({
      ...{ ...ground, ...transfers },
      deltas: library,
      logger: ground.logOf('content-server'),
    });
    server.serve('Content', contentServer.conversation());
    server.serve('ManagementPoint', managementPoint(ground, transfers, stateSystem).conversation());
    return new SiteServer(ground.store, [
      status,
      auditTrail,
      hierarchy,
      ground.sites,
      library,
      packageRecovery(ground),
      hierarchyReactor(ground),
      connections,
      transfers.pieceSource,
      transfers.manager,
      distribution,
      server,
      {
        start: async () => {
          ground.listening.address = server.address;
        },
        stop: async () => {},
      },
    ]);
  }

  async start(): Promise<void> {
    await startInOrder(this.#components);
  }

  async stop(): Promise<void> {
    await stopInReverse(this.#components);
    await this.#store.close();
  }
}

async function openGround(needs: SiteServerNeeds, config: SiteSettings): Promise<Ground> {
  const { clock, logger } = needs;
  const logOf = (component: string) => logger.child({ component });
  const directory = join(config.dataDirectory, 'state-store');
  const { store, damage } = await StateStore.open({ directory, logger: logOf('state-store') });
  const notifier = new ChangeNotifier({ store });
  const { siteCode } = config;
  const status = await StatusManager.open({ store, clock, siteCode }, config);
  const auditTrail = await AuditTrail.open(
    { store, clock, logger: logOf('audit-trail') },
    { ...defaultAuditTrailConfig, ...config },
  );
  const packages = new PackageStore({ store, clock });
  const contentMap = new ContentDpMap({ store, notifier, clock });
  const hierarchy = new HierarchyManager({
    store,
    notifier,
    packages,
    contentMap,
    clock,
    logger: logOf('hierarchy-manager'),
    siteCode,
  });
  const { checkDeadlineMs } = config.distribution;
  const connections = new DistributionPointConnections(needs, { checkDeadlineMs });
  const checker = new DistributionPointChecker({
    checkDistributionPoint: (dp, signal) => connections.check(dp, signal),
    hierarchy,
    clock,
  });
  const library = new ContentLibrary(
    { store, clock, logger: logOf('content-library') },
    { ...config, directory: libraryDirectoryOf(config) },
  );
  const isStoreDamaged =
    damage !== undefined || (await hasLostPackages({ packages, ...library.layout }));
  if (isStoreDamaged) await reportDamage(store, status, damage);
  const counters = { store, clock, siteCode, isStoreDamaged };
  const { kind, parent } = config;
  const sites = new SiteDirectory({ store, own: { siteCode, kind, ...(parent && { parent }) } });
  const hierarchyPackages = new HierarchyPackageRows({ store, siteCode });
  const snapshots = new SnapshotProgress();
  const listening = { address: config.listen };
  const siteAddress = () => {
    return siteAddressOf({ address: config.address, listen: listening.address }, hostname());
  };
  const site = { siteCode, siteAddress, listening };
  const kept = { status, auditTrail, contentMap, hierarchy, packages, sites, hierarchyPackages };
  const parts = { ...kept, connections, checker, library, ...site };
  return { ...needs, ...parts, config, store, notifier, snapshots, counters, logOf };
}

function libraryDirectoryOf(config: SiteConfig): string {
  return config.contentLibraryDirectory ?? join(config.dataDirectory, 'content-library');
}

/** @param damage none when the store was not there at all */
async function reportDamage(
  store: StateStore,
  status: StatusManager,
  damage?: StateStoreDamage,
): Promise<void> {
  const reason = damage?.reason ?? 'packages of the content library were not in it';
  const setAside = damage ? `It was set aside as ${damage.setAsideAs}. ` : '';
  const insertionStrings = [reason, setAside + (damage?.repaired ? repairedText : begunAnewText)];
  await store.write(status.message({ messageId: 9001, insertionStrings }), { sync: true });
}

const repairedText =
  'What could be read of it is in use; some of it may be missing. Look through "waybill package list", "waybill dp list" and "waybill status", and distribute again what is not there; what distribution points hold is not sent again.';

const begunAnewText =
  'A new one was begun. Packages are read back from the content library: name their sources again with "waybill package set", add the distribution points again and distribute; what they hold is not sent again.';

/** Between the library, which it reads, and everybody who reads packages. */
function packageRecovery(ground: Ground): Component {
  const logger = ground.logOf('distribution-manager');
  return {
    start: async () => {
      const { isStoreDamaged } = ground.counters;
      await recoverPackages({ ...ground, logger, isStoreDamaged });
    },
    stop: async () => {},
  };
}

/** Acts on what the hierarchy says and wants; first it makes the hierarchy's rows of this site true. */
function hierarchyReactor(ground: Ground): HierarchyReactor {
  const { config, logOf } = ground;
  const logger = logOf('hierarchy-manager');
  const { isStoreDamaged } = ground.counters;
  const wishes = new HierarchyWishes(ground);
  const checkSources = (directories: readonly string[]) =>
    checkedSources(directories, ownDirectoriesOf(config));
  const parts = { wishes, checkSources, isStoreDamaged };
  const packages = new HierarchyPackages({ ...ground, ...parts, logger });
  const { own } = ground.sites;
  const aligned = { ...ground, own, newUuid: randomUUID, isStoreDamaged };
  return new HierarchyReactor({
    ...{ ...ground, packages, logger },
    distributionPoints: new HierarchyDistributionPoints({ ...ground, logger }),
    begin: () => alignWithHierarchy(aligned),
  });
}

/** Where the site keeps its own files: no source may be there, or hold it. */
function ownDirectoriesOf(config: SiteConfig): string[] {
  return [config.dataDirectory, libraryDirectoryOf(config)];
}

function packageTransferManager(ground: Ground) {
  const { clock, config, connections, hierarchy, library, logOf } = ground;
  const jobs = new JobTable(ground, config);
  const pieceSource = new PieceSource({
    fileLibraryDirectory: library.layout.fileLibrary,
    cacheBytesMax: config.distribution.cacheBytesMax,
    openFilesMax: 16,
  });
  const logger = logOf('package-transfer-manager');
  const ownCopies = new OwnCopyCheck({ ...ground, pieceSource, logger });
  const notification = new PullNotification(
    { ...ground, sources: new PullSources(ground) },
    { ...config.distribution, siteAddress: ground.siteAddress },
  );
  const runner = new JobRunner(
    { library, pieceSource, connections, clock, ownCopies, pull: notification },
    config.distribution,
  );
  const returns = new ReturnWatch({ connections, logger });
  const manager = new PackageTransferManager(
    { ...ground, jobs, runner, notification, hierarchy, returns, logger },
    { ...config.distribution, pull: config.pull },
  );
  return { jobs, pieceSource, manager };
}

/** What takes the state messages of pull DPs, and tells clients where content is. */
function managementPoint(
  ground: Ground,
  { jobs }: ReturnType<typeof packageTransferManager>,
  stateSystem: StateSystem,
): ManagementPoint {
  return new ManagementPoint({ ...ground, jobs, stateSystem, locator: new ContentLocator(ground) });
}

async function distributionManager(
  ground: Ground,
  { manager: transfers }: ReturnType<typeof packageTransferManager>,
  stateSystem: StateSystem,
): Promise<DistributionManager> {
  const { config, library, logOf, snapshots } = ground;
  const logger = logOf('distribution-manager');
  const publisher = new PackagePublisher({
    ...ground,
    takeSnapshot: ({ onProgress, ...request }) =>
      takeSnapshot({
        ...request,
        library,
        onProgress: ({ fileCount, sizeBytes }) =>
          onProgress({ files: fileCount, bytes: sizeBytes }),
      }),
    packageHashOf,
    versionDeltas: new VersionDeltas({ library, logger }),
    progress: snapshots,
    logger,
  });
  const jobSerials = await openJobSerials(ground.counters);
  const distributionPointTask = new DistributionPointTask({ ...ground, jobSerials, logger });
  const packageEnd = new PackageEnd({ ...ground, logger });
  const packageTask = new PackageTask({ ...ground, publisher, distributionPointTask, packageEnd });
  const transferResults = new TransferResults({ ...ground, logger });
  const pullResponses = new PullResponses({ ...ground, stateSystem, transfers });
  const { packagesMax, diskFullDelayMs, diskFullDelayMsMax } = config.distribution;
  return new DistributionManager(
    { ...ground, packageTask, transferResults, pullResponses, logger },
    { packagesMax, retryDelayMs: diskFullDelayMs, retryDelayMsMax: diskFullDelayMsMax },
  );
}

async function adminService(
  ground: Ground,
  transfers: ReturnType<typeof packageTransferManager>,
): Promise<AdminService> {
  const { auditTrail, checker, clock, config, snapshots, store } = ground;
  const packageIds = await openPackageIds(ground.counters);
  const { siteCode } = config;
  const { jobs, manager } = transfers;
  const rates = new PullRates({ jobs, clock });
  return new AdminService({
    ...ground,
    site: {
      agentVersion: agentVersion(),
      startedAtMs: clock.nowMs(),
      ownDirectories: ownDirectoriesOf(config),
    },
    packageCommands: new PackageCommands({ ...ground, packageIds, newUuid: randomUUID, siteCode }),
    distributionCommands: new DistributionCommands({ ...ground, newUuid: randomUUID }),
    distributionPointCommands: new DistributionPointCommands(ground),
    siteCommands: new SiteCommands(ground),
    statusMessageView: new StatusMessageView(ground),
    packageView: new PackageView({ ...ground, progress: snapshots }),
    packageStatusView: new PackageStatusView({
      ...ground,
      percentOf: (jobSerial) => manager.progressOf(jobSerial)?.percent ?? jobs.percentOf(jobSerial),
    }),
    jobs: new JobView({ jobs, transfers: manager, rates, store, clock }),
    auditTrail,
    checker,
    logs: new LogReader({ clock, directory: config.logDirectory }),
  });
}

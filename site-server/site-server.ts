/** The wiring of a site server: the only file that sees every component. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { packageHashOf } from '../shared/content-library/package-record.ts';
import { PieceSource } from '../shared/content-source/piece-source.ts';
import type { RpcServer } from '../shared/rpc/rpc-server.ts';
import { agentVersion } from '../shared/runtime/agent-version.ts';
import { type Component, startInOrder, stopInReverse } from '../shared/runtime/component.ts';
import type { SerialCounter } from '../shared/state-store/serial-counter.ts';
import { StateStore } from '../shared/state-store/state-store.ts';
import { AdminService } from './admin-service/admin-service.ts';
import { DistributionCommands } from './admin-service/distribution-commands.ts';
import { DistributionPointCommands } from './admin-service/distribution-point-commands.ts';
import { GroupCommands } from './admin-service/group-commands.ts';
import { LogReader } from './admin-service/log-reader.ts';
import { PackageCommands } from './admin-service/package-commands.ts';
import { PackageStatusView } from './admin-service/package-status-view.ts';
import { PackageView } from './admin-service/package-view.ts';
import { PreviewAnswers } from './admin-service/preview-answers.ts';
import { SettingCommands } from './admin-service/setting-commands.ts';
import { SiteCommands } from './admin-service/site-commands.ts';
import { checkedSources } from './admin-service/source-check.ts';
import { StatusMessageView } from './admin-service/status-message-view.ts';
import type { TrustBundles } from './certificate-authority/trust-bundles.ts';
import type { CertificateWatch } from './certificate-watch/certificate-watch.ts';
import { DistributionManager } from './distribution-manager/distribution-manager.ts';
import { DistributionPointTask } from './distribution-manager/distribution-point-task.ts';
import { HierarchyPackages } from './distribution-manager/hierarchy-packages.ts';
import { HierarchyWishes } from './distribution-manager/hierarchy-wishes.ts';
import { PackageEnd } from './distribution-manager/package-end.ts';
import { PackageIds } from './distribution-manager/package-ids.ts';
import { PackagePublisher } from './distribution-manager/package-publisher.ts';
import { recoverPackages } from './distribution-manager/package-recovery.ts';
import { PackageTask } from './distribution-manager/package-task.ts';
import { PullResponses } from './distribution-manager/pull-responses.ts';
import { openJobSerials } from './distribution-manager/site-counters.ts';
import { takeSnapshot } from './distribution-manager/source-snapshot.ts';
import { TransferResults } from './distribution-manager/transfer-results.ts';
import { VersionDeltas } from './distribution-manager/version-deltas.ts';
import type { LastAdministrator } from './enrollment/last-administrator.ts';
import { ControlsTeller } from './hierarchy-manager/controls-teller.ts';
import { GroupReactions } from './hierarchy-manager/group-reactions.ts';
import { alignWithHierarchy } from './hierarchy-manager/hierarchy-alignment.ts';
import { HierarchyDistributionPoints } from './hierarchy-manager/hierarchy-distribution-points.ts';
import { HierarchyReactor } from './hierarchy-manager/hierarchy-reactor.ts';
import { OwnContents } from './hierarchy-manager/own-contents.ts';
import { TransferLinks } from './hierarchy-manager/transfer-links.ts';
import { ContentLocator } from './management-point/content-locator.ts';
import { ManagementPoint } from './management-point/management-point.ts';
import { JobCancellation } from './package-transfer-manager/job-cancellation.ts';
import { JobRunner } from './package-transfer-manager/job-run.ts';
import { JobSteering } from './package-transfer-manager/job-steering.ts';
import { JobTable } from './package-transfer-manager/job-table.ts';
import { JobView } from './package-transfer-manager/job-view.ts';
import { OwnCopyCheck } from './package-transfer-manager/own-copy-check.ts';
import { PackageTransferManager } from './package-transfer-manager/package-transfer-manager.ts';
import { PullNotification } from './package-transfer-manager/pull-notification.ts';
import { PullRates } from './package-transfer-manager/pull-rates.ts';
import { PullSources } from './package-transfer-manager/pull-sources.ts';
import { ReturnWatch } from './package-transfer-manager/return-watch.ts';
import { TransferPermits } from './package-transfer-manager/transfer-permits.ts';
import { ReplicationManager } from './replication-manager/replication-manager.ts';
import { KnownHolders } from './revocations/known-holders.ts';
import { TrustTeller } from './revocations/trust-teller.ts';
import { alarmWatch } from './site-alarms.ts';
import { type AuthorityParts, authorityParts, toldBundles } from './site-authority.ts';
import { siteCertificates } from './site-certificates.ts';
import { lastAdministrator, type SiteEnrollment, siteEnrollment } from './site-enrollment.ts';
import { type Ground, openGround, type SiteServerNeeds, type SiteSettings } from './site-ground.ts';
import { siteMetrics } from './site-metrics.ts';
import { ownPlacesOf } from './site-places.ts';
import { transferPreview } from './site-preview.ts';
import { siteRpcServer, siteServing } from './site-serving.ts';
import { type SiteTransfers, siteTransfers } from './site-transfers.ts';
import { type SiteValidations, siteValidations } from './site-validations.ts';
import { StateSystem } from './state-system/state-system.ts';
import type { TransferPreview } from './transfer-preview/transfer-preview.ts';

export class SiteServer implements Component {
  readonly #store: StateStore;
  readonly #components: readonly Component[];

  private constructor(store: StateStore, components: readonly Component[]) {
    this.#store = store;
    this.#components = components;
  }

  /** @throws DATA_DIRECTORY_IN_USE when another process has the data directory */
  static async open(needs: SiteServerNeeds, config: SiteSettings): Promise<SiteServer> {
    const directory = join(config.dataDirectory, 'state-store');
    const logger = needs.logger.child({ component: 'state-store' });
    const opened = await StateStore.open({ directory, logger });
    try {
      return await SiteServer.#of(await openGround(needs, config, opened));
    } catch (error) {
      // Whoever opens it again finds it free.
      await opened.store.close();
      throw error;
    }
  }

  static async #of(ground: Ground): Promise<SiteServer> {
    const { library, status, auditTrail, hierarchy, connections } = ground;
    const authority = authorityParts(ground);
    const replication = await replicationManager(ground, authority);
    const siteLinks = await siteTransfers(ground, replication);
    const jobSerials = await openJobSerials(ground.counters);
    const transfers = packageTransferManager(ground, jobSerials);
    const logger = ground.logOf('state-system');
    const stateSystem = new StateSystem({ ...ground, ...transfers, logger });
    const validations = siteValidations(ground, { jobs: transfers.jobs, jobSerials });
    library.upkeep.quarantine.onTaken(() => transfers.pieceSource.forgetRead());
    const distribution = await distributionManager(ground, {
      ...{ transfers, stateSystem, siteLinks, jobSerials, validations },
    });
    const server = siteRpcServer(ground);
    const preview = transferPreview(ground, siteLinks.versions);
    const siteCommands = new SiteCommands(ground);
    const last = lastAdministrator(ground);
    const enrollment = siteEnrollment(ground, {
      ...{ siteCommands, siteAuthorityRows: authority.rows, lastAdministrator: last },
    });
    const { keepers, standings, watch: certificates } = siteCertificates(ground, server);
    const commands = { siteCommands, enrollment, certificates, bundles: authority.bundles };
    const seen = { replication, siteLinks, validations, preview, lastAdministrator: last };
    const parts = { transfers, ...seen, ...commands };
    server.serve('Admin', (await adminService(ground, parts)).conversation());
    const { contentServer: content, components: serving } = siteServing(ground, transfers);
    server.serve('Content', content.conversation());
    server.serve('Replication', replication.conversation());
    server.serve('SiteTransfer', siteLinks.service.conversation());
    if (enrollment) server.serve('SiteEnrollment', enrollment.passedOn);
    server.serve('ManagementPoint', managementPoint(ground, transfers, stateSystem).conversation());
    const alarms = alarmWatch(ground, {
      ...{ jobs: transfers.jobs, transfers: transfers.manager },
      ...{ sends: siteLinks.sends, replication, certificates },
    });
    const watches = { alarms, certificates };
    return new SiteServer(ground.store, [
      ...keepers,
      ground.settings,
      status,
      auditTrail,
      ground.auditHeads,
      hierarchy,
      ground.sites,
      ground.revocations,
      ground.transferControls,
      ...authority.components,
      library,
      packageRecovery(ground),
      hierarchyReactor(ground, replication),
      connections,
      new ControlsTeller({ ...ground, logger: ground.logOf('hierarchy-manager') }),
      trustTeller(ground, authority.bundles),
      transfers.pieceSource,
      transfers.manager,
      distribution,
      ...validations.components,
      preview,
      ...siteLinks.receivers,
      ...serving,
      server,
      listeningNoted(ground, server),
      ...(enrollment?.components ?? []),
      // From here on the site is known by the address that it listens on.
      ground.identity,
      ...siteLinks.components,
      replication,
      alarms,
      certificates,
      ...standings,
      ...siteMetrics(ground, { ...transfers, ...siteLinks, ...watches, replication, content }),
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

/** Right after the server: with the port that was free. */
function listeningNoted({ listening }: Ground, server: RpcServer): Component {
  return {
    start: async () => {
      listening.address = server.address;
    },
    stop: async () => {},
  };
}

/** What exchanges rows with other sites; what a row is worth, those say whose it is. */
function replicationManager(
  ground: Ground,
  { checks, rollbacks }: AuthorityParts,
): Promise<ReplicationManager> {
  const logger = ground.logOf('replication-manager');
  return ReplicationManager.open(
    {
      ...{ ...ground, directory: ground.sites, logger },
      checks: {
        ...checks,
        'site-identities': (key, row) => ground.identity.checkIdentityRow(key, row),
        revocations: (key, row) => ground.revocations.refusalOfRow(key, row),
      },
      rollbacks: {
        ...rollbacks,
        'site-identities': (key, row) => ground.identity.isRollback(key, row),
        revocations: (key, row) => ground.revocations.isRollback(key, row),
      },
      rooms: { revocations: () => ground.revocations.roomOfMessage() },
    },
    ground.config.replication,
  );
}

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
function hierarchyReactor(ground: Ground, replication: ReplicationManager): HierarchyReactor {
  const { config, logOf } = ground;
  const logger = logOf('hierarchy-manager');
  const { isStoreDamaged } = ground.counters;
  const wishes = new HierarchyWishes({ ...ground, isStoreDamaged });
  const checkSources = (directories: readonly string[]) =>
    checkedSources(directories, ownPlacesOf(config));
  const hasCaughtUp = () => replication.hasCaughtUp();
  const parts = { wishes, checkSources, isStoreDamaged, hasCaughtUp };
  const packages = new HierarchyPackages({ ...ground, ...parts, logger });
  const { own } = ground.sites;
  const contents = new OwnContents(ground);
  const aligned = { ...ground, own, newUuid: randomUUID, isStoreDamaged, contents };
  return new HierarchyReactor({
    ...{ ...ground, packages, contents, logger },
    distributionPoints: new HierarchyDistributionPoints({ ...ground, logger }),
    groups: new GroupReactions(ground),
    onCaughtUp: (listener) => replication.onCaughtUp(listener),
    begin: () => alignWithHierarchy(aligned),
  });
}

function packageTransferManager(ground: Ground, jobSerials: SerialCounter) {
  const { clock, config, connections, hierarchy, library, logOf, settings } = ground;
  const jobs = new JobTable(ground, config);
  const pieceSource = new PieceSource({
    fileLibraryDirectory: library.layout.fileLibrary,
    cacheBytesMax: config.distribution.cacheBytesMax,
    openFilesMax: 16,
  });
  const logger = logOf('package-transfer-manager');
  const contents = new OwnContents(ground);
  const ownCopies = new OwnCopyCheck({ ...ground, contents, pieceSource, logger });
  const notification = new PullNotification(
    { ...ground, sources: new PullSources(ground) },
    { ...config.distribution, siteAddress: ground.siteAddress },
  );
  const permits = new TransferPermits(ground);
  const runner = new JobRunner(
    { library, pieceSource, connections, clock, ownCopies, permits, pull: notification },
    config.distribution,
  );
  const returns = new ReturnWatch({ connections, logger });
  const cancellation = new JobCancellation({ ...ground, jobs, jobSerials, logger });
  const manager = new PackageTransferManager(
    {
      ...{ ...ground, jobs, runner, notification, hierarchy, permits, returns },
      ...{ cancellation, logger },
    },
    settings.live('distribution', { pull: settings.live('pull') }),
  );
  const steering = new JobSteering({ ...ground, jobs, transfers: manager, cancellation });
  return { jobs, permits, pieceSource, manager, steering };
}

/** What tells DPs whom to trust. */
function trustTeller(ground: Ground, bundles: TrustBundles | undefined): TrustTeller {
  const logger = ground.logOf('revocations');
  const told = { ...ground, ...(bundles && { bundles: toldBundles(bundles) }) };
  return new TrustTeller(told, { ...ground, logger });
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
  others: {
    readonly transfers: ReturnType<typeof packageTransferManager>;
    readonly stateSystem: StateSystem;
    readonly siteLinks: SiteTransfers;
    readonly jobSerials: SerialCounter;
    readonly validations: SiteValidations;
  },
): Promise<DistributionManager> {
  const { config, library, logOf, snapshots } = ground;
  const logger = logOf('distribution-manager');
  const publisher = new PackagePublisher({
    ...ground,
    takeSnapshot: ({ onProgress, ...request }) =>
      takeSnapshot({
        ...request,
        library,
        ownPlaces: ownPlacesOf(config),
        onProgress: ({ fileCount, sizeBytes }) =>
          onProgress({ files: fileCount, bytes: sizeBytes }),
      }),
    packageHashOf,
    versionDeltas: new VersionDeltas({ library, logger }),
    progress: snapshots,
    logger,
  });
  const { jobSerials } = others;
  const ownCopies = others.validations.own;
  const given = { ...ground, jobSerials, ownCopies, logger };
  const distributionPointTask = new DistributionPointTask(given);
  const { stateSystem, siteLinks } = others;
  const prestaged = siteLinks.prestaged.holds;
  const packageEnd = new PackageEnd({ ...ground, prestaged, logger });
  const packageTask = new PackageTask({
    ...{ ...ground, ...siteLinks, publisher, distributionPointTask, packageEnd },
  });
  const validationResults = others.validations.results;
  const transferResults = new TransferResults({ ...ground, validationResults, logger });
  const pullResponses = new PullResponses({
    ...{ ...ground, stateSystem, transfers: others.transfers.manager },
  });
  const { diskFullDelayMs, diskFullDelayMsMax } = config.distribution;
  const live = ground.settings.live('distribution');
  const limits = { retryDelayMs: diskFullDelayMs, retryDelayMsMax: diskFullDelayMsMax };
  return new DistributionManager(
    { ...ground, packageTask, transferResults, pullResponses, logger },
    {
      get packagesMax() {
        return live.packagesMax;
      },
      ...limits,
    },
  );
}

async function adminService(
  ground: Ground,
  others: {
    readonly transfers: ReturnType<typeof packageTransferManager>;
    readonly replication: ReplicationManager;
    readonly siteLinks: SiteTransfers;
    readonly validations: SiteValidations;
    readonly preview: TransferPreview;
    readonly siteCommands: SiteCommands;
    readonly enrollment: SiteEnrollment | undefined;
    readonly lastAdministrator: LastAdministrator;
    readonly certificates: CertificateWatch;
    readonly bundles: TrustBundles | undefined;
  },
): Promise<AdminService> {
  const { auditTrail, checker, clock, config, snapshots, store } = ground;
  const packageIds = await PackageIds.open(ground.counters);
  const { siteCode, parent } = config;
  const { jobs, manager, steering } = others.transfers;
  const rates = new PullRates({ jobs, clock });
  const nextMs = () => ground.capture.clock.nextMs();
  return new AdminService({
    ...ground,
    replication: others.replication,
    previews: new PreviewAnswers({ ...ground, transferPreview: others.preview }),
    siteIdentity: ground.identity,
    certificates: others.certificates,
    holders: new KnownHolders({ ...ground, siteCode }),
    ...(others.bundles && { trustBundles: others.bundles }),
    sendRequests: others.siteLinks.sendRequests,
    sendSteering: others.siteLinks.sendSteering,
    prestaged: others.siteLinks.prestaged,
    site: {
      agentVersion: agentVersion(),
      startedAtMs: clock.nowMs(),
      ownPlaces: ownPlacesOf(config),
    },
    packageCommands: new PackageCommands({
      ...{ ...ground, packageIds, newUuid: randomUUID, siteCode },
      parentSiteCode: parent?.siteCode,
      hasCaughtUp: () => others.replication.hasCaughtUp(),
    }),
    distributionCommands: new DistributionCommands({ ...ground, newUuid: randomUUID, nextMs }),
    validationAnswers: others.validations.answers,
    distributionPointLibraries: others.validations.libraries,
    distributionPointCommands: new DistributionPointCommands(ground),
    groupCommands: new GroupCommands({ ...ground, nextMs }),
    settingCommands: new SettingCommands(ground),
    siteCommands: others.siteCommands,
    enrollmentCommands: others.enrollment?.commands,
    lastAdministrator: others.lastAdministrator,
    links: new TransferLinks(ground),
    statusMessageView: new StatusMessageView(ground),
    packageView: new PackageView({ ...ground, progress: snapshots }),
    packageStatusView: new PackageStatusView({
      ...ground,
      replication: others.replication,
      percentOf: (jobSerial) => manager.progressOf(jobSerial)?.percent ?? jobs.percentOf(jobSerial),
    }),
    jobs: new JobView({ jobs, transfers: manager, rates, store, clock }),
    steering,
    auditTrail,
    checker,
    logs: new LogReader({ clock, directory: config.logDirectory }),
  });
}

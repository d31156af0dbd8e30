/** The wiring of a site server: the only file that sees every component. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { RpcServer } from '../shared/rpc/rpc-server.ts';
import { type Component, startInOrder, stopThenClose } from '../shared/runtime/component.ts';
import { StateStore } from '../shared/state-store/state-store.ts';
import { SiteCommands } from './admin-service/site-commands.ts';
import { checkedSources } from './admin-service/source-check.ts';
import type { TrustBundles } from './certificate-authority/trust-bundles.ts';
import { HierarchyPackages } from './distribution-manager/hierarchy-packages.ts';
import { HierarchyWishes } from './distribution-manager/hierarchy-wishes.ts';
import { recoverPackages } from './distribution-manager/package-recovery.ts';
import { openJobSerials } from './distribution-manager/site-counters.ts';
import { ArrivalWatch } from './hierarchy-manager/arrival-watch.ts';
import { ControlsTeller } from './hierarchy-manager/controls-teller.ts';
import { GroupReactions } from './hierarchy-manager/group-reactions.ts';
import { alignWithHierarchy } from './hierarchy-manager/hierarchy-alignment.ts';
import { HierarchyDistributionPoints } from './hierarchy-manager/hierarchy-distribution-points.ts';
import { HierarchyReactor } from './hierarchy-manager/hierarchy-reactor.ts';
import { OwnContents } from './hierarchy-manager/own-contents.ts';
import { ContentLocator } from './management-point/content-locator.ts';
import { ManagementPoint } from './management-point/management-point.ts';
import { ReplicationManager } from './replication-manager/replication-manager.ts';
import { TrustTeller } from './revocations/trust-teller.ts';
import { adminService } from './site-admin.ts';
import { alarmWatch } from './site-alarms.ts';
import { type AuthorityParts, authorityParts, toldBundles } from './site-authority.ts';
import { siteCertificates } from './site-certificates.ts';
import { distributionManager } from './site-distribution.ts';
import { lastAdministrator, siteEnrollment } from './site-enrollment.ts';
import { type Ground, openGround, type SiteServerNeeds, type SiteSettings } from './site-ground.ts';
import { type SiteJobs, siteJobs } from './site-jobs.ts';
import { siteMetrics } from './site-metrics.ts';
import { ownPlacesOf } from './site-places.ts';
import { transferPreview } from './site-preview.ts';
import { siteRpcServer, siteServing } from './site-serving.ts';
import { siteTransfers } from './site-transfers.ts';
import { siteValidations } from './site-validations.ts';
import { StateSystem } from './state-system/state-system.ts';

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
    const transfers = siteJobs(ground, jobSerials);
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
      ...distributionPointCare(ground, authority.bundles),
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
    await stopThenClose(this.#components, this.#store);
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

/** What tells DPs their controls and whom to trust, and notices that they are there. */
function distributionPointCare(ground: Ground, bundles: TrustBundles | undefined): Component[] {
  const told = { ...ground, ...(bundles && { bundles: toldBundles(bundles) }) };
  const needs = { ...ground, logger: ground.logOf('hierarchy-manager') };
  return [
    new ControlsTeller(needs),
    new TrustTeller(told, { ...ground, logger: ground.logOf('revocations') }),
    new ArrivalWatch(needs),
  ];
}

/** What takes the state messages of pull DPs, and tells clients where content is. */
function managementPoint(
  ground: Ground,
  { jobs }: SiteJobs,
  stateSystem: StateSystem,
): ManagementPoint {
  return new ManagementPoint({ ...ground, jobs, stateSystem, locator: new ContentLocator(ground) });
}

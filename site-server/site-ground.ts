/** What all components of a site server stand on: its store, its library, and what is asked by many. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ContentLibrary } from '../shared/content-library/content-library.ts';
import type { LiveCredentials } from '../shared/rpc/live-credentials.ts';
import type { PeerTrust } from '../shared/rpc/peer-trust.ts';
import { agentVersion } from '../shared/runtime/agent-version.ts';
import type { Clock } from '../shared/runtime/clock.ts';
import type { Logger } from '../shared/runtime/logger.ts';
import { ChangeNotifier } from '../shared/state-store/change-notifier.ts';
import type { StateStore, StateStoreDamage } from '../shared/state-store/state-store.ts';
import { TransferArbiter } from '../shared/transfer-arbiter/transfer-arbiter.ts';
import { AuditHeads } from './audit-trail/audit-heads.ts';
import { AuditTrail, defaultAuditTrailConfig } from './audit-trail/audit-trail.ts';
import { ComponentSettings } from './component-settings/component-settings.ts';
import { HierarchyPackageRows } from './distribution-manager/hierarchy-package-rows.ts';
import { hasLostPackages } from './distribution-manager/package-recovery.ts';
import { PackageStore } from './distribution-manager/package-store.ts';
import type { SiteCountersComponents } from './distribution-manager/site-counters.ts';
import { SnapshotProgress } from './distribution-manager/snapshot-progress.ts';
import { DistributionPointConnections } from './distribution-point-connections/distribution-point-connections.ts';
import { ContentDpMap } from './hierarchy-manager/content-dp-map.ts';
import { DistributionPointChecker } from './hierarchy-manager/distribution-point-checker.ts';
import { HierarchyManager } from './hierarchy-manager/hierarchy-manager.ts';
import { SiteDirectory } from './hierarchy-manager/site-directory.ts';
import { TransferControlRows } from './hierarchy-manager/transfer-control-rows.ts';
import { ChangeCapture } from './replication-manager/change-capture.ts';
import { defaultRevocationsConfig, Revocations } from './revocations/revocations.ts';
import { siteAddressOf } from './site-address.ts';
import { openSiteAuthority, type SiteAuthority } from './site-authority.ts';
import type { SiteConfig } from './site-config.ts';
import { SiteIdentityKeeper } from './site-identity/site-identity-keeper.ts';
import { StatusManager } from './status-manager/status-manager.ts';

export interface SiteServerNeeds {
  readonly clock: Clock;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly credentials: LiveCredentials;
}

/** What the wiring adds to the configuration: where this program's logs go, and where it was read. */
export type SiteSettings = SiteConfig & {
  readonly logDirectory: string;
  readonly configFile?: string;
};

/** Everything the rest is made of. */
export interface Ground extends SiteServerNeeds {
  readonly config: SiteSettings;
  readonly store: StateStore;
  readonly notifier: ChangeNotifier;
  readonly library: ContentLibrary;
  readonly packages: PackageStore;
  readonly status: StatusManager;
  readonly auditTrail: AuditTrail;
  readonly auditHeads: AuditHeads;
  readonly contentMap: ContentDpMap;
  readonly hierarchy: HierarchyManager;
  readonly siteCode: string;
  readonly sites: SiteDirectory;
  readonly hierarchyPackages: HierarchyPackageRows;
  /** What the components read their limits from. */
  readonly settings: ComponentSettings<SiteSettings>;
  /** Says when bytes of content may leave this site. */
  readonly arbiter: TransferArbiter;
  /** Which ways a transfer takes; tells the arbiter what is set for them. */
  readonly transferControls: TransferControlRows;
  /** host:port by which others reach this site. */
  readonly siteAddress: () => string;
  /** Where the site listens: as it is configured, then with the port that was free. */
  readonly listening: { address: string };
  readonly connections: DistributionPointConnections;
  /** Whose certificates are nobody's any more. */
  readonly revocations: Revocations;
  /** Whose certificates count here. */
  readonly trust: PeerTrust;
  readonly checker: DistributionPointChecker;
  readonly snapshots: SnapshotProgress;
  readonly counters: SiteCountersComponents;
  /** Sees every write, for replication. */
  readonly capture: ChangeCapture;
  readonly identity: SiteIdentityKeeper;
  readonly siteAuthority: SiteAuthority;
  readonly logOf: (component: string) => Logger;
}

/** Makes what the components share, over the store that was just opened, before anybody writes to it. */
export async function openGround(
  needs: SiteServerNeeds,
  config: SiteSettings,
  { store, damage }: Awaited<ReturnType<typeof StateStore.open>>,
): Promise<Ground> {
  const { clock, logger } = needs;
  const logOf = (component: string) => logger.child({ component });
  const notifier = new ChangeNotifier({ store });
  const { siteCode, kind, parent } = config;
  const libraryDirectory = libraryDirectoryOf(config);
  const packages = new PackageStore({ store, clock });
  const library = new ContentLibrary(
    { store, clock, logger: logOf('content-library') },
    { ...config, directory: libraryDirectory },
  );
  const isStoreDamaged =
    damage !== undefined || (await hasLostPackages({ packages, ...library.layout }));
  const counters = { store, clock, siteCode, isStoreDamaged };
  const capture = await ChangeCapture.open({ ...counters, notifier });
  const status = await StatusManager.open({ store, clock, siteCode }, config);
  const audit = await openAudit({ ...counters, clock, status }, config, logOf('audit-trail'));
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
  const sites = new SiteDirectory({ store, own: { siteCode, kind, ...(parent && { parent }) } });
  const revocations = new Revocations(
    { store, clock, siteCode, sites, logger: logOf('revocations') },
    { ...defaultRevocationsConfig, aheadMsMax: config.replication.clockAheadMsMax },
  );
  await revocations.load();
  const { trust } = revocations;
  const connections = new DistributionPointConnections({ ...needs, trust }, { checkDeadlineMs });
  const checker = new DistributionPointChecker({
    checkDistributionPoint: (dp, signal) => connections.check(dp, signal),
    hierarchy,
    clock,
  });
  if (isStoreDamaged) await reportDamage(store, status, damage);
  const hierarchyPackages = new HierarchyPackageRows({ store, siteCode });
  const arbiter = new TransferArbiter(clock);
  const transferControls = new TransferControlRows({ store, arbiter, siteCode });
  const settings = new ComponentSettings({ store, siteCode }, config);
  const snapshots = new SnapshotProgress();
  const listening = { address: config.listen };
  const siteAddress = () => {
    return siteAddressOf({ address: config.address, listen: listening.address }, hostname());
  };
  const siteAuthority = await openSiteAuthority(needs, { store, revocations }, config);
  const identity = await SiteIdentityKeeper.open(
    {
      ...{ ...needs, store, directory: sites, siteAddress, trust },
      ...{ agentVersion: agentVersion(), logger: logOf('site-identity') },
    },
    {
      siteCode,
      keyDirectory: join(config.dataDirectory, 'signing-keys'),
      retiredKeyMs: config.despooling.retiredKeyMs,
    },
  );
  const site = { siteCode, siteAddress, listening, capture, identity, siteAuthority };
  const kept = { status, ...audit, contentMap, hierarchy, packages, sites, hierarchyPackages };
  const transfers = { arbiter, transferControls };
  const parts = {
    ...kept,
    ...transfers,
    revocations,
    trust,
    settings,
    connections,
    checker,
    library,
    ...site,
  };
  return { ...needs, ...parts, config, store, notifier, snapshots, counters, logOf };
}

/** Who called what, and what this site and others have told of that. */
async function openAudit(
  needs: SiteCountersComponents & { readonly clock: Clock; readonly status: StatusManager },
  config: SiteSettings,
  logger: Logger,
) {
  const trailConfig = { ...defaultAuditTrailConfig, ...config };
  const auditTrail = await AuditTrail.open({ ...needs, logger }, trailConfig);
  return { auditTrail, auditHeads: new AuditHeads({ ...needs, trail: auditTrail }) };
}

export function libraryDirectoryOf(config: SiteConfig): string {
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

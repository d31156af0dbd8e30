/** The wiring of what answers administrators. */
import { randomUUID } from 'node:crypto';
import { agentVersion } from '../shared/runtime/agent-version.ts';
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
import type { SiteCommands } from './admin-service/site-commands.ts';
import { StatusMessageView } from './admin-service/status-message-view.ts';
import type { TrustBundles } from './certificate-authority/trust-bundles.ts';
import type { CertificateWatch } from './certificate-watch/certificate-watch.ts';
import { PackageIds } from './distribution-manager/package-ids.ts';
import type { LastAdministrator } from './enrollment/last-administrator.ts';
import { TransferLinks } from './hierarchy-manager/transfer-links.ts';
import { JobView } from './package-transfer-manager/job-view.ts';
import { PullRates } from './package-transfer-manager/pull-rates.ts';
import type { ReplicationManager } from './replication-manager/replication-manager.ts';
import { KnownHolders } from './revocations/known-holders.ts';
import type { SiteEnrollment } from './site-enrollment.ts';
import type { Ground } from './site-ground.ts';
import type { SiteJobs } from './site-jobs.ts';
import { ownPlacesOf } from './site-places.ts';
import type { SiteTransfers } from './site-transfers.ts';
import type { SiteValidations } from './site-validations.ts';
import type { TransferPreview } from './transfer-preview/transfer-preview.ts';

/** Makes it, with all that administrators are answered by. */
export async function adminService(
  ground: Ground,
  others: {
    readonly transfers: SiteJobs;
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

import assert from 'node:assert/strict';
import type { Conversation } from '../../../shared/rpc/conversation.ts';
import type { TemporaryDirectory } from '../../../shared/testing/temporary-directory.ts';
import { AuditTrail } from '../../audit-trail/audit-trail.ts';
import type { TestSite } from '../../distribution-manager/testing/test-site.ts';
import { TransferLinks } from '../../hierarchy-manager/transfer-links.ts';
import { AdminService, type AdminServiceComponents } from '../admin-service.ts';
import { DistributionPointCommands } from '../distribution-point-commands.ts';
import { DistributionPointLibraries } from '../distribution-point-libraries.ts';
import { LogReader } from '../log-reader.ts';
import { PackageStatusView } from '../package-status-view.ts';
import { PackageView } from '../package-view.ts';
import { SettingCommands } from '../setting-commands.ts';
import { SiteCommands } from '../site-commands.ts';
import { StatusMessageView } from '../status-message-view.ts';
import { ValidationAnswers } from '../validation-answers.ts';
import { noSteering, nothing, noWork } from './quiet-parts.ts';

/** The Admin conversation of a site of a test, with parts of it as the test has them. */
export async function conversationOf(
  site: TestSite,
  directory: TemporaryDirectory,
  ports: Partial<AdminServiceComponents> = {},
): Promise<Conversation<'Admin'>> {
  const { store } = site;
  const { clock } = site.machine;
  const { logger } = site.machine.log;
  return new AdminService({
    ...site,
    distributionPointCommands: new DistributionPointCommands(site),
    siteCommands: new SiteCommands(site),
    settingCommands: new SettingCommands({ ...site, settings: { configuredOf: () => 3 } }),
    validationAnswers: new ValidationAnswers({
      ...{ ...site, clock, newUuid: () => 'wish' },
      ownValidations: { request: async () => 'wish' },
    }),
    distributionPointLibraries: new DistributionPointLibraries({
      ...site,
      connections: { channelTo: () => assert.fail('no DP is asked here') },
      jobSerials: { next: () => assert.fail('no job is made here') },
    }),
    links: new TransferLinks(site),
    lastAdministrator: { putOut: (_holder, _by, work) => work() },
    certificates: { known: async () => [], dueOf: () => 'nothing' },
    holders: { find: async () => undefined, nearest: async () => undefined },
    connections: { forget: () => {} },
    statusMessageView: new StatusMessageView(site),
    site: { agentVersion: '0.1.0', startedAtMs: 0, ownPlaces: [] },
    packageView: new PackageView({ ...site, clock }),
    packageStatusView: new PackageStatusView({
      ...site,
      ...replicationOf(ports),
      percentOf: () => undefined,
    }),
    jobs: { list: nothing, watch: nothing, toMessage: () => ({}) },
    steering: noSteering,
    previews: { methods: () => ({ previewDistribution: nothing, previewUpdate: nothing }) },
    prestaged: { exports: { run: noWork }, imports: { run: noWork } },
    clock,
    auditTrail: await AuditTrail.open({ store, clock, logger }),
    auditHeads: { told: nothing },
    logs: new LogReader({ clock, directory: directory.path }),
    ...ports,
  }).conversation();
}

function replicationOf({ replication }: Partial<AdminServiceComponents>) {
  return replication ? { replication } : {};
}

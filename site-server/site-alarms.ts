/** The wiring of what tells of things that stand still (docs/controls.md, 7). */
import { AlarmWatch } from './alarm-watch/alarm-watch.ts';
import type { CertificateWatch } from './certificate-watch/certificate-watch.ts';
import type { JobTable } from './package-transfer-manager/job-table.ts';
import type { PackageTransferManager } from './package-transfer-manager/package-transfer-manager.ts';
import type { ReplicationManager } from './replication-manager/replication-manager.ts';
import type { SendRequestTable } from './scheduler/send-request-table.ts';
import type { Ground } from './site-ground.ts';

/** Makes it. */
export function alarmWatch(
  ground: Ground,
  watched: {
    readonly jobs: JobTable;
    readonly transfers: PackageTransferManager;
    readonly sends: Pick<SendRequestTable, 'open'>;
    readonly replication: Pick<ReplicationManager, 'connections'>;
    readonly certificates: Pick<CertificateWatch, 'concerns'>;
  },
): AlarmWatch {
  const { jobs, transfers, sends, replication, certificates } = watched;
  const settings = ground.settings.live('alarms');
  return new AlarmWatch({
    ...{ ...ground, jobs, transfers, sends },
    neighbours: () => replication.connections(),
    certificates: () => certificates.concerns(),
    identities: () => ground.sites.identitiesOfOthers(),
    passedOverRevocations: () => ground.revocations.passedOverCounts(),
    settings: () => settings,
    logger: ground.logOf('alarm-watch'),
  });
}

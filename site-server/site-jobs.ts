/** The wiring of what brings content to this site's DPs. */
import { PieceSource } from '../shared/content-source/piece-source.ts';
import type { SerialCounter } from '../shared/state-store/serial-counter.ts';
import { OwnContents } from './hierarchy-manager/own-contents.ts';
import { JobCancellation } from './package-transfer-manager/job-cancellation.ts';
import { JobRunner } from './package-transfer-manager/job-run.ts';
import { JobSteering } from './package-transfer-manager/job-steering.ts';
import { JobTable } from './package-transfer-manager/job-table.ts';
import { OwnCopyCheck } from './package-transfer-manager/own-copy-check.ts';
import { PackageTransferManager } from './package-transfer-manager/package-transfer-manager.ts';
import { PullNotification } from './package-transfer-manager/pull-notification.ts';
import { PullSources } from './package-transfer-manager/pull-sources.ts';
import { ReturnWatch } from './package-transfer-manager/return-watch.ts';
import { TransferPermits } from './package-transfer-manager/transfer-permits.ts';
import type { Ground } from './site-ground.ts';

/** What brings content to this site's DPs. */
export interface SiteJobs {
  readonly jobs: JobTable;
  readonly permits: TransferPermits;
  readonly pieceSource: PieceSource;
  readonly manager: PackageTransferManager;
  readonly steering: JobSteering;
}

/** Makes the parts of a site that bring content to its DPs. */
export function siteJobs(ground: Ground, jobSerials: SerialCounter): SiteJobs {
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

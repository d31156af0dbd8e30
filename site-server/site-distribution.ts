/** The wiring of what publishes packages, and says which DP and site is to have them. */
import { packageHashOf } from '../shared/content-library/package-record.ts';
import type { SerialCounter } from '../shared/state-store/serial-counter.ts';
import { DistributionManager } from './distribution-manager/distribution-manager.ts';
import { DistributionPointTask } from './distribution-manager/distribution-point-task.ts';
import { PackageEnd } from './distribution-manager/package-end.ts';
import { PackagePublisher } from './distribution-manager/package-publisher.ts';
import { PackageTask } from './distribution-manager/package-task.ts';
import { PullResponses } from './distribution-manager/pull-responses.ts';
import { takeSnapshot } from './distribution-manager/source-snapshot.ts';
import { TransferResults } from './distribution-manager/transfer-results.ts';
import { VersionDeltas } from './distribution-manager/version-deltas.ts';
import type { Ground } from './site-ground.ts';
import type { SiteJobs } from './site-jobs.ts';
import { ownPlacesOf } from './site-places.ts';
import type { SiteTransfers } from './site-transfers.ts';
import type { SiteValidations } from './site-validations.ts';
import type { StateSystem } from './state-system/state-system.ts';

/** Makes it, with all that takes part in publishing a package and bringing it to DPs and sites. */
export async function distributionManager(
  ground: Ground,
  others: {
    readonly transfers: SiteJobs;
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

import { contentNamesOf } from '../../shared/domain/content-location.ts';
import { isLeaving } from '../../shared/domain/package-processing.ts';
import { throwIfAborted } from '../../shared/runtime/abort-error.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { ContentDpMap } from '../hierarchy-manager/content-dp-map.ts';
import type { DistributionPointTask } from './distribution-point-task.ts';
import type { PackagePublisher, PublishingResult } from './package-publisher.ts';
import type { PackageStore } from './package-store.ts';
import type { SiteContentTask } from './site-content-task.ts';

/** What the processing of a package needs. */
export interface PackageTaskComponents {
  readonly store: Pick<StateStore, 'write'>;
  readonly packages: PackageStore;
  readonly publisher: Pick<PackagePublisher, 'publishDue'>;
  readonly distributionPointTask: Pick<DistributionPointTask, 'run'>;
  /** Sends the package to other sites; absent where there are none. */
  readonly siteContentTask?: Pick<SiteContentTask, 'run'>;
  readonly contentMap: Pick<ContentDpMap, 'allGone'>;
  /** The site's content library, as far as deleting goes. */
  readonly library: { removePackage(packageId: string): Promise<void> };
  readonly logger: Logger;
}

/**
 * Processes one package (DM-2): publishes what is due, starts one task for each DP with something
 * to do, waits for all of them, sends the package to other sites, and lets go of a package that is
 * deleted once the last DP has.
 * Everything comes from the rows: processed again after a crash, it ends the same.
 */
export class PackageTask {
  readonly #components: PackageTaskComponents;

  constructor(components: PackageTaskComponents) {
    this.#components = components;
  }

  /** @throws AbortError when the signal fires; what is left stays due */
  async run(packageId: string, signal: AbortSignal): Promise<PublishingResult> {
    const { packages, publisher, distributionPointTask } = this.#components;
    const result = await publisher.publishDue(packageId, signal);
    const servers = await packages.serversOf(packageId);
    const tasks = servers.map(({ dpId }) => distributionPointTask.run({ packageId, dpId }, signal));
    const ended = await Promise.allSettled(tasks);
    for (const task of ended) if (task.status === 'rejected') throw task.reason;
    throwIfAborted(signal);
    await this.#components.siteContentTask?.run(packageId, signal);
    await this.#letGo(packageId);
    return result;
  }

  /** Ends the deletion of a package that no DP has any more. */
  async #letGo(packageId: string): Promise<void> {
    const { packages, contentMap, library, store, logger } = this.#components;
    const sitePackage = await packages.packages.get(packageId);
    if (!sitePackage || !isLeaving(sitePackage)) return;
    if ((await packages.serversOf(packageId)).length > 0) return;
    // Nobody can assign it again: a package that is being deleted takes no more work.
    await library.removePackage(packageId);
    await packages.turn(packageId, async () => {
      const locations = await contentMap.allGone({ names: contentNamesOf(sitePackage, packageId) });
      await store.write([...packages.delete(packageId), ...locations], { sync: true });
    });
    logger.info({ packageId }, 'Deleted package');
  }
}

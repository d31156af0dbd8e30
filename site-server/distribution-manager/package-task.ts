import { throwIfAborted } from '../../shared/runtime/abort-error.ts';
import type { DistributionPointTask } from './distribution-point-task.ts';
import type { PackageEnd } from './package-end.ts';
import type { PackagePublisher, PublishingResult } from './package-publisher.ts';
import type { PackageStore } from './package-store.ts';
import type { SiteContentTask } from './site-content-task.ts';
import type { VersionRecorder } from './version-recorder.ts';

/** What the processing of a package needs. */
export interface PackageTaskComponents {
  readonly packages: Pick<PackageStore, 'serversOf'>;
  readonly publisher: Pick<PackagePublisher, 'publishDue'>;
  readonly distributionPointTask: Pick<DistributionPointTask, 'run'>;
  /** Remembers what this version consists of, for those who come from it to the next. */
  readonly versionRecorder?: Pick<VersionRecorder, 'keep' | 'record'>;
  /** Sends the package to other sites; absent where there are none. */
  readonly siteContentTask?: Pick<SiteContentTask, 'run'>;
  readonly packageEnd: Pick<PackageEnd, 'run'>;
}

/**
 * Processes one package (DM-2): publishes what is due, starts one task for each DP with something
 * to do, waits for all of them, sends the package to other sites, and lets go of what no DP is to have
 * any more.
 * Everything comes from the rows: processed again after a crash, it ends the same.
 */
export class PackageTask {
  readonly #components: PackageTaskComponents;

  constructor(components: PackageTaskComponents) {
    this.#components = components;
  }

  /** @throws AbortError when the signal fires; what is left stays due */
  async run(packageId: string, signal: AbortSignal): Promise<PublishingResult> {
    const { packages, publisher, distributionPointTask, versionRecorder } = this.#components;
    await using before = await versionRecorder?.keep(packageId);
    const result = await publisher.publishDue(packageId, signal);
    const servers = await packages.serversOf(packageId);
    const tasks = servers.map(({ dpId }) => distributionPointTask.run({ packageId, dpId }, signal));
    const ended = await Promise.allSettled(tasks);
    for (const task of ended) if (task.status === 'rejected') throw task.reason;
    throwIfAborted(signal);
    if (before) await versionRecorder?.record(packageId, before, signal);
    await this.#components.siteContentTask?.run(packageId, signal);
    await this.#components.packageEnd.run(packageId);
    return result;
  }
}

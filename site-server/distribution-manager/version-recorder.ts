import { WaybillError } from '../../shared/domain/errors.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import { isLeaving } from '../../shared/domain/package-processing.ts';
import type { VersionHistory } from '../../shared/package-file/version-history.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { PackageStore } from './package-store.ts';

/** What recording versions needs. */
export interface VersionRecorderComponents {
  readonly packages: Pick<PackageStore, 'packages'>;
  readonly library: { getPackage(packageId: string): Promise<PackageVersion | undefined> };
  readonly history: Pick<VersionHistory, 'record' | 'forget'>;
  readonly sites: Pick<SiteDirectory, 'tree'>;
  readonly logger: Logger;
  readonly siteCode: string;
}

/**
 * Remembers what the versions of this site's packages consist of, while they are in the library, so
 * that other sites can later be sent only what changed since (REP-2). A version that could not be
 * recorded costs a full package file. Where there is one site only, nothing is recorded.
 */
export class VersionRecorder {
  readonly #components: VersionRecorderComponents;

  constructor(components: VersionRecorderComponents) {
    this.#components = components;
  }

  /** @throws AbortError when the signal fires */
  async record(packageId: string, signal: AbortSignal): Promise<void> {
    const { packages, history, sites, siteCode } = this.#components;
    const sitePackage = await packages.packages.get(packageId);
    if (!sitePackage || isLeaving(sitePackage)) return history.forget(packageId);
    const isAlone = sites.tree.list().length <= 1;
    if (isAlone || sitePackage.sourceSiteCode !== siteCode) return;
    try {
      const version = await this.#components.library.getPackage(packageId);
      if (version) await history.record(version, signal);
    } catch (err) {
      if (!(err instanceof WaybillError)) throw err;
      this.#components.logger.warn({ packageId, err }, 'Package version could not be recorded');
    }
  }
}

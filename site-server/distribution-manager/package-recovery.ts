import type { PackageVersion } from '../../shared/domain/package.ts';
import type { PackageSource, SitePackage } from '../../shared/domain/site-package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageStore } from './package-store.ts';

/** What the recovery needs. */
export interface PackageRecoveryComponents {
  readonly store: Pick<StateStore, 'write'>;
  readonly packages: PackageStore;
  /** The site's content library, which outlives the state store. */
  readonly library: { listPackages(): AsyncIterable<PackageVersion> };
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
}

/**
 * Reads back from the content library what the state store has lost: packages with their newest
 * published version and properties. Where a source was is not in the library; until an
 * administrator names it again, an update is refused. Run at every start, before Distribution
 * Manager; when nothing is lost it finds nothing.
 *
 * @returns the packages that were read back
 */
export async function recoverPackages(components: PackageRecoveryComponents): Promise<string[]> {
  const { store, packages, library, clock, logger } = components;
  const recovered: string[] = [];
  const changes: Change[] = [];
  for await (const version of library.listPackages()) {
    // A package's row outlives its content when it is deleted, so a row that is absent was lost.
    if (await packages.packages.get(version.packageId)) continue;
    changes.push(...packages.put(toSitePackage(version, clock.nowMs())));
    recovered.push(version.packageId);
    logger.warn({ packageId: version.packageId }, 'Read package back from the content library');
  }
  if (changes.length > 0) await store.write(changes, { sync: true });
  return recovered;
}

function toSitePackage(version: PackageVersion, nowMs: number): SitePackage {
  const { packageId, properties, sourceVersion, packageHash } = version;
  return {
    packageId,
    properties,
    sourceSiteCode: packageId.slice(0, 3),
    sources: version.contents.map((content): PackageSource => {
      const contentName = content.contentId.replace(/\.\d+$/, '');
      return { directory: '', contentName, content };
    }),
    sourceVersion,
    packageHash,
    state: 'published',
    reason: '',
    acceptedRequestCount: 1,
    handledRequestCount: 1,
    sourceUnchanged: false,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
  };
}

import { readdir } from 'node:fs/promises';
import { type PackageVersion, parsePackageId, sourceSiteOf } from '../../shared/domain/package.ts';
import { isForeign } from '../../shared/domain/package-processing.ts';
import type { PackageSource, SitePackage } from '../../shared/domain/site-package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageStore } from './package-store.ts';

/** What the recovery needs. */
export interface PackageRecoveryComponents {
  readonly store: Pick<StateStore, 'write' | 'damageHandled'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly packages: PackageStore;
  /** The site's content library, which outlives the state store. */
  readonly library: { listPackages(): AsyncIterable<PackageVersion> };
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
  readonly siteCode: string;
  /** Rows may be missing, or be as they once were. */
  readonly isStoreDamaged: boolean;
}

/** Whether the content library holds a package of which the store has no row: rows were lost. */
export async function hasLostPackages(options: {
  readonly packages: Pick<PackageStore, 'packages'>;
  /** `pkg-lib` of the content library. */
  readonly packageLibrary: string;
}): Promise<boolean> {
  const names = await readdir(options.packageLibrary).catch(() => []);
  for (const name of names) {
    const packageId = name.endsWith('.json') && parsePackageId(name.slice(0, -'.json'.length));
    if (packageId && !(await options.packages.packages.get(packageId))) return true;
  }
  return false;
}

/**
 * Reads back from the content library what the state store has lost: packages with their newest
 * published version and properties. Where a source was is not in the library; until an
 * administrator names it again, an update is refused. After damage every package is processed
 * once: what is due may be known to its row alone. Run at every start, before Distribution Manager;
 * when nothing is lost it finds nothing.
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
    const isOwn = sourceSiteOf(version.packageId) === components.siteCode;
    const row = toSitePackage(version, clock.nowMs());
    changes.push(...packages.put(isOwn ? row : toForeign(row)));
    recovered.push(version.packageId);
    logger.warn({ packageId: version.packageId }, 'Read package back from the content library');
  }
  if (components.isStoreDamaged) {
    for await (const [packageId, row] of packages.packages.list()) {
      if (isForeign(row)) changes.push(...packages.put({ ...row, isUnconfirmed: true }));
      changes.push(components.notifier.notification('package', packageId));
    }
    changes.push(store.damageHandled());
  }
  if (changes.length > 0) await store.write(changes, { sync: true });
  return recovered;
}

/**
 * What another site publishes is never published here, whatever was lost: what the hierarchy says of it
 * comes again from the neighbours, and until then nothing is concluded from their silence.
 */
function toForeign(row: SitePackage): SitePackage {
  const noRequests = { acceptedRequestCount: 0, handledRequestCount: 0 };
  return { ...row, ...noRequests, awaitedVersion: row.sourceVersion, isUnconfirmed: true };
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

/** The wiring of what a site exports to, and imports from, prestaged files (docs/prestaged-file.md). */
import { deltaStepsMax } from '../shared/domain/site-content-work.ts';
import { readBeginning } from '../shared/package-file/package-file-beginning.ts';
import { makePackageFile } from '../shared/package-file/package-file-maker.ts';
import type { VersionHistory } from '../shared/package-file/version-history.ts';
import { beginningBytes } from '../shared/prestaged-file/prestaged-file-format.ts';
import type { Despooler } from './despooler/despooler.ts';
import type { ReceivedFileStore } from './despooler/received-file-store.ts';
import type { PackageFileStore } from './package-file-store/package-file-store.ts';
import { PackageExport } from './prestaged-content/package-export.ts';
import { PackageImport } from './prestaged-content/package-import.ts';
import { PrestagedHolds } from './prestaged-content/prestaged-holds.ts';
import { type Ground, libraryDirectoryOf } from './site-ground.ts';

/** What is made of it. */
export interface SitePrestaged {
  /** Keeps what was imported; starts with the rest of the site. */
  readonly holds: PrestagedHolds;
  readonly exports: PackageExport;
  readonly imports: PackageImport;
}

/** Makes all of it. */
export function sitePrestaged(
  ground: Ground,
  others: {
    readonly history: VersionHistory;
    /** Where package files arrive. */
    readonly files: ReceivedFileStore;
    /** Where they are once they are whole. */
    readonly packageFiles: PackageFileStore;
    readonly despooler: Despooler;
  },
): SitePrestaged {
  const { config, library, identity, logOf } = ground;
  const { history } = others;
  const { keptMs, exportsMax } = config.prestaged;
  const { sweepIntervalMs } = config;
  const logger = logOf('prestaged-content');
  const holds = new PrestagedHolds({ ...ground, logger }, { keptMs, sweepIntervalMs });
  const exports = new PackageExport(
    {
      ...{ ...ground, logger },
      makeFile: (request, options) => makePackageFile({ library, history }, request, options),
      knownVersions: (packageId, newest) => knownVersions(history, packageId, newest),
      ownDirectories: [config.dataDirectory, libraryDirectoryOf(config)],
    },
    { exportsMax, reserveBytes: config.sending.packageFileReserveBytes },
  );
  const imports = new PackageImport({
    ...{ ...ground, ...others, identities: identity, holds, logger },
    lookInto: async (path, head) => {
      const { version } = await readBeginning(path, head, beginningBytes);
      return version.contents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    },
  });
  return { holds, exports, imports };
}

/** The versions before the newest that a delta can build on here, ascending. */
async function knownVersions(
  history: VersionHistory,
  packageId: string,
  newest: number,
): Promise<number[]> {
  const known: number[] = [];
  for (let version = Math.max(1, newest - deltaStepsMax); version < newest; version++) {
    if (await history.hasVersion(packageId, version)) known.push(version);
  }
  return known;
}

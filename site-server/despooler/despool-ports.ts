import { stat } from 'node:fs/promises';
import { isSystemError } from '../../shared/content-library/library-failure.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import type { PackageFileFacts } from '../../shared/domain/send-request.ts';

/** Whole, verified package files, by hash; the package file store is one. */
export interface PackageFiles {
  /** Where the file is, or would be. */
  pathOf(fileHash: string): string;
  has(fileHash: string): boolean | Promise<boolean>;
  /** Its length when it is here: then it stays long enough for an instruction to be written down. */
  keep(fileHash: string): Promise<number | undefined>;
  /** Whether it is still what its hash promises; it is discarded when it is not. */
  isSound(fileHash: string): Promise<boolean>;
  /** Makes room in its file system: deletes files that nobody needs. */
  makeRoom(): Promise<void>;
  /** Moves a whole, verified and synced file in; durable when this resolves. */
  adopt(path: string, facts: PackageFileFacts): Promise<unknown>;
}

/** A manifest and a signature that are in staging and not yet in the library. */
export interface StagedManifest {
  readonly contentId: string;
  readonly manifestPath: string;
  readonly signaturePath: string;
}

/** What a package file must be. */
export interface ExpectedPackageFile {
  readonly packageId: string;
  readonly sourceVersion: number;
  /** 0: a full package file. */
  readonly baseVersion: number;
  readonly packageHash: string;
}

/** What a package file became: `commitPackage` takes it as it is. */
export interface UnpackedVersion {
  readonly version: PackageVersion;
  readonly staged: readonly StagedManifest[];
  /**
   * Gives the deltas that came along to the contents, once they are committed: advice for DPs.
   *
   * @throws WaybillError: it costs only the deltas
   */
  readonly keepDeltas?: () => Promise<unknown>;
}

/**
 * Brings what a package file holds into staging and the file library, every hash checked; nothing of
 * it is visible before the commit.
 *
 * @throws DELTA_BASE_MISSING, PACKAGE_FILE_INVALID, DISK_FULL, and AbortError
 */
export type UnpackPackageFile = (
  request: { readonly path: string; readonly expected: ExpectedPackageFile },
  options: {
    readonly signal: AbortSignal;
    /** Bytes of the contents that are unpacked. */
    readonly onProgress: (progress: { readonly sizeBytes: number }) => void;
  },
) => Promise<UnpackedVersion>;

/** The site's content library, as far as despooling goes. */
export interface DespoolLibrary {
  getPackage(packageId: string): Promise<PackageVersion | undefined>;
  commitPackage(commit: {
    readonly version: PackageVersion;
    readonly jobSerial: number;
    readonly staged: readonly StagedManifest[];
  }): Promise<unknown>;
}

/** Length of a whole package file, in bytes; undefined when it is not here. */
export async function lengthOfPackageFile(
  files: Pick<PackageFiles, 'has' | 'pathOf'>,
  fileHash: string,
): Promise<number | undefined> {
  if (!(await files.has(fileHash))) return undefined;
  try {
    return (await stat(files.pathOf(fileHash))).size;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

import { rm, stat } from 'node:fs/promises';
import type { ContentLibrary } from '../content-library/content-library.ts';
import type { ContentReader } from '../content-library/content-reader.ts';
import { filePathOf } from '../content-library/library-layout.ts';
import type { FileProgress } from '../content-library/task-progress.ts';
import { makeDelta, mayHaveDelta } from '../delta/delta-maker.ts';
import { parseHash } from '../domain/content.ts';
import { contentNameOf } from '../domain/content-location.ts';
import { WaybillError } from '../domain/errors.ts';
import type { PackageVersion } from '../domain/package.ts';
import { encodeBundle } from '../package-info/package-info-bundle.ts';
import type { EstimateInput, PackageFileEstimate } from './estimate-worker.ts';
import type { PackedContent } from './pack-items.ts';
import type { PackedFile, PackInput } from './pack-worker.ts';
import type { RecordedVersion, VersionHistory } from './version-history.ts';

/** What making a package file needs. */
export interface PackageFileMakerNeeds {
  readonly library: Pick<
    ContentLibrary,
    'getPackage' | 'openContent' | 'deltasOf' | 'discardDamaged' | 'layout' | 'threads'
  >;
  readonly history: Pick<VersionHistory, 'find'>;
}

/** Which package file is wanted. */
export interface PackageFileRequest {
  readonly packageId: string;
  /** The version that the receiver has; 0 for a full file. */
  readonly baseVersion: number;
  /** Is made, or written anew; its directory exists. Nothing is left there when making it fails. */
  readonly path: string;
  /**
   * Bytes left free at the beginning of the file, where something else is written afterwards: what is
   * said of the package file is without them. @default 0
   */
  readonly startBytes?: number;
  /** Room that stays free in the file system of the path, in bytes. @default 0 */
  readonly reserveBytes?: number;
}

/** How a long task is followed. */
export interface PackageFileOptions {
  readonly signal?: AbortSignal;
  /** Files and bytes so far. */
  readonly onProgress?: (progress: FileProgress) => void;
}

/** A package file that was made; durable. */
export interface MadePackageFile {
  /** BLAKE3-256 of the file, lower-case hexadecimal. */
  readonly fileHash: string;
  readonly fileBytes: number;
  /** What it becomes, without compression. */
  readonly rawBytes: number;
  /** Files inside, and files that deltas and patches inside make. */
  readonly fileCount: number;
  /** The version that it carries: the one the library had when making it began. */
  readonly sourceVersion: number;
  readonly packageHash: string;
}

/** Measured on /usr/share: level 2 takes 4 % more room, level 5 takes 3 % less and twice the time. */
const compressionLevel = 3;

/** When a manifest travels as a delta: a short one compresses as well. */
const manifestDeltaConfig = {
  fileBytesMin: 16 * 1024,
  deltaShareMax: 0.3,
  scannedBytesMin: 64 * 1024 * 1024,
};

/**
 * Makes the package file that carries the version the library has now (REP-2), in threads; memory does
 * not grow with the package. The contents are kept while they are read. Equal versions, bases and
 * deltas give equal files.
 *
 * @throws PACKAGE_NOT_HELD, CONTENT_NOT_HELD
 * @throws DELTA_BASE_MISSING when the history does not know the base
 * @throws FILE_HASH_MISMATCH when a file of the library is damaged; it is discarded, so that the next
 *   update of the package stages it again
 * @throws FILE_NOT_HELD, MANIFEST_INVALID, CONTENT_HASH_MISMATCH when the library is damaged
 * @throws DISK_FULL, before anything is written when what will stand in it may not fit; AbortError
 */
export async function makePackageFile(
  needs: PackageFileMakerNeeds,
  request: PackageFileRequest,
  options: PackageFileOptions = {},
): Promise<MadePackageFile> {
  const { library } = needs;
  const { packageId } = request;
  const version = await library.getPackage(packageId);
  if (!version) throw new WaybillError({ code: 'PACKAGE_NOT_HELD', packageId });
  const readers: ContentReader[] = [];
  try {
    for (const { contentId } of version.contents) {
      readers.push(await library.openContent(contentId));
    }
    const base = await findBase(needs, request);
    const made = await pack(needs, { version, readers, base, request }, options);
    const { rawBytes, fileCount, deltaCount, patchCount } = made.head;
    const { fileHash, fileBytes } = made;
    const { sourceVersion, packageHash } = version;
    return {
      ...{ fileHash, fileBytes, rawBytes, fileCount: fileCount + deltaCount + patchCount },
      ...{ sourceVersion, packageHash },
    };
  } catch (error) {
    await rm(request.path, { force: true });
    await discardDamaged(needs, error);
    throw error;
  } finally {
    for (const reader of readers) await reader[Symbol.asyncDispose]();
  }
}

/** A version whose package file is only thought of. */
export interface EstimateRequest {
  readonly version: PackageVersion;
  /** Its contents, in order. Somebody keeps them; those that no library has yet say where they are. */
  readonly contents: readonly EstimatedContent[];
  /** The version that the receiver has; 0 for a full file. */
  readonly baseVersion: number;
  /** Nothing else begins with it; nothing is left there. Its directory exists. */
  readonly path: string;
  /** So much of it is compressed, in bytes. */
  readonly sampleBytesMax: number;
}

/** A content of a version whose package file is only thought of. */
export type EstimatedContent = Pick<
  PackedContent,
  'descriptor' | 'manifestPath' | 'signaturePath' | 'places'
> &
  Partial<Pick<PackedContent, 'deltas'>>;

/**
 * How large a package file would become, without making it: what goes in is gone through, and some of
 * it is compressed.
 *
 * @throws DELTA_BASE_MISSING when the history does not know the base; AbortError; what a damaged
 *   library throws
 */
export async function estimatePackageFile(
  needs: PackageFileMakerNeeds,
  request: EstimateRequest,
  { signal }: Pick<PackageFileOptions, 'signal'> = {},
): Promise<PackageFileEstimate> {
  const { version, contents: readers, baseVersion, path, sampleBytesMax } = request;
  const file = { packageId: version.packageId, baseVersion, path };
  const base = await findBase(needs, file);
  return withPackInput(needs, { version, readers, base, request: file }, signal, (input) => {
    const program = new URL('./estimate-worker.js', import.meta.url);
    const estimate: EstimateInput = { ...input, sampleBytesMax };
    const options = { onMessage: () => {}, signal };
    return needs.library.threads.run<PackageFileEstimate, never>(program, estimate, options);
  });
}

interface PackWork {
  readonly version: PackageVersion;
  readonly readers: readonly EstimatedContent[];
  readonly base: RecordedVersion | undefined;
  readonly request: PackageFileRequest;
}

async function findBase(
  { history }: PackageFileMakerNeeds,
  { packageId, baseVersion }: PackageFileRequest,
): Promise<RecordedVersion | undefined> {
  if (baseVersion === 0) return undefined;
  const base = await history.find(packageId, baseVersion);
  if (base) return base;
  throw new WaybillError({ code: 'DELTA_BASE_MISSING', packageId, baseVersion, missingFiles: 0 });
}

async function pack(
  needs: PackageFileMakerNeeds,
  work: PackWork,
  { signal, onProgress }: PackageFileOptions,
): Promise<PackedFile> {
  return withPackInput(needs, work, signal, (input) => {
    const program = new URL('./pack-worker.js', import.meta.url);
    return needs.library.threads.run<PackedFile, FileProgress>(program, input, {
      onMessage: (progress) => onProgress?.(progress),
      signal,
    });
  });
}

/** Works with what a package file is made of; the deltas of its manifests are there meanwhile. */
async function withPackInput<T>(
  { library, history }: PackageFileMakerNeeds,
  { version, readers, base, request }: PackWork,
  signal: AbortSignal | undefined,
  work: (input: PackInput) => Promise<T>,
): Promise<T> {
  const manifestDeltaPaths = readers.map((_, index) => `${request.path}.manifest-${index}`);
  try {
    const contents: PackedContent[] = [];
    for (const [index, reader] of readers.entries()) {
      const { descriptor, manifestPath, signaturePath, places } = reader;
      const deltaPath = manifestDeltaPaths[index] ?? '';
      const manifestDelta = await makeManifestDelta(library, { reader, base, deltaPath }, signal);
      const held = () => (base ? library.deltasOf(descriptor.contentId) : []);
      const deltas = reader.deltas ?? (await held());
      const parts = { descriptor, manifestPath, signaturePath, deltas, ...(places && { places }) };
      contents.push(manifestDelta ? { ...parts, manifestDelta } : parts);
    }
    return await work({
      packageId: request.packageId,
      sourceVersion: version.sourceVersion,
      baseVersion: request.baseVersion,
      bundle: encodeBundle(version).bytes,
      ...(base && { baseHashesPath: base.hashesPath }),
      patchPaths: base ? await patchPathsOf(history, version, request.baseVersion) : [],
      fileLibrary: library.layout.fileLibrary,
      contents,
      path: request.path,
      startBytes: request.startBytes ?? 0,
      reserveBytes: request.reserveBytes ?? 0,
      level: compressionLevel,
    });
  } finally {
    for (const path of manifestDeltaPaths) await rm(path, { force: true });
  }
}

/** Where the patches of each step from the base to this version are. */
async function patchPathsOf(
  history: PackageFileMakerNeeds['history'],
  { packageId, sourceVersion }: PackageVersion,
  baseVersion: number,
): Promise<string[]> {
  const paths: string[] = [];
  for (let step = baseVersion + 1; step <= sourceVersion; step++) {
    const recorded = await history.find(packageId, step);
    if (recorded) paths.push(recorded.patchesPath);
  }
  return paths;
}

/**
 * How the manifest of a content is made from that of the same source in the base. What stands for the
 * hashes of the two files are their contents' hashes: they settle every byte of a manifest.
 */
async function makeManifestDelta(
  library: PackageFileMakerNeeds['library'],
  of: { reader: EstimatedContent; base: RecordedVersion | undefined; deltaPath: string },
  signal: AbortSignal | undefined,
): Promise<PackedContent['manifestDelta']> {
  const { descriptor, manifestPath } = of.reader;
  const name = contentNameOf(descriptor.contentId);
  const older = of.base?.contents.find((one) => contentNameOf(one.descriptor.contentId) === name);
  if (!older) return undefined;
  const sizes = { baseBytes: older.descriptor.manifestBytes, fileBytes: descriptor.manifestBytes };
  if (!mayHaveDelta(sizes, manifestDeltaConfig)) return undefined;
  const request = {
    ...{ baseHash: older.descriptor.contentHash, fileHash: descriptor.contentHash, ...sizes },
    ...{ basePath: older.manifestPath, filePath: manifestPath, deltaPath: of.deltaPath },
  };
  const options = { config: manifestDeltaConfig, ...(signal && { signal }) };
  const delta = await makeDelta(library.threads, request, options).catch((error: unknown) => {
    // Too long to be kept, or forgotten since.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  });
  return delta && { base: older, delta, path: of.deltaPath };
}

/** What is known to be damaged is not given to anybody else. */
async function discardDamaged({ library }: PackageFileMakerNeeds, error: unknown): Promise<void> {
  if (!(error instanceof WaybillError) || error.details.code !== 'FILE_HASH_MISMATCH') return;
  const { expectedHash: hash } = error.details;
  if (parseHash(hash) === undefined) return;
  const stats = await stat(filePathOf(library.layout.fileLibrary, hash)).catch(() => undefined);
  if (stats) await library.discardDamaged([{ hash, sizeBytes: stats.size }]);
}

import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncDirectories } from '../../shared/content-library/file-system-sync.ts';
import { isSystemError, toWriteFailure } from '../../shared/content-library/library-failure.ts';
import type { FileProgress } from '../../shared/content-library/task-progress.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { MadePackageFile } from '../../shared/package-file/package-file-maker.ts';
import {
  beginningBytes,
  encodeBeginning,
  encodePrestagedHead,
} from '../../shared/prestaged-file/prestaged-file-format.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { SiteIdentityKeeper } from '../site-identity/site-identity-keeper.ts';
import { requireFilePlace } from './site-path.ts';

/** What exporting packages needs. */
export interface PackageExportComponents {
  readonly library: { getPackage(packageId: string): Promise<PackageVersion | undefined> };
  /** Makes the package file of the version the library has now; see `makePackageFile`. */
  readonly makeFile: (
    request: {
      readonly packageId: string;
      readonly baseVersion: number;
      readonly path: string;
      readonly startBytes: number;
      readonly reserveBytes: number;
    },
    options: { readonly signal: AbortSignal; readonly onProgress: (told: FileProgress) => void },
  ) => Promise<MadePackageFile>;
  /** The versions that a delta can build on here. */
  readonly knownVersions: (packageId: string, newest: number) => Promise<readonly number[]>;
  readonly identity: Pick<SiteIdentityKeeper, 'signWithIdentity'>;
  /** Where the site keeps its own files: nothing is written there. */
  readonly ownDirectories: readonly string[];
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
}

/** How exports are tuned. */
export interface PackageExportConfig {
  /** Exports at once; each keeps a processor and a disk busy. */
  readonly exportsMax: number;
  /** Bytes that stay free where the site keeps its own files. */
  readonly reserveBytes: number;
}

/** What is to be exported. */
export interface ExportRequest {
  readonly packageId: string;
  readonly path: string;
  /** 0: all of the package. */
  readonly baseVersion: number;
  readonly overwrite: boolean;
}

/** A prestaged file that is whole and durable. */
export interface ExportedFile {
  readonly sourceVersion: number;
  readonly baseVersion: number;
  /** Of the whole file. */
  readonly fileBytes: number;
  /** Of the package file in it. */
  readonly fileHash: string;
}

/** How a file is called until it is whole, beside where it is to be. */
export const unfinishedSuffix = '.waybill-unfinished';

/**
 * Writes packages of this site's library to prestaged files (PKG-12; docs/prestaged-file.md), in
 * threads. A file gets its name once it is whole and durable; a crash leaves one with another name
 * beside it, which the next export to that place replaces.
 */
export class PackageExport {
  readonly #components: PackageExportComponents;
  readonly #config: PackageExportConfig;
  /** Places that are being written. */
  readonly #places = new Set<string>();

  constructor(components: PackageExportComponents, config: PackageExportConfig) {
    this.#components = components;
    this.#config = config;
  }

  /**
   * Exports the version the library has when this begins.
   *
   * @param onProgress told bytes of the contents that are packed, and of all of them
   * @throws PACKAGE_NOT_HELD; REQUEST_INVALID for a path or a base that cannot be; RECEIVER_BUSY
   * @throws DISK_FULL; what `makePackageFile` throws of a damaged library; AbortError: nothing is left
   */
  async run(
    request: ExportRequest,
    onProgress: (told: { readonly doneBytes: number; readonly totalBytes: number }) => void,
    signal: AbortSignal,
  ): Promise<ExportedFile> {
    const version = await this.#requireVersion(request);
    const { ownDirectories, logger } = this.#components;
    const place = await requireFilePlace(request.path, {
      ownDirectories,
      mayReplace: request.overwrite,
    });
    const totalBytes = version.contents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const release = this.#take(place);
    try {
      const exported = await this.#write(request, place, {
        signal,
        onProgress: ({ sizeBytes }) => onProgress({ doneBytes: sizeBytes, totalBytes }),
      });
      logger.info({ packageId: request.packageId, ...exported }, 'Exported a package');
      return exported;
    } finally {
      release();
    }
  }

  async #requireVersion({ packageId, baseVersion }: ExportRequest): Promise<PackageVersion> {
    const { library, knownVersions } = this.#components;
    const version = await library.getPackage(packageId);
    if (!version) throw new WaybillError({ code: 'PACKAGE_NOT_HELD', packageId });
    if (baseVersion === 0) return version;
    const known = await knownVersions(packageId, version.sourceVersion);
    if (known.includes(baseVersion)) return version;
    const expected =
      known.length > 0
        ? `one of the versions ${known.join(', ')} of package ${packageId}`
        : `none, since this site knows no version of package ${packageId} before ${version.sourceVersion}: only its source site does, of those published while the hierarchy had several sites`;
    throw requestInvalid('base_version', { expected, actual: `${baseVersion}` });
  }

  /** @returns what gives the place back */
  #take(place: string): () => void {
    const { exportsMax: limit } = this.#config;
    if (this.#places.has(place)) {
      const expected = 'a path that no other export writes now';
      throw requestInvalid('path', { expected, actual: place });
    }
    if (this.#places.size >= limit) {
      throw new WaybillError({ code: 'RECEIVER_BUSY', what: 'exports under way', limit });
    }
    this.#places.add(place);
    return () => this.#places.delete(place);
  }

  async #write(
    request: ExportRequest,
    place: string,
    options: Parameters<PackageExportComponents['makeFile']>[1],
  ): Promise<ExportedFile> {
    const { packageId, baseVersion, overwrite } = request;
    const unfinished = `${place}${unfinishedSuffix}`;
    try {
      await rm(unfinished, { force: true });
      const reserveBytes = await this.#reserveBytesAt(dirname(place));
      const order = { packageId, baseVersion, path: unfinished, reserveBytes };
      const made = await this.#components.makeFile(
        { ...order, startBytes: beginningBytes },
        options,
      );
      await this.#writeBeginning(unfinished, request, made);
      options.signal.throwIfAborted();
      // What has come there meanwhile is nobody's to replace, unless it was said so.
      await requireFilePlace(place, { ownDirectories: [], mayReplace: overwrite });
      await rename(unfinished, place);
      await syncDirectories(dirname(place), [dirname(place)]);
      const { sourceVersion, fileHash } = made;
      return { sourceVersion, baseVersion, fileHash, fileBytes: beginningBytes + made.fileBytes };
    } catch (error) {
      await rm(unfinished, { force: true }).catch(() => {
        // What keeps it from being removed may be the very failure; the next export removes it.
      });
      throw toExportFailure(error, request);
    }
  }

  async #writeBeginning(
    unfinished: string,
    { packageId, baseVersion }: ExportRequest,
    made: MadePackageFile,
  ): Promise<void> {
    const { identity, clock } = this.#components;
    const { sourceVersion, packageHash, fileHash, fileBytes } = made;
    const said = { packageId, sourceVersion, baseVersion, packageHash, fileHash, fileBytes };
    const madeAtMs = clock.nowMs();
    const { bytes, ...signed } = await identity.signWithIdentity((own) =>
      encodePrestagedHead({ ...said, madeAtMs, identity: own }),
    );
    const beginning = encodeBeginning(bytes, signed);
    await using file = await open(unfinished, 'r+');
    await file.write(beginning, 0, beginning.length, 0).catch((error: unknown) => {
      throw toWriteFailure(error, unfinished, beginning.length);
    });
    await file.sync();
  }

  /** A stick may be filled to its last byte; the disk that the site lives on may not. */
  async #reserveBytesAt(directory: string): Promise<number> {
    const { dev } = await stat(directory);
    for (const own of this.#components.ownDirectories) {
      const stats = await stat(own).catch(() => undefined);
      if (stats?.dev === dev) return this.#config.reserveBytes;
    }
    return 0;
  }
}

/** What the operating system says of a place where no file can be written. */
const placeCodes = [
  ...['EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'EIO', 'EFBIG'],
  ...['EISDIR', 'ERR_FS_EISDIR'],
];

/** What the operating system refuses, an administrator can put right. */
function toExportFailure(error: unknown, { path, baseVersion }: ExportRequest): unknown {
  if (isErrorWithCode(error, 'DELTA_BASE_MISSING')) {
    const expected = 'a version that the site still knows';
    const remedy = 'Without one, all is exported';
    return requestInvalid('base_version', { expected, actual: `${baseVersion}`, remedy });
  }
  if (isSystemError(error, ...placeCodes)) {
    const expected = 'a path where the site server may write a file';
    return requestInvalid('path', { expected, actual: `${path} (${error.code})` });
  }
  return toWriteFailure(error, path, 0);
}

import type { X509Certificate } from 'node:crypto';
import { isAbsolute } from 'node:path';
import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import { refusalOfBase } from '../../shared/domain/prestaged-content.ts';
import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import { readBeginning } from '../../shared/package-file/package-file-beginning.ts';
import { hashPackageFile } from '../../shared/package-file/package-file-hash.ts';
import { unpackPackageFile } from '../../shared/package-file/package-file-unpacker.ts';
import {
  beginningBytes,
  type PrestagedHead,
} from '../../shared/prestaged-file/prestaged-file-format.ts';
import {
  invalidPrestagedFile,
  readPrestagedBeginning,
} from '../../shared/prestaged-file/prestaged-file-reader.ts';
import { refusalOfPrestagedFile } from '../../shared/prestaged-file/prestaged-trust.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { HeldImports } from './held-imports.ts';

/** What importing at a DP needs. */
export interface PrestagedImportComponents {
  readonly library: ContentLibrary;
  readonly held: Pick<HeldImports, 'newPlace' | 'hold'>;
  /** The hierarchy's CA certificates, as they are now. */
  readonly authorities: () => readonly X509Certificate[];
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
}

/** How it is tuned. */
export interface PrestagedImportConfig {
  /** Room that stays free for others, in bytes. */
  readonly reserveBytes: number;
}

/** How far an import is. */
export interface PrestagedImportProgress {
  readonly packageId: string;
  readonly sourceVersion: number;
  /** The site that made the file. */
  readonly siteCode: string;
  /** Of the step that is under way: first the file is hashed, then contents are taken out of it. */
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly result?: PrestagedImportResult;
}

/** What came of it. */
export interface PrestagedImportResult {
  /** This very version is served already: nothing was to be done. */
  readonly isServed: boolean;
  /** 0 when it is served. */
  readonly keptUntilMs: number;
}

interface Step {
  readonly path: string;
  readonly head: PrestagedHead;
  readonly tell: (told: Partial<PrestagedImportProgress>) => PrestagedImportProgress;
  readonly signal: AbortSignal;
}

/**
 * Brings the files of a prestaged file into the content library of a DP (PKG-12), from a path on its own
 * machine. What a package consists of, only the DP's site says: so no package comes of it. The files lie
 * in the library under their hashes, verified, used by nothing, and are held for a while; what the site
 * distributes meanwhile finds them here. A wrong or false file costs nothing but room. A crash leaves
 * files that nothing uses, which are swept: the import begins anew.
 */
export class PrestagedImport {
  readonly #components: PrestagedImportComponents;
  readonly #config: PrestagedImportConfig;
  #isUnderWay = false;

  constructor(components: PrestagedImportComponents, config: PrestagedImportConfig) {
    this.#components = components;
    this.#config = config;
  }

  /**
   * Imports a file; one at a time.
   *
   * @throws PRESTAGED_FILE_INVALID, VERSION_DOWNGRADE, REQUEST_INVALID for what is no path, DISK_FULL,
   *   RECEIVER_BUSY: nothing has changed; AbortError
   */
  async run(
    path: string,
    onProgress: (progress: PrestagedImportProgress) => void,
    signal: AbortSignal,
  ): Promise<PrestagedImportProgress> {
    if (!isAbsolute(path) || path.includes('\0')) {
      const expected = 'the absolute path of a file on the machine of this distribution point';
      throw requestInvalid('path', { expected, actual: quoted(path) });
    }
    if (this.#isUnderWay) {
      const what = 'prestaged files to import';
      throw new WaybillError({ code: 'RECEIVER_BUSY', what, limit: 1 });
    }
    this.#isUnderWay = true;
    try {
      return await this.#import(path, onProgress, signal);
    } catch (error) {
      if (error instanceof WaybillError) {
        this.#components.logger.warn({ path, err: error }, 'Did not import a prestaged file');
      }
      throw error;
    } finally {
      this.#isUnderWay = false;
    }
  }

  async #import(
    path: string,
    onProgress: (progress: PrestagedImportProgress) => void,
    signal: AbortSignal,
  ): Promise<PrestagedImportProgress> {
    const { authorities, clock, library, logger } = this.#components;
    const beginning = await readPrestagedBeginning(path);
    const { head } = beginning;
    const trust = { authorities: authorities(), nowMs: clock.nowMs() };
    const refusal = refusalOfPrestagedFile(beginning, trust);
    if (refusal !== undefined) throw invalidPrestagedFile(path, refusal);
    const { packageId, sourceVersion, identity, fileBytes: totalBytes } = head;
    const { siteCode } = identity;
    const first = { packageId, sourceVersion, siteCode, doneBytes: 0, totalBytes };
    const step = { path, head, signal, tell: tellerOf(first, onProgress) };
    step.tell({});
    if (isServed(path, head, await library.getPackage(packageId))) {
      return step.tell({ result: { isServed: true, keptUntilMs: 0 } });
    }
    await this.#verify(step);
    const keptUntilMs = await this.#unpackUnlessServed(step);
    if (keptUntilMs === undefined) return step.tell({ result: { isServed: true, keptUntilMs: 0 } });
    logger.info({ packageId, sourceVersion, siteCode, path }, 'Imported a prestaged file');
    return step.tell({ result: { isServed: false, keptUntilMs } });
  }

  /** All bytes of the package file are those that were signed, before any is used. */
  async #verify({ path, head, tell, signal }: Step): Promise<void> {
    const { threads } = this.#components.library;
    const options = {
      startBytes: beginningBytes,
      onBytes: (doneBytes: number) => void tell({ doneBytes }),
    };
    const actualHash = await hashPackageFile(threads, path, signal, options);
    if (actualHash === head.fileHash) return;
    const hashes = `expected hash ${head.fileHash}, got ${actualHash || 'none'}`;
    throw invalidPrestagedFile(path, `its bytes were altered: ${hashes}`);
  }

  /** @returns until when its files are held; undefined when the site has brought the version meanwhile */
  async #unpackUnlessServed(step: Step): Promise<number | undefined> {
    try {
      return await this.#unpack(step);
    } catch (error) {
      // Then what it builds on may be gone already.
      const { path, head } = step;
      const held = await this.#components.library.getPackage(head.packageId);
      const isBaseGone = isErrorWithCode(error, 'PRESTAGED_FILE_INVALID');
      if (isBaseGone && isServed(path, head, held)) return undefined;
      throw error;
    }
  }

  /** @returns until when its files are held */
  async #unpack({ path, head, tell, signal }: Step): Promise<number> {
    const { library, held } = this.#components;
    const { reserveBytes } = this.#config;
    const stagingDirectory = await held.newPlace();
    const request = { path, startBytes: beginningBytes, expected: head, stagingDirectory };
    try {
      const { version } = await readBeginning(path, head, beginningBytes);
      const totalBytes = version.contents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      tell({ doneBytes: 0, totalBytes });
      await unpackPackageFile({ library, reserveBytes }, request, {
        signal,
        onProgress: ({ sizeBytes: doneBytes }) => void tell({ doneBytes }),
      });
    } catch (error) {
      throw toImportFailure(error, path);
    }
    return held.hold(head);
  }
}

function tellerOf(
  first: PrestagedImportProgress,
  onProgress: (progress: PrestagedImportProgress) => void,
): Step['tell'] {
  let progress = first;
  return (told) => {
    progress = { ...progress, ...told };
    onProgress(progress);
    return progress;
  };
}

/** @throws VERSION_DOWNGRADE, PRESTAGED_FILE_INVALID for what cannot stand on what is served here */
function isServed(path: string, head: PrestagedHead, held: PackageVersion | undefined): boolean {
  const { packageId, sourceVersion: offered, baseVersion, packageHash } = head;
  const heldVersion = held?.sourceVersion ?? 0;
  if (heldVersion > offered) {
    throw new WaybillError({ code: 'VERSION_DOWNGRADE', packageId, offered, held: heldVersion });
  }
  if (heldVersion === offered) {
    if (held?.packageHash === packageHash) return true;
    throw invalidPrestagedFile(path, `other content of version ${offered} is served here`);
  }
  const refusal = refusalOfBase({ packageId, baseVersion, heldVersion });
  if (refusal !== undefined) throw invalidPrestagedFile(path, refusal);
  return false;
}

function toImportFailure(error: unknown, path: string): unknown {
  if (!isErrorWithCode(error, 'PACKAGE_FILE_INVALID', 'DELTA_BASE_MISSING')) return error;
  return invalidPrestagedFile(path, error.message, error);
}

import { rmSync } from 'node:fs';
import { verifySignature } from '../content-library/data-library.ts';
import { openManifest } from '../content-library/manifest-reader.ts';
import type { ContentDescriptor } from '../domain/content.ts';
import { isErrorWithCode, WaybillError } from '../domain/errors.ts';
import { madeBytes } from './made-files.ts';
import { invalidPackageFile } from './package-file-failure.ts';
import type { RecordDelta } from './package-file-format.ts';
import { writeParts } from './part-writing.ts';

/** A content whose manifest and signature are written here. */
export interface StagedManifest {
  readonly descriptor: ContentDescriptor;
  readonly manifestPath: string;
  readonly signaturePath: string;
}

/** A content that the library has; somebody holds a lease on it. */
export interface HeldManifest {
  readonly descriptor: ContentDescriptor;
  readonly manifestPath: string;
}

/** The manifest and the signature of a content as they come out of a package file. */
export class ManifestArrival {
  readonly #content: StagedManifest;
  readonly #of: { readonly packageId: string; readonly baseVersion: number };

  constructor(content: StagedManifest, of: { packageId: string; baseVersion: number }) {
    this.#content = content;
    this.#of = of;
  }

  /**
   * Makes the manifest from one that is here, which is checked first. What comes out is checked by
   * `check`.
   *
   * @throws DELTA_BASE_MISSING when that one is not here, or damaged; PACKAGE_FILE_INVALID
   */
  async makeManifest(from: {
    readonly base: HeldManifest | undefined;
    readonly delta: RecordDelta;
    readonly deltaPath: string;
  }): Promise<void> {
    const { base, delta, deltaPath } = from;
    if (!base || base.descriptor.contentHash !== delta.baseHash || !(await isSound(base))) {
      throw new WaybillError({ code: 'DELTA_BASE_MISSING', ...this.#of, missingFiles: 1 });
    }
    const { descriptor, manifestPath } = this.#content;
    const isMeant =
      delta.fileHash === descriptor.contentHash &&
      delta.fileBytes === descriptor.manifestBytes &&
      delta.baseBytes === base.descriptor.manifestBytes;
    if (!isMeant) throw this.#invalid('a delta is of another manifest');
    const full = { ...delta, deltaPieceHashes: '' };
    try {
      writeParts(manifestPath, madeBytes({ delta: full, basePath: base.manifestPath, deltaPath }));
    } catch (error) {
      if (!isErrorWithCode(error, 'DELTA_INVALID')) throw error;
      throw this.#invalid(error.message);
    }
    rmSync(deltaPath);
  }

  /** Every line of the manifest, and both hashes. @throws PACKAGE_FILE_INVALID */
  async check(): Promise<void> {
    const { descriptor, manifestPath, signaturePath } = this.#content;
    try {
      for await (const _ of openManifest(manifestPath, descriptor).entries());
      await verifySignature(signaturePath, descriptor);
    } catch (error) {
      if (!isErrorWithCode(error, 'MANIFEST_INVALID', 'CONTENT_HASH_MISMATCH')) throw error;
      throw this.#invalid(error.message);
    }
  }

  #invalid(reason: string): WaybillError {
    return invalidPackageFile(this.#of.packageId, reason);
  }
}

async function isSound({ manifestPath, descriptor }: HeldManifest): Promise<boolean> {
  try {
    await openManifest(manifestPath, descriptor).verifyHash();
    return true;
  } catch (error) {
    if (error instanceof WaybillError) return false;
    throw error;
  }
}

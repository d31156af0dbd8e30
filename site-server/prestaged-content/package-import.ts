import { hashOf } from '../../shared/content-library/content-hash.ts';
import { isSystemError } from '../../shared/content-library/library-failure.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { SiteContent } from '../../shared/domain/hierarchy-package.ts';
import { isDamagedCopy } from '../../shared/domain/hierarchy-package-work.ts';
import { sourceSiteOf } from '../../shared/domain/package.ts';
import type { PackageFileFacts } from '../../shared/domain/send-request.ts';
import type { ReceivedInstruction } from '../../shared/domain/site-instruction.ts';
import {
  beginningBytes,
  type PrestagedBeginning,
  type PrestagedHead,
} from '../../shared/prestaged-file/prestaged-file-format.ts';
import {
  invalidPrestagedFile,
  openPrestaged,
  readPrestagedBeginning,
} from '../../shared/prestaged-file/prestaged-file-reader.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { Bringer } from '../despooler/arrival.ts';
import type { DespoolLibrary, PackageFiles } from '../despooler/despool-ports.ts';
import type { Despooler } from '../despooler/despooler.ts';
import type { ReceivedFileStore } from '../despooler/received-file-store.ts';
import type { SiteIdentityKeeper } from '../site-identity/site-identity-keeper.ts';
import { refusalOfImport } from './import-check.ts';
import type { PrestagedHolds } from './prestaged-holds.ts';
import { requireSitePath } from './site-path.ts';

/** What importing packages needs. */
export interface PackageImportComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly library: Pick<DespoolLibrary, 'getPackage'>;
  readonly identities: Pick<SiteIdentityKeeper, 'refusalOf'>;
  /** Where package files arrive, from wherever. */
  readonly files: Pick<ReceivedFileStore, 'offer' | 'receive'>;
  /**
   * Looks whether the beginning of the package file in a prestaged file is what its head says.
   *
   * @returns bytes of all contents of its version
   * @throws PACKAGE_FILE_INVALID
   */
  readonly lookInto: (path: string, head: PrestagedHead) => Promise<number>;
  readonly packageFiles: Pick<PackageFiles, 'keep'>;
  readonly despooler: Pick<Despooler, 'list'>;
  readonly holds: Pick<PrestagedHolds, 'newHold'>;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  readonly logger: Logger;
  readonly siteCode: string;
}

/** How importing is tuned. */
export interface PackageImportConfig {
  /** Between two looks at what becomes of it. @default 100 */
  readonly lookMs: number;
  /** Tries while what came of the file before is being hashed, a second apart. @default 3_600 */
  readonly busyTriesMax: number;
}

export const defaultPackageImportConfig: PackageImportConfig = { lookMs: 100, busyTriesMax: 3_600 };

/** How far an import is. */
export interface ImportProgress {
  readonly packageId: string;
  readonly sourceVersion: number;
  readonly baseVersion: number;
  /** The site that made the file. */
  readonly siteCode: string;
  readonly stage: 'copying' | 'unpacking' | 'stored' | 'stored-before' | 'waiting';
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** What it waits for; empty otherwise. */
  readonly reason: string;
  /** The content stays until then though no DP here is to have it; 0: not said yet. */
  readonly keptUntilMs: number;
}

/** A prestaged file that may be imported, and what is to be told of it. */
interface Import {
  readonly path: string;
  readonly head: PrestagedHead;
  readonly file: PackageFileFacts;
  readonly bringer: Bringer;
  /** Bytes of all contents. */
  readonly contentBytes: number;
  readonly signedHash: string;
  readonly tell: (told: Partial<ImportProgress>) => ImportProgress;
}

/** Read, hashed and written at once. */
const partBytesMax = 1024 * 1024;

/**
 * Takes prestaged files in (PKG-12; docs/prestaged-file.md): checks who made them, copies the package
 * file to where those of other sites arrive, and writes the row of "received instructions" that makes the
 * Despooler store it, together with the one that keeps it here. What was copied before a crash is
 * gone on with when the same file is imported again; once the row is written, the rest happens without
 * the caller.
 */
export class PackageImport {
  readonly #components: PackageImportComponents;
  readonly #config: PackageImportConfig;

  constructor(components: PackageImportComponents, config = defaultPackageImportConfig) {
    this.#components = components;
    this.#config = config;
  }

  /**
   * Imports a file; resolves when it is stored, or waits for something.
   *
   * @throws PRESTAGED_FILE_INVALID, VERSION_DOWNGRADE, PACKAGE_STATE_CONFLICT, REQUEST_INVALID for what
   *   is not a path, FILE_TOO_LARGE, DISK_FULL: nothing has changed
   * @throws RECEIVER_BUSY, FILE_ALREADY_ARRIVING; AbortError
   */
  async run(
    path: string,
    onProgress: (progress: ImportProgress) => void,
    signal: AbortSignal,
  ): Promise<ImportProgress> {
    const one = await this.#begin(requireSitePath(path), onProgress);
    const { packageId, sourceVersion } = one.head;
    const held = await this.#components.library.getPackage(packageId);
    const { hold, change } = this.#components.holds.newHold(one.head);
    const { keptUntilMs } = hold;
    if (held?.sourceVersion === sourceVersion && !(await this.#isMending(one.head))) {
      await this.#components.store.write([change], { sync: true });
      return one.tell({ stage: 'stored-before', keptUntilMs });
    }
    await this.#copy(one, signal);
    await this.#order(one, change);
    return this.#follow(one, keptUntilMs, signal);
  }

  /** Whether what is stored here of this very version is damaged, so that the file brings it again. */
  async #isMending({ packageId, baseVersion }: PrestagedHead): Promise<boolean> {
    const said = await this.#said(packageId);
    return baseVersion === 0 && said !== undefined && isDamagedCopy(said);
  }

  #said(packageId: string): Promise<SiteContent | undefined> {
    const { store, siteCode } = this.#components;
    return store.records(keySpaces.siteContents).get(joinKey(packageId, siteCode));
  }

  async #begin(path: string, onProgress: (progress: ImportProgress) => void): Promise<Import> {
    const beginning = await readPrestagedBeginning(path);
    await this.#requireImportable(path, beginning);
    const { head } = beginning;
    const { packageId, sourceVersion, baseVersion, fileHash, fileBytes, identity } = head;
    const { siteCode } = identity;
    let progress: ImportProgress = {
      ...{ packageId, sourceVersion, baseVersion, siteCode, stage: 'copying' },
      ...{ doneBytes: 0, totalBytes: fileBytes, reason: '', keptUntilMs: 0 },
    };
    const tell = (told: Partial<ImportProgress>) => {
      progress = { ...progress, ...told };
      onProgress(progress);
      return progress;
    };
    const requestId = `import-${packageId}-${sourceVersion}-${fileHash.slice(0, 16)}`;
    return {
      ...{ path, head, file: { fileHash, fileBytes }, tell },
      bringer: { siteCode: this.#components.siteCode, requestId },
      contentBytes: await this.#contentBytes(path, head),
      signedHash: hashOf(beginning.signedBytes),
    };
  }

  /** What is refused anyway is refused before anything of it is copied. */
  async #contentBytes(path: string, head: PrestagedHead): Promise<number> {
    try {
      return await this.#components.lookInto(path, head);
    } catch (error) {
      if (!isErrorWithCode(error, 'PACKAGE_FILE_INVALID')) throw error;
      throw invalidPrestagedFile(path, `what is in it was altered: ${error.message}`, error);
    }
  }

  /** @throws PRESTAGED_FILE_INVALID, VERSION_DOWNGRADE, PACKAGE_STATE_CONFLICT */
  async #requireImportable(path: string, beginning: PrestagedBeginning): Promise<void> {
    const { store, library, identities, siteCode, logger } = this.#components;
    const { packageId, sourceVersion } = beginning.head;
    const refusal = refusalOfImport(beginning, {
      siteCode,
      published: await store.records(keySpaces.publishedPackages).get(packageId),
      held: await library.getPackage(packageId),
      signatureRefusal: (text) => identities.refusalOf(text),
    });
    if (refusal === undefined) return;
    const failure = refusal instanceof Error ? refusal : invalidPrestagedFile(path, refusal);
    logger.warn({ packageId, sourceVersion, path, err: failure }, 'Refused a prestaged file');
    throw failure;
  }

  /** Brings the package file to where those of other sites are, from the byte it has got to. */
  async #copy(one: Import, signal: AbortSignal): Promise<void> {
    const { path, file, bringer, tell } = one;
    const { files } = this.#components;
    let heldBytes = await this.#heldBytes(one, signal);
    tell({ doneBytes: heldBytes });
    if (heldBytes === file.fileBytes) return;
    await using source = await openPrestaged(path);
    using stream = await files.receive(file, { bringer, offsetBytes: heldBytes });
    while (heldBytes < file.fileBytes) {
      signal.throwIfAborted();
      stream.signal.throwIfAborted();
      const bytes = Buffer.allocUnsafeSlow(Math.min(partBytesMax, file.fileBytes - heldBytes));
      const position = beginningBytes + heldBytes;
      const { bytesRead } = await source
        .read(bytes, 0, bytes.length, position)
        .catch((error: unknown) => {
          if (!isSystemError(error, 'EIO')) throw error;
          throw invalidPrestagedFile(path, 'its disk cannot read it', error);
        });
      if (bytesRead === 0) throw invalidPrestagedFile(path, `it ends at byte ${position}`);
      heldBytes = await stream.write(bytes.subarray(0, bytesRead));
      tell({ doneBytes: heldBytes });
    }
    await stream.finish().catch((error: unknown) => {
      throw toAltered(error, path);
    });
  }

  /** What is here of the file; what a crash left is hashed first, however long that takes. */
  async #heldBytes({ file, bringer }: Import, signal: AbortSignal): Promise<number> {
    const { files, clock } = this.#components;
    for (let triesLeft = this.#config.busyTriesMax; ; triesLeft--) {
      try {
        return await files.offer(file, bringer);
      } catch (error) {
        if (!isErrorWithCode(error, 'RECEIVER_BUSY') || triesLeft <= 1) throw error;
      }
      await clock.sleep(1_000, signal);
    }
  }

  /** One batch: the Despooler is to store it, and it is kept. */
  async #order(one: Import, hold: Change): Promise<void> {
    const { store, notifier, packageFiles, logger } = this.#components;
    const { head, file, path } = one;
    const row = await this.#row(one);
    // It stays long enough for the row to be written.
    if ((await packageFiles.keep(file.fileHash)) !== file.fileBytes) {
      throw new WaybillError({ code: 'FILE_NOT_HELD', fileHash: file.fileHash });
    }
    const { jobId } = row;
    const changes = [
      hold,
      store.records(keySpaces.receivedInstructions).put(jobId, row),
      notifier.notification('received-instruction', jobId),
    ];
    await store.write(changes, { sync: true });
    const { packageId, sourceVersion, identity } = head;
    const facts = { jobId, packageId, sourceVersion, siteCode: identity.siteCode, path };
    logger.info(facts, 'Took a prestaged file');
  }

  async #row({ head, file, bringer, signedHash }: Import): Promise<ReceivedInstruction> {
    const { store, holds, clock, siteCode } = this.#components;
    const { packageId, sourceVersion, baseVersion, packageHash, madeAtMs, identity } = head;
    const published = await store.records(keySpaces.publishedPackages).get(packageId);
    return {
      ...{ jobId: bringer.requestId, requestId: bringer.requestId },
      ...{ packageId, sourceVersion, baseVersion, packageHash, file },
      ...{ sourceSiteCode: sourceSiteOf(packageId), finalSiteCode: siteCode },
      sendingSiteCode: identity.siteCode,
      priority: published?.properties.priority ?? 2,
      createdAtMs: madeAtMs,
      // Content that waits for its metadata is kept for as long as content that nobody wants.
      expiresAtMs: holds.newHold(head).hold.keptUntilMs,
      receivedAtMs: clock.nowMs(),
      signed: signedHash,
      isPrestaged: true,
    };
  }

  async #follow(one: Import, keptUntilMs: number, signal: AbortSignal): Promise<ImportProgress> {
    const { store, despooler, clock } = this.#components;
    const { requestId: jobId } = one.bringer;
    const rows = store.records(keySpaces.receivedInstructions);
    while (await rows.get(jobId)) {
      const seen = despooler.list().find((view) => view.jobId === jobId);
      if (seen?.state === 'waiting') {
        return one.tell({ stage: 'waiting', reason: seen.reason, keptUntilMs });
      }
      const doneBytes = seen?.doneBytes ?? 0;
      one.tell({ stage: 'unpacking', doneBytes, totalBytes: one.contentBytes });
      await clock.sleep(this.#config.lookMs, signal);
    }
    await this.#requireStored(one);
    const { contentBytes: totalBytes } = one;
    return one.tell({ stage: 'stored', doneBytes: totalBytes, totalBytes, keptUntilMs });
  }

  /** The row is gone: what became of it, library and rows say. */
  async #requireStored({ path, head, bringer }: Import): Promise<void> {
    const { packageId, sourceVersion, packageHash } = head;
    const said = await this.#said(packageId);
    if (said?.refusedJobId === bringer.requestId) throw invalidPrestagedFile(path, said.reason);
    const held = await this.#components.library.getPackage(packageId);
    if (held?.sourceVersion === sourceVersion && held.packageHash === packageHash) return;
    const heldVersion = held?.sourceVersion ?? 0;
    if (heldVersion > sourceVersion) {
      const versions = { offered: sourceVersion, held: heldVersion };
      throw new WaybillError({ code: 'VERSION_DOWNGRADE', packageId, ...versions });
    }
    const conflict = { packageId, state: 'being deleted', expected: 'not being deleted' };
    throw new WaybillError({ code: 'PACKAGE_STATE_CONFLICT', ...conflict });
  }
}

function toAltered(error: unknown, path: string): unknown {
  if (!(error instanceof WaybillError) || error.details.code !== 'FILE_HASH_MISMATCH') return error;
  const { expectedHash, actualHash } = error.details;
  const reason = `its bytes were altered: expected hash ${expectedHash}, got ${actualHash}`;
  return invalidPrestagedFile(path, reason, error);
}

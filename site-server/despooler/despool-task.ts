import { WaybillError } from '../../shared/domain/errors.ts';
import type { SiteContent } from '../../shared/domain/hierarchy-package.ts';
import { isDamagedCopy } from '../../shared/domain/hierarchy-package-work.ts';
import { isLeaving } from '../../shared/domain/package-processing.ts';
import { isWordOfSource } from '../../shared/domain/prestaged-content.ts';
import type { MiniJob } from '../../shared/domain/send-request.ts';
import {
  doesNewOrderMend,
  type InstructionRefusal,
  type ReceivedInstruction,
} from '../../shared/domain/site-instruction.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import {
  type DespoolLibrary,
  lengthOfPackageFile,
  type PackageFiles,
  type UnpackedVersion,
  type UnpackPackageFile,
} from './despool-ports.ts';

/** What carrying out an instruction needs. */
export interface DespoolTaskComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly packageFiles: Pick<PackageFiles, 'pathOf' | 'has' | 'isSound' | 'makeRoom'>;
  readonly unpack: UnpackPackageFile;
  readonly library: DespoolLibrary;
  readonly status: StatusReporter;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
  readonly siteCode: string;
}

/** How a task is watched and ended. */
export interface DespoolControl {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: { readonly sizeBytes: number }) => void;
}

/** Done with, or what it waits for. */
export type DespoolResult =
  | { readonly outcome: 'done' }
  | { readonly outcome: 'waits'; readonly for: 'metadata' | 'room'; readonly reason: string };

const done: DespoolResult = { outcome: 'done' };

/** What means that a full package file helps where this delta did not. */
const needsFullCodes: readonly string[] = ['DELTA_BASE_MISSING', 'CONTENT_INCOMPLETE'];

/** What means that this site has lost something: sent anew, the same may be stored. */
const lostCodes: readonly string[] = ['CONTENT_INCOMPLETE', 'CONTENT_NOT_HELD', 'FILE_NOT_HELD'];

/**
 * Carries out one instruction (REP-6): passes it on unopened, or brings the version into the content
 * library. What it does, it decides from the rows and the library alone, so that it can be done
 * again after a crash at any point: the library's commit is done or not done, and never goes back;
 * the instruction goes in the batch that says what became of it.
 */
export class DespoolTask {
  readonly #components: DespoolTaskComponents;

  constructor(components: DespoolTaskComponents) {
    this.#components = components;
  }

  /** @throws AbortError when the signal fires; the instruction stays */
  async run(row: ReceivedInstruction, control: DespoolControl): Promise<DespoolResult> {
    if (row.finalSiteCode !== this.#components.siteCode) return this.#forward(row);
    const held = await this.#components.library.getPackage(row.packageId);
    const published = await this.#published(row);
    if (published && isLeaving(published)) return this.#drop(row, 'its package is deleted');
    if (held && held.sourceVersion > row.sourceVersion) {
      return this.#drop(row, 'a later version is stored');
    }
    if (held?.sourceVersion === row.sourceVersion) {
      if (held.packageHash !== row.packageHash) return this.#refuse(row, otherContent(row));
      // Its files are damaged or gone: what came brings them again.
      if (await this.#isMending(row)) return this.#despool(row, control);
      const isDamaged = await this.#isDamaged(row);
      return isDamaged ? this.#drop(row, 'it builds on what is damaged') : this.#stored(row);
    }
    if (!published || published.sourceVersion < row.sourceVersion) return this.#await(row);
    const isOther = published.packageHash !== row.packageHash;
    if (isOther && published.sourceVersion === row.sourceVersion) {
      return this.#refuse(row, otherContent(row));
    }
    if (row.isPrestaged && !isOfSource(row, published)) {
      return this.#refuse(row, refusedOrder(row, 'not-of-source'));
    }
    return this.#despool(row, control);
  }

  #published({ packageId }: ReceivedInstruction) {
    return this.#components.store.records(keySpaces.publishedPackages).get(packageId);
  }

  /** The metadata has not arrived yet. Its sending site may never hear of it again: so not for ever. */
  async #await(row: ReceivedInstruction): Promise<DespoolResult> {
    const { packageId, sourceVersion, expiresAtMs } = row;
    if (expiresAtMs <= this.#components.clock.nowMs()) {
      return this.#refuse(row, refusedOrder(row, 'expired'));
    }
    const reason = `metadata of package ${packageId} version ${sourceVersion} has not arrived from site ${row.sourceSiteCode} yet`;
    return { outcome: 'waits', for: 'metadata', reason };
  }

  async #forward(row: ReceivedInstruction): Promise<DespoolResult> {
    const { store, notifier, logger } = this.#components;
    const jobs = store.records(keySpaces.miniJobs);
    const { jobId, packageId, sourceVersion, finalSiteCode } = row;
    const isThere = (await jobs.get(jobId)) !== undefined;
    const changes = isThere ? [] : [jobs.put(jobId, toForwardedJob(row))];
    await store.write(
      [...changes, notifier.notification('mini-job', jobId), ...(await this.#removal(row))],
      { sync: true },
    );
    logger.info({ jobId, packageId, sourceVersion, finalSiteCode }, 'Passes a package on');
    return done;
  }

  async #despool(row: ReceivedInstruction, control: DespoolControl): Promise<DespoolResult> {
    try {
      await this.#requireFile(row);
      const isMending = await this.#isMending(row);
      await this.#say(row, { state: 'arriving', ...(isMending && { needsFull: true }) });
      await this.#unpackAndCommit(row, control);
    } catch (error) {
      if (!(error instanceof WaybillError)) throw error;
      if (error.code === 'DISK_FULL') {
        await this.#components.packageFiles.makeRoom();
        return { outcome: 'waits', for: 'room', reason: error.message };
      }
      if (error.code === 'VERSION_DOWNGRADE') return this.#drop(row, 'a later version is stored');
      return this.#refuse(row, error);
    }
    return this.#stored(row);
  }

  async #requireFile({ file: { fileHash } }: ReceivedInstruction): Promise<void> {
    const lengthBytes = await lengthOfPackageFile(this.#components.packageFiles, fileHash);
    if (lengthBytes === undefined) throw new WaybillError({ code: 'FILE_NOT_HELD', fileHash });
  }

  async #unpackAndCommit(row: ReceivedInstruction, control: DespoolControl): Promise<void> {
    const { unpack, library, packageFiles, logger } = this.#components;
    const { packageId, sourceVersion, baseVersion, packageHash, file } = row;
    const expected = { packageId, sourceVersion, baseVersion, packageHash };
    const path = packageFiles.pathOf(file.fileHash);
    const unpacked = await unpack({ path, expected }, control);
    const { version, staged } = unpacked;
    if (version.packageHash !== packageHash || version.sourceVersion !== sourceVersion) {
      throw otherContent(row);
    }
    control.signal.throwIfAborted();
    await library.commitPackage({ version, jobSerial: sourceVersion, staged });
    logger.info({ packageId, sourceVersion }, 'Wrote package to library');
    // Before it is known: whoever gets it may get the deltas, too.
    await this.#keepDeltas(unpacked);
  }

  async #keepDeltas({ version, keepDeltas }: UnpackedVersion): Promise<void> {
    try {
      await keepDeltas?.();
    } catch (err) {
      if (!(err instanceof WaybillError)) throw err;
      const { packageId } = version;
      this.#components.logger.warn({ packageId, err }, 'Deltas that came could not be kept');
    }
  }

  /** It is in the library: one batch says so to the source site and to Distribution Manager. */
  async #stored(row: ReceivedInstruction): Promise<DespoolResult> {
    const { store, notifier, status } = this.#components;
    const { packageId, sourceVersion } = row;
    const before = await this.#content(row);
    const isKnown = before?.state === 'stored' && before.storedVersion === sourceVersion;
    const report = {
      messageId: 4400,
      insertionStrings: [packageId, `${sourceVersion}`, row.sourceSiteCode],
      packageId,
      sourceVersion,
    } as const;
    const content = await this.#contentChange(row, { state: 'stored' });
    const removal = await this.#removal(row);
    const changes = [
      content,
      ...removal,
      notifier.notification('package', packageId),
      ...(isKnown ? [] : status.message(report)),
    ];
    await store.write(changes, { sync: true });
    return done;
  }

  /** What came cannot be stored: the source site hears of it, and sends anew if that helps. */
  async #refuse(row: ReceivedInstruction, error: WaybillError): Promise<DespoolResult> {
    const { store, status, logger } = this.#components;
    const { jobId, packageId, sourceVersion } = row;
    const isBaseDamaged = row.baseVersion > 0 && needsFullCodes.includes(error.code);
    const needsFull = isBaseDamaged || (await this.#isMending(row));
    const reason = error.message;
    // Of a prestaged file the source site awaits nothing: it goes by what is stored here.
    const isAtRest = row.isPrestaged || (await this.#mayRepeat(row, error));
    const state = isAtRest ? await this.#stateAtRest(row) : 'refused';
    const content = await this.#contentChange(row, {
      state,
      reason,
      refusedJobId: jobId,
      needsFull,
    });
    const removal = await this.#removal(row);
    const report = status.message({
      messageId: 4405,
      insertionStrings: [packageId, `${sourceVersion}`, row.sourceSiteCode, reason],
      packageId,
      sourceVersion,
    });
    await store.write([content, ...removal, ...report], { sync: true });
    logger.warn({ jobId, packageId, sourceVersion, err: error }, 'Could not store a package');
    return done;
  }

  /** Whether the source site may send the same anew: what came was not what is wrong. */
  async #mayRepeat(row: ReceivedInstruction, { code, details }: WaybillError): Promise<boolean> {
    if (lostCodes.includes(code)) return true;
    if (details.code === 'INSTRUCTION_REFUSED') return doesNewOrderMend(details.reason);
    if (code !== 'PACKAGE_FILE_INVALID') return false;
    return !(await this.#components.packageFiles.isSound(row.file.fileHash));
  }

  async #stateAtRest({ packageId }: ReceivedInstruction): Promise<'stored' | 'none'> {
    return (await this.#components.library.getPackage(packageId)) ? 'stored' : 'none';
  }

  /** Nobody wants it any more. */
  async #drop(row: ReceivedInstruction, reason: string): Promise<DespoolResult> {
    const { store, logger } = this.#components;
    const { jobId, packageId, sourceVersion } = row;
    const changes: Change[] = [...(await this.#removal(row))];
    const said = await this.#content(row);
    if (said?.state === 'arriving') {
      const { needsFull } = said;
      changes.push(
        await this.#contentChange(row, { state: await this.#stateAtRest(row), needsFull }),
      );
    }
    await store.write(changes, { sync: false });
    logger.info({ jobId, packageId, sourceVersion, reason }, 'Dropped an instruction');
    return done;
  }

  async #say(row: ReceivedInstruction, said: Partial<SiteContent>): Promise<void> {
    if ((await this.#content(row))?.state === said.state) return;
    await this.#components.store.write([await this.#contentChange(row, said)], { sync: false });
  }

  /** Whether this very version is not whole here, as this site has said, and a full package file has come. */
  async #isMending(row: ReceivedInstruction): Promise<boolean> {
    return row.baseVersion === 0 && (await this.#isDamaged(row));
  }

  async #isDamaged(row: ReceivedInstruction): Promise<boolean> {
    const said = await this.#content(row);
    return said?.storedVersion === row.sourceVersion && isDamagedCopy(said);
  }

  #content({ packageId }: ReceivedInstruction): Promise<SiteContent | undefined> {
    const { store, siteCode } = this.#components;
    return store.records(keySpaces.siteContents).get(joinKey(packageId, siteCode));
  }

  /** The site's word about the package; what is stored, the library knows. */
  async #contentChange(row: ReceivedInstruction, said: Partial<SiteContent>): Promise<Change> {
    const { store, siteCode, clock, library } = this.#components;
    const { packageId } = row;
    const held = await library.getPackage(packageId);
    return store.records(keySpaces.siteContents).put(joinKey(packageId, siteCode), {
      packageId,
      siteCode,
      state: 'none',
      storedVersion: held?.sourceVersion ?? 0,
      storedHash: held?.packageHash ?? '',
      reason: '',
      refusedJobId: '',
      needsFull: false,
      changedAtMs: clock.nowMs(),
      ...said,
    });
  }

  /** The row goes, unless the same job has come once more meanwhile with another instruction. */
  async #removal({ jobId, signed }: ReceivedInstruction): Promise<Change[]> {
    const rows = this.#components.store.records(keySpaces.receivedInstructions);
    const current = await rows.get(jobId);
    return current?.signed === signed ? [rows.delete(jobId)] : [];
  }
}

function toForwardedJob(row: ReceivedInstruction): MiniJob {
  const { jobId, packageId, sourceVersion, baseVersion, packageHash, priority, file } = row;
  const { sourceSiteCode, finalSiteCode, createdAtMs, expiresAtMs, signed: forwarded } = row;
  return {
    ...{ jobId, packageId, sourceVersion, baseVersion, packageHash, priority, file },
    ...{ sourceSiteCode, finalSiteCode, createdAtMs, expiresAtMs, forwarded },
  };
}

function otherContent(row: ReceivedInstruction): WaybillError {
  return refusedOrder(row, 'other-content');
}

/** The signature of a prestaged file is that of the site that made it, not always of the source site. */
function isOfSource(row: ReceivedInstruction, published: SitePackage): boolean {
  return isWordOfSource({ ...row, exportingSiteCode: row.sendingSiteCode }, published);
}

function refusedOrder(
  { requestId, packageId }: ReceivedInstruction,
  reason: InstructionRefusal,
): WaybillError {
  return new WaybillError({ code: 'INSTRUCTION_REFUSED', requestId, packageId, reason });
}

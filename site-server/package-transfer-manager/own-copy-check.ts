import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import type { SendableFile } from '../../shared/content-source/content-item.ts';
import type { PieceSource } from '../../shared/content-source/piece-source.ts';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { sourceSiteOf } from '../../shared/domain/package.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { OwnContents } from '../hierarchy-manager/own-contents.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';

export interface OwnCopyCheckNeeds {
  readonly library: Pick<ContentLibrary, 'discardDamaged'>;
  readonly pieceSource: Pick<PieceSource, 'forgetRead'>;
  /** Asks the site that publishes a package for it again. */
  readonly contents: Pick<OwnContents, 'mend'>;
  readonly siteCode: string;
  readonly status: StatusReporter;
  readonly store: Pick<StateStore, 'write'>;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly logger: Logger;
}

/** How long a copy that was found right is not looked at again, and how many are remembered. */
const rightForMs = 3_600_000;
const rightCountMax = 10_000;

/** What a DP refused, and for whom. */
export interface RefusedFiles {
  readonly job: DistributionJob;
  readonly files: readonly SendableFile[];
  readonly signal: AbortSignal;
}

/**
 * When a DP says that bytes were not what their hash promises: looks whose fault it is. This site's
 * own files are hashed; one that is damaged is taken out of the library, so that the next update of
 * the package reads it from its source again; a package of another site is asked for again there. Called by the job runner; a crash in between leaves
 * the file there, and the next refusal finds it.
 */
export class OwnCopyCheck {
  readonly #needs: OwnCopyCheckNeeds;
  /** One after another: many DPs refuse the same file, and the first look settles it. */
  readonly #looks = new SerialQueue();
  /** When a copy was found right; a DP that refuses right bytes must not keep this disk busy. */
  readonly #rightAtMs = new Map<string, number>();

  constructor(needs: OwnCopyCheckNeeds) {
    this.#needs = needs;
  }

  /**
   * Looks at this site's copies of what was refused.
   *
   * @param error what the DP said
   * @returns what to tell: FILE_NOT_HELD when a copy was damaged, else what the DP said
   */
  async failureOf(refused: RefusedFiles, error: unknown): Promise<unknown> {
    const damaged = await this.#looks.run(() => this.#look(refused));
    const fileHash = damaged[0];
    if (fileHash === undefined) return error;
    return new WaybillError({ code: 'FILE_NOT_HELD', fileHash }, { cause: error });
  }

  /** Never rejects: a look that fails leaves what the DP said. */
  async #look(refused: RefusedFiles): Promise<readonly string[]> {
    const { library, pieceSource } = this.#needs;
    const { job, signal } = refused;
    const files = refused.files.filter(({ hash }) => !this.#isKnownRight(hash));
    if (files.length === 0 || signal.aborted) return [];
    try {
      const damaged = await library.discardDamaged(files, signal);
      if (damaged.length > 0) await this.#report(job, damaged);
      this.#noteRight(files.filter(({ hash }) => !damaged.includes(hash)));
      return damaged;
    } catch (err) {
      this.#warn(job, err, 'Files that were refused could not be checked');
      return [];
    } finally {
      // Whatever was read before may be the bytes that were refused.
      pieceSource.forgetRead();
    }
  }

  #isKnownRight(hash: string): boolean {
    const atMs = this.#rightAtMs.get(hash);
    return atMs !== undefined && this.#needs.clock.monotonicMs() - atMs < rightForMs;
  }

  #noteRight(files: readonly SendableFile[]): void {
    for (const { hash } of files) {
      this.#rightAtMs.delete(hash);
      this.#rightAtMs.set(hash, this.#needs.clock.monotonicMs());
    }
    for (const oldest of this.#rightAtMs.keys()) {
      if (this.#rightAtMs.size <= rightCountMax) return;
      this.#rightAtMs.delete(oldest);
    }
  }

  async #report(job: DistributionJob, damaged: readonly string[]): Promise<void> {
    const { packageId, sourceVersion, dpId } = job;
    const { status, store, logger } = this.#needs;
    const sourceSiteCode = sourceSiteOf(packageId);
    const isOwn = sourceSiteCode === this.#needs.siteCode;
    const next = isOwn
      ? `Run "waybill package update ${packageId}" to read the source again.`
      : `It comes again from site ${sourceSiteCode}.`;
    const facts = { packageId, sourceVersion, dpId, fileHashes: damaged, next };
    logger.error(facts, 'Content of a package was damaged at this site');
    if (!isOwn)
      await this.#needs.contents.mend(packageId, damageText(this.#needs.siteCode, damaged));
    const insertionStrings = [packageId, String(sourceVersion), toText(damaged), next];
    const about = { messageId: 9002, insertionStrings, packageId, sourceVersion } as const;
    await store.write(status.message(about), { sync: true }).catch((err: unknown) => {
      // The files are gone all the same: the job says so.
      this.#warn(job, err, 'Damage could not be reported');
    });
  }

  #warn({ packageId, dpId }: DistributionJob, err: unknown, message: string): void {
    if (!isAbortError(err)) this.#needs.logger.warn({ packageId, dpId, err }, message);
  }
}

function toText([first, ...others]: readonly string[]): string {
  return others.length === 0 ? `file ${first}` : `file ${first} and ${others.length} more`;
}

function damageText(siteCode: string, { length }: readonly string[]): string {
  return `the copy of site ${siteCode} is damaged: ${length} ${length === 1 ? 'file' : 'files'}`;
}

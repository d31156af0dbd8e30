import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { MiniJob, PackageFileFacts } from '../../shared/domain/send-request.ts';
import { withoutPackageFile, withPackageFile } from '../../shared/domain/send-request-moves.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import type { PackageFileStore } from '../package-file-store/package-file-store.ts';
import type { SendRequestTable } from './send-request-table.ts';

interface RequestFilesNeeds {
  readonly requests: SendRequestTable;
  readonly files: Pick<PackageFileStore, 'make' | 'has'>;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  readonly random: () => number;
  readonly logger: Logger;
}

interface RequestFilesConfig {
  readonly retryDelayMs: number;
  readonly retryDelayMsMax: number;
  readonly makingTriesMax: number;
}

/** What a request says while its package file is made for the first time. */
const preparing = 'Its package file is being made';

/** Codes by name: those of package files need not be known to older programs. */
const goneCodes: readonly string[] = [
  'DELTA_BASE_MISSING',
  'PACKAGE_NOT_HELD',
  'PACKAGE_STATE_CONFLICT',
];

interface Provision {
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

/** Sees to the package files of send requests; each request says meanwhile what it waits for. */
export class RequestFiles {
  readonly #needs: RequestFilesNeeds;
  readonly #config: RequestFilesConfig;
  readonly #provisions = new Map<string, Provision>();

  constructor(needs: RequestFilesNeeds, config: RequestFilesConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  /** Begins to bring the file of a request, unless that is under way. */
  provide(requestId: string, job: MiniJob): void {
    if (this.#provisions.has(requestId)) return;
    const abort = new AbortController();
    const ended = this.#provide(requestId, job, abort.signal).finally(() => {
      if (this.#provisions.get(requestId)?.abort === abort) this.#provisions.delete(requestId);
    });
    this.#provisions.set(requestId, { abort, ended });
  }

  isProviding(requestId: string): boolean {
    return this.#provisions.has(requestId);
  }

  /** Nobody needs the file of this request any more. */
  abandon(requestId: string): void {
    this.#provisions.get(requestId)?.abort.abort();
  }

  async stop(): Promise<void> {
    const provisions = [...this.#provisions.values()];
    for (const { abort } of provisions) abort.abort();
    await Promise.all(provisions.map(({ ended }) => ended));
  }

  async #provide(requestId: string, job: MiniJob, signal: AbortSignal): Promise<void> {
    const { requests } = this.#needs;
    try {
      let failureCount = 0;
      for (let tryCount = 1; ; tryCount++) {
        const file = await this.#tryOnce(requestId, job, signal);
        if (!(file instanceof Error)) {
          await requests.change(requestId, (request) => withPackageFile(request, file));
          return;
        }
        if (!isErrorWithCode(file, 'DISK_FULL')) failureCount += 1;
        if (failureCount >= this.#triesOf(job, file))
          return await this.#fail(requestId, file, signal);
        await this.#waitAfter(file, { requestId, tryCount }, signal);
      }
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  async #tryOnce(
    requestId: string,
    job: MiniJob,
    signal: AbortSignal,
  ): Promise<PackageFileFacts | Error> {
    const { requests, logger } = this.#needs;
    await requests.change(requestId, (request) =>
      // One that was sent before says why it is made anew.
      withoutPackageFile(request, (request.tryCount > 0 && request.reason) || preparing),
    );
    try {
      return await this.#fileOf(job, signal);
    } catch (error) {
      if (isAbortError(error) || !(error instanceof Error)) throw error;
      const { jobId, packageId } = job;
      logger.info({ requestId, jobId, packageId, err: error }, 'Package file could not be made');
      return error;
    }
  }

  async #fileOf(job: MiniJob, signal: AbortSignal): Promise<PackageFileFacts> {
    const { files } = this.#needs;
    const { packageId, sourceVersion, baseVersion, packageHash, priority, file } = job;
    if (job.forwarded === undefined) {
      const order = { packageId, sourceVersion, baseVersion, packageHash, priority };
      return files.make(order, signal);
    }
    if (file && (await files.has(file.fileHash))) return file;
    throw new WaybillError({ code: 'FILE_NOT_HELD', fileHash: file?.fileHash ?? '' });
  }

  async #waitAfter(
    { message: reason }: Error,
    { requestId, tryCount }: { requestId: string; tryCount: number },
    signal: AbortSignal,
  ): Promise<void> {
    const { requests, clock, random } = this.#needs;
    const { retryDelayMs: firstMs, retryDelayMsMax: capMs } = this.#config;
    const delayMs = retryDelayMs({ tryCount, firstMs, capMs, random });
    const retryAtMs = clock.nowMs() + delayMs;
    await requests.change(requestId, (request) => ({
      ...withoutPackageFile(request, reason),
      retryAtMs,
    }));
    await clock.sleep(delayMs, signal);
  }

  /** Nobody else looks at the request: it is tried until there is room to write its end down. */
  async #fail(requestId: string, { message: reason }: Error, signal: AbortSignal): Promise<void> {
    const { requests, logger, clock } = this.#needs;
    for (;;) {
      try {
        await requests.end(requestId, { state: 'failed', reason, outcome: 'not-made' });
        return;
      } catch (err) {
        if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
        logger.warn({ requestId, err }, 'End of a send request could not be written down');
      }
      await clock.sleep(this.#config.retryDelayMsMax, signal);
    }
  }

  /** What is not here any more will not be back by itself. */
  #triesOf(job: MiniJob, failure: Error): number {
    const isGone = failure instanceof WaybillError && goneCodes.includes(failure.code);
    return isGone || job.forwarded !== undefined ? 1 : this.#config.makingTriesMax;
  }
}

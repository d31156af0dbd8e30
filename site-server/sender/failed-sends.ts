import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { waiting, withoutPackageFile, withRetry } from '../../shared/domain/send-request-moves.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { PackageFileStore } from '../package-file-store/package-file-store.ts';
import type { SendRequestEnd, SendRequestTable } from '../scheduler/send-request-table.ts';
import type { DestinationReturns } from './destination-returns.ts';
import { type SendFailure, toSendFailure } from './send-failure.ts';
import type { SendProgress } from './send-progress.ts';
import { SendRetries, type SendRetryConfig } from './send-retries.ts';

export interface FailedSendsNeeds {
  readonly requests: Pick<SendRequestTable, 'get' | 'change' | 'end' | 'tellRefused'>;
  readonly files: Pick<PackageFileStore, 'isSound'>;
  readonly returns: Pick<DestinationReturns, 'countOf'>;
  /** Whether an instruction refused for this reason may be taken a little later. */
  readonly doesRefusalMend: (reason: string) => boolean;
  readonly clock: Pick<Clock, 'nowMs'>;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  readonly logger: Logger;
}

export interface FailedSendsConfig extends SendRetryConfig {
  /** Wait while the receiver is busy with the same file, or with as much as it takes. @default 5_000 */
  readonly busyDelayMs: number;
}

/** A try that has failed. */
export interface FailedTry {
  readonly requestId: string;
  readonly error: unknown;
  readonly progress: Pick<SendProgress, 'gainedBytes'>;
  /** How often its destination had come back when the try began. */
  readonly returnCount: number;
}

/** What becomes of a send request whose try has failed: it waits, begins anew, or has ended. */
export class FailedSends {
  readonly #needs: FailedSendsNeeds;
  readonly #config: FailedSendsConfig;
  readonly #retries: SendRetries;

  constructor(needs: FailedSendsNeeds, config: FailedSendsConfig) {
    this.#needs = needs;
    this.#config = config;
    this.#retries = new SendRetries(config, needs.random);
  }

  /** The request has ended. */
  forget(requestId: string): void {
    this.#retries.forget(requestId);
  }

  /** Writes into the request what its failure means. */
  async settle(failed: FailedTry): Promise<void> {
    const { requestId, error, progress } = failed;
    const { doesRefusalMend, logger, requests } = this.#needs;
    const failure = toSendFailure(error, doesRefusalMend);
    logger.info({ requestId, err: error, kind: failure.kind }, 'A try to send failed');
    if (failure.kind === 'refused' || failure.kind === 'stale') {
      const { reason, kind: outcome } = failure;
      return this.#end(requestId, { state: 'failed', reason, outcome });
    }
    if (failure.isRefusal) await requests.tellRefused(requestId, failure.reason);
    if (failure.kind === 'overtaken') {
      const { reason } = failure;
      return this.#end(requestId, { state: 'cancelled', reason, outcome: 'overtaken' });
    }
    if (failure.kind === 'busy') {
      return this.#retryIn(requestId, this.#config.busyDelayMs, failure.reason);
    }
    const movedBytes = progress.gainedBytes > 0;
    const { kind, reason } = failure;
    if (await this.#restarted(requestId, kind, { reason, movedBytes })) return;
    // What a receiver says that it has lost is no step ahead, however often it takes it.
    const hasMoved = movedBytes && kind !== 'file-missing';
    const delayMs = this.#hasReturned(failed) ? 0 : this.#retries.delayMs(requestId, hasMoved);
    await this.#retryIn(requestId, delayMs, failure.reason);
  }

  /** Tries again after the first wait, whatever was tried before. */
  retryLater(requestId: string, reason: string): Promise<void> {
    return this.#retryIn(requestId, this.#config.retryDelayMs, reason);
  }

  /** Begins anew at once, with the file made again when it is what is wrong; not for ever. */
  async #restarted(
    requestId: string,
    kind: SendFailure['kind'],
    { reason, movedBytes }: { readonly reason: string; readonly movedBytes: boolean },
  ): Promise<boolean> {
    const { requests, files } = this.#needs;
    const request = requests.get(requestId);
    if (!request || kind === 'retry') return false;
    const isOfFile = kind === 'file-missing' || kind === 'file-damaged';
    if (isOfFile && !(await files.isSound(request.file.fileHash))) {
      return requests.change(requestId, (one) => withoutPackageFile(one, reason));
    }
    // It is here, so it was the other site that said so: that is tried again like anything else.
    if (kind === 'file-missing') return false;
    const why = kind === 'file-damaged' ? kind : 'ask-again';
    if (this.#retries.mayRestart(requestId, why, movedBytes)) {
      return requests.change(requestId, (one) => ({
        ...waiting(one),
        reason,
        remainingBytes: one.file.fileBytes,
      }));
    }
    // Sound here, and damaged each time it gets there.
    if (kind !== 'file-damaged') return false;
    await this.#end(requestId, { state: 'failed', reason, outcome: 'refused' });
    return true;
  }

  async #retryIn(requestId: string, delayMs: number, reason: string): Promise<void> {
    const { requests, clock } = this.#needs;
    const retryAtMs = clock.nowMs() + delayMs;
    await requests.change(requestId, (one) => withRetry(one, { reason, retryAtMs }));
  }

  async #end(requestId: string, end: SendRequestEnd): Promise<void> {
    try {
      await this.#needs.requests.end(requestId, end);
    } catch (error) {
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
      // What has ended cannot be written down: the next try meets the same end.
      await this.retryLater(requestId, error.message);
    }
  }

  /** Whether the destination came back while the try ran: what failed then is no reason to wait. */
  #hasReturned({ requestId, returnCount }: FailedTry): boolean {
    const request = this.#needs.requests.get(requestId);
    return !!request && this.#needs.returns.countOf(request.destinationSiteCode) > returnCount;
  }
}

import { isErrorWithCode } from '../../shared/domain/errors.ts';
import {
  decideSends,
  type SendDecision,
  type SendQueueLimits,
  type SendWaiting,
} from '../../shared/domain/send-queue.ts';
import type { SendRequest } from '../../shared/domain/send-request.ts';
import {
  waiting,
  withoutPackageFile,
  withoutTry,
  withRetry,
  withTryStarted,
} from '../../shared/domain/send-request-moves.ts';
import { isAbortError, throwIfAborted } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';
import type { TransferPermit } from '../../shared/transfer-arbiter/transfer-permit.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { TransferControlRows } from '../hierarchy-manager/transfer-control-rows.ts';
import type { PackageFileStore } from '../package-file-store/package-file-store.ts';
import type { SendRequestEnd, SendRequestTable } from '../scheduler/send-request-table.ts';
import type { FileTransferSignals } from './file-transfer.ts';
import { LinkAllowance } from './link-allowance.ts';
import { type SendFailure, toSendFailure } from './send-failure.ts';
import { SendProgress } from './send-progress.ts';
import { SendRetries, type SendRetryConfig } from './send-retries.ts';
import { SendTry, type SendTryConfig, type SendTryNeeds } from './send-try.ts';

/** What the Sender needs. */
export interface SenderComponents extends Omit<SendTryNeeds, 'files' | 'whenWritten'> {
  readonly store: Pick<StateStore, 'records'>;
  readonly requests: SendRequestTable;
  readonly directory: Pick<SiteDirectory, 'own' | 'addressesOf'>;
  readonly files: Pick<PackageFileStore, 'pathOf' | 'isSound'>;
  /**
   * Calls the listener each time another site can be reached again: its replication stream is there.
   *
   * @returns ends it
   */
  readonly onConnected: (siteCode: string, listener: () => void) => () => void;
  readonly arbiter: Pick<TransferArbiter, 'open' | 'reroute' | 'opensAtMs'>;
  readonly transferControls: Pick<TransferControlRows, 'passagesToSite' | 'onChanged'>;
  /** Whether an instruction refused for this reason may be taken a little later. */
  readonly doesRefusalMend: (reason: string) => boolean;
  readonly clock: Clock;
  /** Told after each change of what limits it. @default never */
  readonly settings?: { onChanged(listener: () => void): () => void };
  /** A number from 0 up to 1. */
  readonly random: () => number;
  readonly logger: Logger;
}

/** How the Sender is tuned. */
export interface SenderConfig extends SendQueueLimits, SendRetryConfig, SendTryConfig {
  /** Wait while the receiver is busy with the same file, or with as much as it takes. @default 5_000 */
  readonly busyDelayMs: number;
  /** Bytes one send may have on its way at most. @default 16 MiB */
  readonly windowBytesMax: number;
}

export const defaultSenderConfig: SenderConfig = {
  sendsMax: 5,
  sendsPerSiteMax: 3,
  retryDelayMs: 60_000,
  retryDelayMsMax: 1_800_000,
  offerDeadlineMs: 60_000,
  instructionDeadlineMs: 60_000,
  stallMs: 120_000,
  quietMs: 40_000,
  leaveMs: 2_000,
  busyDelayMs: 5_000,
  windowBytesMax: 16 * 1024 * 1024,
};

/** While something is due later: so long may the machine's clock be wrong before it is seen. */
const lookAgainMs = 5_000;

interface RunningSend {
  readonly abort: AbortController;
  /** Makes it give its place back, between two parts. */
  readonly pause: AbortController;
  readonly permit: TransferPermit;
  /** How often its destination had come back when the try began. */
  readonly returnCount: number;
  readonly progress: SendProgress;
  readonly ended: Promise<void>;
}

/**
 * Sends package files to the next site, and the signed instruction after each (REP-5): at most five
 * at once, three to one site, by priority and age; one whose window is closed, or whose place is needed
 * for a higher priority, gives it back between two parts (REP-4). What came through stays: a send goes on
 * at the byte the receiver names. Works from the open send requests, and reports to their table; stores
 * nothing itself. A crash leaves requests "sending", which are tried again at once.
 */
export class Sender implements Component {
  readonly #components: SenderComponents;
  readonly #config: SenderConfig;
  readonly #stopping = new AbortController();
  readonly #wake = new WakeSignal();
  readonly #running = new Map<string, RunningSend>();
  readonly #retries: SendRetries;
  readonly #try: SendTry;
  readonly #allowances = new Map<string, LinkAllowance>();
  readonly #unwatch = new Map<string, () => void>();
  /** How often each destination came back since it is watched. */
  readonly #returnCounts = new Map<string, number>();
  /** Running requests that have met a closed window. */
  readonly #closed = new Set<string>();
  #unlisten: (() => void)[] = [];
  #sentBytes = 0;
  #loop: Promise<void> = Promise.resolve();

  constructor(components: SenderComponents, config = defaultSenderConfig) {
    this.#components = components;
    this.#config = config;
    this.#retries = new SendRetries(config, components.random);
    const whenWritten = () => components.requests.whenIdle();
    this.#try = new SendTry({ ...components, whenWritten }, config);
  }

  async start(): Promise<void> {
    const { requests, transferControls, settings } = this.#components;
    this.#unlisten = [
      requests.onChanged((request) => this.#onChanged(request)),
      transferControls.onChanged(() => this.#onControlsChanged()),
      settings?.onChanged(() => this.#wake.wake()) ?? (() => {}),
    ];
    this.#wake.wake();
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const unlisten of this.#unlisten) unlisten();
    for (const unwatch of this.#unwatch.values()) unwatch();
    for (const { abort } of this.#running.values()) abort.abort();
    await this.#loop;
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  /** What has left for other sites since this program began. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** How far a request is that is being sent now. */
  progressOf(requestId: string): SendProgress | undefined {
    return this.#running.get(requestId)?.progress;
  }

  /** Why each open request that does not run waits, by request ID. */
  waiting(): ReadonlyMap<string, SendWaiting> {
    return this.#decide().waiting;
  }

  #decide(): SendDecision {
    const { requests, clock } = this.#components;
    const nowMs = clock.nowMs();
    const surroundings = {
      isRunning: (requestId: string) => this.#running.has(requestId),
      isLeaving: (requestId: string) => this.#running.get(requestId)?.pause.signal.aborted ?? false,
      opensAtMs: this.#openings(nowMs),
    };
    return decideSends(requests.open(), surroundings, this.#config, nowMs);
  }

  /** When the way to its destination is open to a request; each way is looked at once. */
  #openings(nowMs: number): (request: SendRequest) => number | undefined {
    const { arbiter, transferControls } = this.#components;
    const known = new Map<string, number | undefined>();
    return ({ destinationSiteCode, priority, ignoresWindow }) => {
      if (ignoresWindow) return 0;
      const key = `${destinationSiteCode}/${priority}`;
      if (!known.has(key)) {
        const passages = transferControls.passagesToSite(destinationSiteCode);
        known.set(key, arbiter.opensAtMs(passages, priority, nowMs));
      }
      return known.get(key);
    };
  }

  /** What runs goes the way it has to go now. */
  #onControlsChanged(): void {
    const { arbiter, transferControls, requests } = this.#components;
    for (const [requestId, { permit }] of this.#running) {
      const request = requests.get(requestId);
      if (!request) continue;
      arbiter.reroute(permit, transferControls.passagesToSite(request.destinationSiteCode));
    }
    this.#wake.wake();
  }

  #onChanged(request: SendRequest): void {
    const { requestId, state, priority, finishedAtMs } = request;
    if (finishedAtMs > 0) this.#retries.forget(requestId);
    const running = this.#running.get(requestId);
    if (finishedAtMs > 0) running?.abort.abort();
    if (state === 'suspended') running?.pause.abort();
    const isRanked = running !== undefined && running.permit.priority !== priority;
    if (isRanked) running.permit.priority = priority;
    if (state !== 'sending' || isRanked) this.#wake.wake();
  }

  /** Starts what is due at every wake-up, and whenever a retry becomes due. */
  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    try {
      for (let nextDueMs: number | undefined; ; ) {
        await this.#wokenOrDue(nextDueMs, signal);
        this.#watchDestinations();
        for (const requestId of this.#closed) this.#running.get(requestId)?.pause.abort();
        this.#closed.clear();
        const decision = this.#decide();
        for (const { requestId } of decision.stop) this.#running.get(requestId)?.pause.abort();
        for (const request of decision.start) this.#start(request);
        nextDueMs = decision.nextDueMs;
      }
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  async #wokenOrDue(dueMs: number | undefined, signal: AbortSignal): Promise<void> {
    if (dueMs === undefined) return this.#wake.wait(signal);
    const { clock } = this.#components;
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const sleepMs = Math.min(lookAgainMs, dueMs - clock.nowMs());
    const sleeping = clock.sleep(Math.max(0, sleepMs), either);
    sleeping.then(
      () => this.#wake.wake(),
      () => {},
    );
    await this.#wake.wait(signal).finally(() => over.abort());
  }

  #start(request: SendRequest): void {
    const { requests, clock } = this.#components;
    const { requestId } = request;
    const [abort, pause] = [new AbortController(), new AbortController()];
    const permit = this.#permitOf(request);
    const progress = new SendProgress({
      request,
      monotonicMs: () => clock.monotonicMs(),
      onChange: (changed) => requests.progressed(requestId, changed),
    });
    const signals = { signal: abort.signal, pause: pause.signal };
    const ended = this.#send(request, { progress, permit }, signals).finally(() => {
      permit.close();
      this.#running.delete(requestId);
      this.#wake.wake();
      if (pause.signal.aborted) requests.tellAgain(requestId);
    });
    const returnCount = this.#returnCountOf(request.destinationSiteCode);
    this.#running.set(requestId, { abort, pause, permit, progress, ended, returnCount });
  }

  #permitOf(request: SendRequest): TransferPermit {
    const { requestId, destinationSiteCode, priority, ignoresWindow = false } = request;
    const { arbiter, transferControls } = this.#components;
    return arbiter.open(transferControls.passagesToSite(destinationSiteCode), priority, {
      ignoresSchedules: ignoresWindow,
      onLeft: (bytes) => {
        this.#sentBytes += bytes;
      },
      onWindowClosed: () => {
        this.#closed.add(requestId);
        this.#wake.wake();
      },
    });
  }

  async #send(
    request: SendRequest,
    { progress, permit }: Pick<RunningSend, 'progress' | 'permit'>,
    signals: FileTransferSignals,
  ): Promise<void> {
    const { requests, store, clock } = this.#components;
    const { requestId } = request;
    try {
      const nowMs = clock.nowMs();
      if (!(await requests.change(requestId, (one) => withTryStarted(one, nowMs)))) return;
      throwIfAborted(signals.pause);
      const job = await store.records(keySpaces.miniJobs).get(request.jobId);
      if (!job) {
        // The Scheduler is about to cancel the request.
        return await this.#retryIn(requestId, this.#config.retryDelayMs, 'Its mini-job is gone');
      }
      const allowance = this.#allowanceOf(request.destinationSiteCode);
      await this.#try.run({ request, job, progress, allowance, permit }, signals);
      await requests.end(requestId, { state: 'complete', reason: '', outcome: 'delivered' });
    } catch (error) {
      // Stopped, or its request has ended: the row says what is true.
      if (signals.signal.aborted) return;
      if (signals.pause.aborted && isAbortError(error)) {
        await requests.change(requestId, withoutTry);
        return;
      }
      await this.#afterFailure(requestId, error, progress);
    }
  }

  async #afterFailure(requestId: string, error: unknown, progress: SendProgress): Promise<void> {
    const { doesRefusalMend, logger } = this.#components;
    const failure = toSendFailure(error, doesRefusalMend);
    logger.info({ requestId, err: error, kind: failure.kind }, 'A try to send failed');
    if (failure.kind === 'refused' || failure.kind === 'stale') {
      const { reason, kind: outcome } = failure;
      return this.#end(requestId, { state: 'failed', reason, outcome });
    }
    if (failure.isRefusal) await this.#components.requests.tellRefused(requestId, failure.reason);
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
    const delayMs = this.#hasReturned(requestId) ? 0 : this.#retries.delayMs(requestId, hasMoved);
    await this.#retryIn(requestId, delayMs, failure.reason);
  }

  /** Begins anew at once, with the file made again when it is what is wrong; not for ever. */
  async #restarted(
    requestId: string,
    kind: SendFailure['kind'],
    { reason, movedBytes }: { readonly reason: string; readonly movedBytes: boolean },
  ): Promise<boolean> {
    const { requests, files } = this.#components;
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
    const { requests, clock } = this.#components;
    const retryAtMs = clock.nowMs() + delayMs;
    await requests.change(requestId, (one) => withRetry(one, { reason, retryAtMs }));
  }

  async #end(requestId: string, end: SendRequestEnd): Promise<void> {
    try {
      await this.#components.requests.end(requestId, end);
    } catch (error) {
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
      // What has ended cannot be written down: the next try meets the same end.
      await this.#retryIn(requestId, this.#config.retryDelayMs, error.message);
    }
  }

  /** Everything that waits for a site is tried as soon as the site is back. */
  #watchDestinations(): void {
    for (const { destinationSiteCode } of this.#components.requests.open()) {
      if (destinationSiteCode !== '') this.#watch(destinationSiteCode);
    }
  }

  #watch(siteCode: string): void {
    if (this.#unwatch.has(siteCode)) return;
    const { requests, onConnected } = this.#components;
    const unwatch = onConnected(siteCode, () => {
      this.#returnCounts.set(siteCode, this.#returnCountOf(siteCode) + 1);
      for (const { requestId, destinationSiteCode, state } of [...requests.open()]) {
        if (destinationSiteCode !== siteCode || state !== 'retrying') continue;
        void requests.change(requestId, (one) => (one.state === 'retrying' ? waiting(one) : one));
      }
    });
    this.#unwatch.set(siteCode, unwatch);
  }

  /** Whether the destination came back while the try ran: what failed then is no reason to wait. */
  #hasReturned(requestId: string): boolean {
    const request = this.#components.requests.get(requestId);
    const running = this.#running.get(requestId);
    if (!request || !running) return false;
    return this.#returnCountOf(request.destinationSiteCode) > running.returnCount;
  }

  #returnCountOf(siteCode: string): number {
    return this.#returnCounts.get(siteCode) ?? 0;
  }

  #allowanceOf(siteCode: string): LinkAllowance {
    const allowance =
      this.#allowances.get(siteCode) ?? new LinkAllowance(this.#config.windowBytesMax);
    this.#allowances.set(siteCode, allowance);
    return allowance;
  }
}

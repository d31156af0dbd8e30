import {
  decideSends,
  type SendDecision,
  type SendQueueLimits,
  type SendWaiting,
} from '../../shared/domain/send-queue.ts';
import type { SendRequest } from '../../shared/domain/send-request.ts';
import { withoutTry, withTryStarted } from '../../shared/domain/send-request-moves.ts';
import { isAbortError, throwIfAborted } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';
import type { TransferPermit } from '../../shared/transfer-arbiter/transfer-permit.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { TransferControlRows } from '../hierarchy-manager/transfer-control-rows.ts';
import type { PackageFileStore } from '../package-file-store/package-file-store.ts';
import type { SendRequestTable } from '../scheduler/send-request-table.ts';
import { DestinationReturns, type DestinationReturnsNeeds } from './destination-returns.ts';
import { FailedSends, type FailedSendsConfig, type FailedSendsNeeds } from './failed-sends.ts';
import type { FileTransferSignals } from './file-transfer.ts';
import { LinkAllowance } from './link-allowance.ts';
import { SendProgress } from './send-progress.ts';
import { SendTry, type SendTryConfig, type SendTryNeeds } from './send-try.ts';

/** What the Sender needs. */
export interface SenderComponents
  extends Omit<SendTryNeeds, 'files' | 'whenWritten'>,
    Pick<DestinationReturnsNeeds, 'onConnected'>,
    Pick<FailedSendsNeeds, 'doesRefusalMend' | 'random' | 'logger'> {
  readonly store: Pick<StateStore, 'records'>;
  readonly requests: SendRequestTable;
  readonly directory: Pick<SiteDirectory, 'own' | 'addressesOf'>;
  readonly files: Pick<PackageFileStore, 'pathOf' | 'isSound'>;
  readonly arbiter: Pick<TransferArbiter, 'open' | 'reroute' | 'opensAtMs' | 'etaMs'>;
  readonly transferControls: Pick<TransferControlRows, 'passagesToSite' | 'onChanged'>;
  readonly clock: Clock;
  /** Told after each change of what limits it. @default never */
  readonly settings?: { onChanged(listener: () => void): () => void };
}

/** How the Sender is tuned. */
export interface SenderConfig extends SendQueueLimits, FailedSendsConfig, SendTryConfig {
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
  readonly progress: SendProgress;
  readonly ended: Promise<void>;
}

/** What one try goes by. */
interface BegunTry extends Pick<RunningSend, 'progress' | 'permit'> {
  /** How often its destination had come back when it began. */
  readonly returnCount: number;
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
  readonly #returns: DestinationReturns;
  readonly #failed: FailedSends;
  readonly #try: SendTry;
  readonly #allowances = new Map<string, LinkAllowance>();
  /** Running requests that have met a closed window. */
  readonly #closed = new Set<string>();
  #unlisten: (() => void)[] = [];
  #sentBytes = 0;
  #loop: Promise<void> = Promise.resolve();

  constructor(components: SenderComponents, config = defaultSenderConfig) {
    this.#components = components;
    this.#config = config;
    this.#returns = new DestinationReturns(components);
    this.#failed = new FailedSends({ ...components, returns: this.#returns }, config);
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
    this.#returns.stop();
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

  /** Milliseconds until the next site has all of a request that is being sent; 0 when nobody can say. */
  etaMs({ requestId, destinationSiteCode, priority, ignoresWindow }: SendRequest): number {
    const { arbiter, transferControls } = this.#components;
    const progress = this.progressOf(requestId);
    if (!progress) return 0;
    const passageNames = transferControls.passagesToSite(destinationSiteCode);
    const way = { passageNames, priority, ignoresSchedules: ignoresWindow === true };
    return arbiter.etaMs(way, progress.remaining);
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
    if (finishedAtMs > 0) this.#failed.forget(requestId);
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
        this.#returns.watchAll();
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
    const returnCount = this.#returns.countOf(request.destinationSiteCode);
    const ended = this.#send(request, { progress, permit, returnCount }, signals).finally(() => {
      permit.close();
      this.#running.delete(requestId);
      this.#wake.wake();
      if (pause.signal.aborted) requests.tellAgain(requestId);
    });
    this.#running.set(requestId, { abort, pause, permit, progress, ended });
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
    { progress, permit, returnCount }: BegunTry,
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
        return await this.#failed.retryLater(requestId, 'Its mini-job is gone');
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
      await this.#failed.settle({ requestId, error, progress, returnCount });
    }
  }

  #allowanceOf(siteCode: string): LinkAllowance {
    const allowance =
      this.#allowances.get(siteCode) ?? new LinkAllowance(this.#config.windowBytesMax);
    this.#allowances.set(siteCode, allowance);
    return allowance;
  }
}

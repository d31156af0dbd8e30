import type { ContentDescriptor } from '../domain/content.ts';
import { isErrorWithCode, WaybillError } from '../domain/errors.ts';
import type { Priority } from '../domain/package.ts';
import { toIdentityUri } from '../domain/peer-identity.ts';
import { type PullSource, sourceInWords } from '../domain/pull-source.ts';
import { priorityNames } from '../package-info/priority-message.ts';
import type { RpcChannel } from '../rpc/rpc-channel.ts';
import { isAbortError, workIsOver } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import { retryDelayMs } from '../runtime/retry-schedule.ts';
import { WakeSignal } from '../runtime/wake-signal.ts';
import { type FetchRequest, type FetchResponse, toContentName } from './content-messages.ts';
import { type AskOptions, type FetchCall, FetchStream } from './fetch-stream.ts';
import { SourceHoldings, type UnitRange } from './source-holdings.ts';
import { type SourceRules, SourceState } from './source-state.ts';
import { wakeWithin } from './timed-wait.ts';

/** The side of a channel to a source that a download uses. */
export type ContentChannel = Pick<
  RpcChannel<'Content'>,
  'serverStream' | 'duplex' | 'whenReachable' | 'close'
>;

export interface SourceConnectionNeeds {
  readonly connect: (source: PullSource) => ContentChannel;
  readonly clock: Clock;
  readonly random: () => number;
  /** Of the package that is fetched. */
  readonly priority: () => Priority;
  /** Something has changed: it may be asked, or not any more, or for other units. */
  readonly onChanged: () => void;
  /** It holds more of these units than before. */
  readonly onGrown: (connection: SourceConnection, range: UnitRange) => void;
  /** It gave what no honest source gives. */
  readonly onLied: (connection: SourceConnection, error: WaybillError) => void;
}

/** How long a source may take to say for the first time what it holds. */
const holdingsMsMax = 15_000;
/** Messages of what it holds that are taken as they come; from then on no more than 20 a second. */
const holdingsBurstMax = 64;
const holdingsPauseMs = 50;
/** Pause between two attempts to reach a source that cannot be reached. */
const unreachablePauseMs = 1_000;

/**
 * One source of a download: the channel to it, its streams, and what it says it holds of the content
 * that is fetched now. Comes back by itself after failures.
 */
export class SourceConnection {
  readonly state: SourceState;
  /** Of the content that is watched; of nothing between two contents. */
  holdings = new SourceHoldings(0);
  readonly #needs: SourceConnectionNeeds;
  readonly #rules: SourceRules;
  readonly #over = new AbortController();
  readonly #woken = new WakeSignal();
  readonly #idleStreams: FetchStream[] = [];
  readonly #busyStreams = new Set<FetchStream>();
  #channel: ContentChannel | undefined;
  #hasSpoken = false;
  #hasLacked = false;
  /** It has said that its schedule is closed. */
  #isClosed = false;
  /** Ends the present call that tells what it holds. */
  #listening: AbortController | undefined;
  #recovering: Promise<void> | undefined;
  #unreachableCount = 0;
  #watchRefusal: string | undefined;

  constructor(source: PullSource, needs: SourceConnectionNeeds, rules: SourceRules) {
    this.state = new SourceState(source, rules);
    this.#needs = needs;
    this.#rules = rules;
  }

  get rank(): number {
    return this.state.source.rank;
  }

  /** The identity of the source. */
  get name(): string {
    return toIdentityUri(this.state.source.identity);
  }

  /** The same for people. */
  get words(): string {
    return sourceInWords(this.state.source.identity);
  }

  /** Whether it may be asked now. */
  get isUsable(): boolean {
    return this.state.isUsable(this.#nowMs());
  }

  /** Whether it has said what it holds, and says so still. */
  get isWatched(): boolean {
    return this.#hasSpoken;
  }

  get isPreferred(): boolean {
    return !this.state.isOnProbation;
  }

  expectedMs(bytes: number): number | undefined {
    return this.state.pace.expectedMs(bytes);
  }

  /** Why nothing comes from it, in words; undefined when it is only that it holds nothing new. */
  get refusal(): string | undefined {
    return (
      this.state.refusalOf(this.#nowMs()) ?? (this.#hasSpoken ? undefined : this.#watchRefusal)
    );
  }

  get channel(): ContentChannel {
    this.#channel ??= this.#needs.connect(this.state.source);
    return this.#channel;
  }

  /**
   * Knows from now on what the source holds of a content, as far as it can be had: begins again after
   * every failure, until the signal fires or the source has lied. Never rejects.
   */
  async watch(content: ContentDescriptor, unitCount: number, ended: AbortSignal): Promise<void> {
    this.holdings = new SourceHoldings(unitCount);
    const signal = AbortSignal.any([ended, this.#over.signal]);
    let failureCount = 0;
    try {
      while (!this.state.hasLied) {
        await this.#whenUsable(signal);
        failureCount = (await this.#watchOnce(content, signal)) ? 0 : failureCount + 1;
        await this.#pauseAfter(failureCount, signal);
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    } finally {
      this.#forgetHoldings();
    }
  }

  /**
   * From now on everything is thought to be there of something with so many units, of which nobody
   * tells who holds it; until the result is called.
   */
  assumeAll(unitCount: number): () => void {
    this.holdings = new SourceHoldings(unitCount);
    this.#onHoldings(this.holdings.apply(everything));
    return () => this.#forgetHoldings();
  }

  /** Asks for something on a stream that is free, or a new one. @throws as FetchStream does */
  async ask(request: FetchRequest, options: AskOptions): Promise<FetchResponse> {
    const stream = this.#idleStreams.pop() ?? this.#newStream();
    this.#busyStreams.add(stream);
    try {
      const response = await stream.ask(request, options);
      if (this.#busyStreams.has(stream)) this.#idleStreams.push(stream);
      return response;
    } finally {
      this.#busyStreams.delete(stream);
    }
  }

  /** What is asked of it is not wanted any more. */
  cancelRequests(): void {
    for (const stream of this.#busyStreams) stream.close();
    this.#busyStreams.clear();
  }

  /** A call to it failed, for what may pass. Passes it over, and notices when it is back. */
  failed(error: unknown): void {
    const { random } = this.#needs;
    this.state.failed({ reason: reasonOf(error), nowMs: this.#nowMs(), random });
    if (isErrorWithCode(error, 'PEER_UNREACHABLE')) this.#becameUnreachable();
    this.#needs.onChanged();
  }

  /** It gave what no honest source gives. */
  lied(fileHash: string, reason: string): void {
    if (this.state.hasLied) return;
    const error = new WaybillError({
      code: 'PULL_SOURCE_LIED',
      source: this.name,
      fileHash,
      reason,
    });
    this.state.lied(error);
    this.#closeStreams();
    this.#needs.onLied(this, error);
    this.#woken.wake();
    this.#needs.onChanged();
  }

  /** It refused for now, and is asked again soon. */
  refused(error: WaybillError): void {
    this.#watchRefusal = reasonOf(error);
  }

  /** It has not got this unit, though it said so. */
  lacks(unit: number): void {
    this.holdings.lacks(unit);
    this.#hasLacked = true;
  }

  /** Failures count no more: it is asked again at once, also for what it did not hold. */
  forgive(): void {
    this.state.forgive();
    // What is asked may be more urgent now.
    if (this.#hasLacked || this.#isClosed) this.#listening?.abort(workIsOver);
    this.#hasLacked = false;
    this.#woken.wake();
    this.#needs.onChanged();
  }

  /** Ends everything with it. */
  async close(): Promise<void> {
    this.#over.abort(workIsOver);
    this.#closeStreams();
    await this.#recovering;
    this.#channel?.close();
  }

  async #whenUsable(signal: AbortSignal): Promise<void> {
    while (!this.isUsable) {
      const untilMs = this.state.passedOverUntilMs - this.#nowMs();
      const ms =
        this.state.isUnreachable || this.state.hasLied ? Number.POSITIVE_INFINITY : untilMs;
      await wakeWithin(this.#woken, ms, { clock: this.#needs.clock, signal });
      if (this.state.hasLied) return;
    }
  }

  /** @returns whether the source said anything */
  async #watchOnce(content: ContentDescriptor, ended: AbortSignal): Promise<boolean> {
    const over = new AbortController();
    this.#listening = over;
    const signal = AbortSignal.any([ended, over.signal]);
    try {
      await Promise.race([this.#listen(content, signal), this.#silence(signal)]);
      // It has let the content go.
      this.#watchRefusal = 'does not hold it any more';
    } catch (error) {
      if (ended.aborted) throw error;
      if (!isAbortError(error)) this.#onWatchFailed(error);
    } finally {
      over.abort(workIsOver);
    }
    const hasSpoken = this.#hasSpoken || this.#isClosed;
    this.#forgetHoldings();
    return hasSpoken;
  }

  async #listen(content: ContentDescriptor, signal: AbortSignal): Promise<void> {
    const priority = priorityNames[this.#needs.priority()];
    const request = { content: toContentName(content), priority };
    let count = 0;
    for await (const message of this.channel.serverStream('watchHoldings', request, { signal })) {
      if (signal.aborted) return;
      if (message.closed) this.#onClosed();
      else this.#onHoldings(this.holdings.apply(message));
      // Or one that says all the time what it holds would keep this side from everything else.
      if (++count > holdingsBurstMax) await this.#needs.clock.sleep(holdingsPauseMs, signal);
    }
  }

  /** Only what is awaited for the first time has its time. */
  async #silence(signal: AbortSignal): Promise<never> {
    await this.#needs.clock.sleep(holdingsMsMax, signal);
    while (this.#hasSpoken || this.#isClosed) await this.#needs.clock.sleep(24 * 3_600_000, signal);
    const method = 'WatchHoldings';
    const deadlineMs = holdingsMsMax;
    throw new WaybillError({ code: 'DEADLINE_EXCEEDED', peer: this.words, method, deadlineMs });
  }

  /** It serves nothing at this hour, and says when that is over. */
  #onClosed(): void {
    this.#forgetHoldings();
    this.#isClosed = true;
    this.#watchRefusal = closedRefusal;
    this.#unreachableCount = 0;
  }

  #onHoldings(range: UnitRange): void {
    const isFirst = !this.#hasSpoken;
    this.#hasSpoken = true;
    this.#isClosed = false;
    this.#watchRefusal = undefined;
    this.#unreachableCount = 0;
    if (isFirst || range.endUnit - range.firstUnit === this.holdings.unitCount) {
      this.#needs.onChanged();
    } else {
      this.#needs.onGrown(this, range);
    }
  }

  #onWatchFailed(error: unknown): void {
    if (isErrorWithCode(error, 'MESSAGE_INVALID')) {
      this.lied('', error.message);
      return;
    }
    this.#watchRefusal = reasonOf(error);
    if (isErrorWithCode(error, 'PEER_UNREACHABLE')) this.#becameUnreachable();
  }

  #forgetHoldings(): void {
    const wasKnown = this.#hasSpoken;
    this.#hasSpoken = false;
    this.#isClosed = false;
    this.holdings.clear();
    if (wasKnown) this.#needs.onChanged();
  }

  async #pauseAfter(failureCount: number, signal: AbortSignal): Promise<void> {
    // Whatever brings back one that cannot be reached has its own pauses.
    if (this.state.isUnreachable || this.state.hasLied) return;
    const { clock, random } = this.#needs;
    const { passOverMs: firstMs, passOverMsMax: capMs } = this.#rules;
    const ms = retryDelayMs({ tryCount: failureCount + 1, firstMs, capMs, random });
    await wakeWithin(this.#woken, ms, { clock, signal });
  }

  #becameUnreachable(): void {
    this.state.isUnreachable = true;
    this.#closeStreams();
    this.#recovering ??= this.#recover().finally(() => {
      this.#recovering = undefined;
    });
  }

  /** Never rejects. */
  async #recover(): Promise<void> {
    const { signal } = this.#over;
    try {
      // One that is back and gone again at once must not be tried without a pause.
      if (this.#unreachableCount++ > 0) await this.#needs.clock.sleep(unreachablePauseMs, signal);
      await this.channel.whenReachable(signal);
      this.state.returned();
      this.#woken.wake();
      this.#needs.onChanged();
    } catch {
      // The channel is closed, and with it the download over.
    }
  }

  #newStream(): FetchStream {
    const call: FetchCall = this.channel.duplex('fetch', {});
    return new FetchStream(call, this.words, this.#needs.clock);
  }

  #closeStreams(): void {
    this.cancelRequests();
    for (const stream of this.#idleStreams.splice(0)) stream.close();
  }

  #nowMs(): number {
    return this.#needs.clock.monotonicMs();
  }
}

const closedRefusal = 'serves nothing of this priority at this hour';

const everything = { complete: true, firstUnit: '0', units: new Uint8Array() };

/** A failure of a source in a few words of ours. */
function reasonOf(error: unknown): string {
  if (!(error instanceof WaybillError)) return 'failed';
  switch (error.code) {
    case 'CONTENT_NOT_HELD':
      return 'does not hold it';
    case 'PEER_UNREACHABLE':
      return 'cannot be reached';
    case 'DEADLINE_EXCEEDED':
      return 'does not answer in time';
    case 'PEER_IDENTITY_MISMATCH':
      return 'is somebody else';
    case 'PEER_NOT_ALLOWED':
    case 'CERTIFICATE_REFUSED':
      return 'refuses us';
    case 'CONTENT_WINDOW_CLOSED':
      return closedRefusal;
    default:
      return 'failed';
  }
}

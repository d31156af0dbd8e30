import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import { ignoreAbort, isAbortError, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { KeySpace } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type {
  DistributionPointChannel,
  DistributionPointConnections,
} from '../distribution-point-connections/distribution-point-connections.ts';

/** What a site tells its DPs, of which each keeps what it was told last. */
export interface ToldSubject {
  /** In the log, such as "controls". */
  readonly name: string;
  /** dpId → hash of what that DP was told last. */
  readonly toldHashes: KeySpace<string>;
  /** Of what a DP is to be told now; whatever differs has another one. */
  hashOf(point: DistributionPoint): string;
  /** Whether a DP that comes back is told again, for it may have lost it. */
  isPressing(point: DistributionPoint): boolean;
  /** Every DP has something to be told: after a start those that have it already are told again by and by. */
  readonly isOfAll?: true;
  /** Says it; resolves once the DP keeps it. */
  say(
    channel: DistributionPointChannel,
    point: DistributionPoint,
    options: { readonly deadlineMs: number; readonly signal: AbortSignal },
  ): Promise<unknown>;
}

export interface TellingNeeds {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly connections: Pick<DistributionPointConnections, 'channelTo' | 'reachable' | 'lost'>;
  readonly clock: Pick<Clock, 'sleep'>;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  readonly logger: Logger;
}

/** How telling is tuned; milliseconds. */
export interface TellingConfig {
  /** Deadline of a call. @default 15_000 */
  readonly callDeadlineMs: number;
  /** First pause after a call that failed; doubles. @default 1_000 */
  readonly retryDelayMs: number;
  /** @default 60_000 */
  readonly retryDelayMsMax: number;
  /** After a start, what is not pressing is told within this time. @default 60_000 */
  readonly startSpreadMs: number;
}

export const defaultTellingConfig: TellingConfig = {
  callDeadlineMs: 15_000,
  retryDelayMs: 1_000,
  retryDelayMsMax: 60_000,
  startSpreadMs: 60_000,
};

/** Tells one DP about one subject, as long as it is one of this site. */
export class DistributionPointTelling {
  readonly #subject: ToldSubject;
  readonly #needs: TellingNeeds;
  readonly #config: TellingConfig;
  readonly #over = new AbortController();
  readonly #changed = new WakeSignal();
  #point: DistributionPoint;
  /** Whether it was told over the connection there is now. */
  #isSure = false;
  #failureCount = 0;
  /** Why it could not be told, as the log has it already; empty once it was told. */
  #failureText = '';

  constructor(
    subject: ToldSubject,
    point: DistributionPoint,
    needs: TellingNeeds,
    config = defaultTellingConfig,
  ) {
    this.#subject = subject;
    this.#point = point;
    this.#needs = needs;
    this.#config = config;
  }

  /** The DP's row is another one, or what is to be said. */
  changed(point = this.#point): void {
    this.#point = point;
    this.#failureCount = 0;
    this.#changed.wake();
  }

  stop(): void {
    this.#over.abort(workIsOver);
  }

  /**
   * Resolves once stopped. Rejects with a bug only.
   *
   * @param isHurried whether it is told at once also when it is not pressing
   */
  async run(isHurried: boolean): Promise<void> {
    const { signal } = this.#over;
    try {
      if (!isHurried) await this.#untilItsTurn();
      for (;;) {
        if (await this.#isToBeTold()) await this.#tell(signal);
        else await this.#untilNews(signal);
      }
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  /** A thousand DPs are not all spoken to in the moment in which a site starts. */
  async #untilItsTurn(): Promise<void> {
    if (!(await this.#isToBeTold())) return;
    const mayWait = !this.#isPressing || (this.#subject.isOfAll && (await this.#isTold()));
    if (!mayWait) return;
    await this.#pause(this.#needs.random() * this.#config.startSpreadMs);
  }

  async #isToBeTold(): Promise<boolean> {
    const isUnsure = this.#isPressing && !this.#isSure;
    return isUnsure || !(await this.#isTold());
  }

  /** Whether the last it was told is what it is to know now. */
  async #isTold(): Promise<boolean> {
    return (await this.#told.get(this.#point.dpId)) === this.#subject.hashOf(this.#point);
  }

  async #tell(signal: AbortSignal): Promise<void> {
    const { connections, logger } = this.#needs;
    const { dpId } = this.#point;
    try {
      // Of the others it is not urgent to know when they are back.
      if (this.#isPressing) await connections.reachable(this.#point, signal);
      await this.#say(this.#point, signal);
      this.#failureCount = 0;
      this.#failureText = '';
      logger.info({ dpId, subject: this.#subject.name }, 'Distribution point was told');
    } catch (err) {
      if (signal.aborted || !isExpected(err)) throw err;
      this.#logFailure(err);
      await this.#pauseAfterFailure();
    }
  }

  /** Once for each reason: one that has not enrolled yet may be tried for days, and its health says that it is away. */
  #logFailure(err: Error): void {
    if (err.message === this.#failureText) return;
    this.#failureText = err.message;
    const facts = { dpId: this.#point.dpId, subject: this.#subject.name, err };
    const level = isErrorWithCode(err, 'PEER_UNREACHABLE') ? 'debug' : 'info';
    this.#needs.logger[level](facts, 'Distribution point could not be told');
  }

  /** From before the call until its answer nobody knows what the DP has. */
  async #say(point: DistributionPoint, signal: AbortSignal): Promise<void> {
    const { store, connections } = this.#needs;
    const { callDeadlineMs: deadlineMs } = this.#config;
    const { dpId } = point;
    if ((await this.#told.get(dpId)) !== undefined) {
      await store.write([this.#told.delete(dpId)], { sync: false });
    }
    const hash = this.#subject.hashOf(point);
    await this.#subject.say(connections.channelTo(point), point, { deadlineMs, signal });
    this.#isSure = true;
    await store.write([this.#told.put(dpId, hash)], { sync: false });
  }

  async #pauseAfterFailure(): Promise<void> {
    const { retryDelayMs: firstMs, retryDelayMsMax: capMs } = this.#config;
    this.#failureCount += 1;
    const { random } = this.#needs;
    await this.#pause(retryDelayMs({ tryCount: this.#failureCount, firstMs, capMs, random }));
  }

  /** For so long, or until the row changes. @throws AbortError once stopped */
  async #pause(ms: number): Promise<void> {
    await this.#raced((signal) => this.#needs.clock.sleep(ms, signal));
  }

  /** Until the row changes, or the DP, if it has something to forget, may have been restarted. */
  async #untilNews(signal: AbortSignal): Promise<void> {
    if (!this.#isPressing) return this.#changed.wait(signal);
    const isLost = await this.#raced((over) => this.#needs.connections.lost(this.#point, over));
    if (!isLost) return;
    this.#isSure = false;
    // One that ends each connection at once is not told without a pause.
    await this.#pause(this.#config.retryDelayMs);
  }

  /** @returns whether the work ended before the row changed */
  async #raced(work: (signal: AbortSignal) => Promise<void>): Promise<boolean> {
    const over = new AbortController();
    const signal = AbortSignal.any([this.#over.signal, over.signal]);
    let isDone = false;
    const working = work(signal).then(() => {
      isDone = !signal.aborted;
    });
    const waits = [working, this.#changed.wait(signal)];
    try {
      await Promise.race(waits);
      return isDone;
    } finally {
      over.abort(workIsOver);
      await Promise.all(waits.map((wait) => wait.catch(ignoreAbort)));
    }
  }

  get #isPressing(): boolean {
    return this.#subject.isPressing(this.#point);
  }

  get #told() {
    return this.#needs.store.records(this.#subject.toldHashes);
  }
}

/** What may fail at any time: a DP that is away, or too old to know of this; a full disk here. */
function isExpected(error: unknown): error is Error {
  return error instanceof WaybillError || isAbortError(error);
}

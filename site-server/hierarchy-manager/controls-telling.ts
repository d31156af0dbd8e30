import { hashOf } from '../../shared/content-library/content-hash.ts';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { RequestOf } from '../../shared/rpc/conversation.ts';
import { ignoreAbort, isAbortError, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import { toTransferControlsMessage } from '../../shared/transfer-arbiter/transfer-controls-message.ts';
import type { DistributionPointConnections } from '../distribution-point-connections/distribution-point-connections.ts';

export interface ControlsTellingNeeds {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly connections: Pick<DistributionPointConnections, 'channelTo' | 'reachable' | 'lost'>;
  readonly clock: Pick<Clock, 'sleep'>;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  readonly logger: Logger;
}

/** How telling is tuned; milliseconds. */
export interface ControlsTellingConfig {
  /** Deadline of a call. @default 15_000 */
  readonly callDeadlineMs: number;
  /** First pause after a call that failed; doubles. @default 1_000 */
  readonly retryDelayMs: number;
  /** @default 60_000 */
  readonly retryDelayMsMax: number;
  /** After a start, DPs for which nothing is set are told so within this time. @default 60_000 */
  readonly startSpreadMs: number;
}

export const defaultControlsTellingConfig: ControlsTellingConfig = {
  callDeadlineMs: 15_000,
  retryDelayMs: 1_000,
  retryDelayMsMax: 60_000,
  startSpreadMs: 60_000,
};

/** Tells one DP what is set for it, as long as it is one of this site. */
export class ControlsTelling {
  readonly #needs: ControlsTellingNeeds;
  readonly #config: ControlsTellingConfig;
  readonly #over = new AbortController();
  readonly #changed = new WakeSignal();
  #point: DistributionPoint;
  /** Whether it was told over the connection there is now. */
  #isSure = false;
  #failureCount = 0;

  constructor(
    point: DistributionPoint,
    needs: ControlsTellingNeeds,
    config = defaultControlsTellingConfig,
  ) {
    this.#point = point;
    this.#needs = needs;
    this.#config = config;
  }

  /** The DP's row is another one. */
  changed(point: DistributionPoint): void {
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
   * @param isHurried whether it is told at once also when nothing is set
   */
  async run(isHurried: boolean): Promise<void> {
    const { signal } = this.#over;
    try {
      if (!isHurried && !hasControls(this.#point)) await this.#untilItsTurn();
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
    await this.#pause(this.#needs.random() * this.#config.startSpreadMs);
  }

  async #isToBeTold(): Promise<boolean> {
    const isUnsure = hasControls(this.#point) && !this.#isSure;
    return isUnsure || (await this.#told.get(this.#point.dpId)) !== hashOf(toText(this.#point));
  }

  async #tell(signal: AbortSignal): Promise<void> {
    const { connections, logger } = this.#needs;
    const { dpId } = this.#point;
    try {
      // Of the others it is not urgent to know when they are back.
      if (hasControls(this.#point)) await connections.reachable(this.#point, signal);
      await this.#say(this.#point, signal);
      this.#failureCount = 0;
      logger.info({ dpId }, 'Distribution point was told its controls');
    } catch (err) {
      if (signal.aborted || !isExpected(err)) throw err;
      logger.info({ dpId, err }, 'Distribution point could not be told its controls');
      await this.#pauseAfterFailure();
    }
  }

  /** From before the call until its answer nobody knows what the DP has. */
  async #say(point: DistributionPoint, signal: AbortSignal): Promise<void> {
    const { store, connections } = this.#needs;
    const { callDeadlineMs: deadlineMs } = this.#config;
    const { dpId } = point;
    if ((await this.#told.get(dpId)) !== undefined) {
      await store.write([this.#told.delete(dpId)], { sync: false });
    }
    const request = toRequest(point);
    await connections.channelTo(point).unary('setControls', request, { deadlineMs, signal });
    this.#isSure = true;
    await store.write([this.#told.put(dpId, hashOf(toText(point)))], { sync: false });
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
    if (!hasControls(this.#point)) return this.#changed.wait(signal);
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

  get #told() {
    return this.#needs.store.records(keySpaces.toldControls);
  }
}

function hasControls({ controls, serveControls }: DistributionPoint): boolean {
  return [controls, serveControls].some((one) => one?.schedule || one?.limit);
}

/** A standard DP is sent what it gets: its site obeys its controls. */
function toRequest(point: DistributionPoint): RequestOf<'DistributionPoint', 'setControls'> {
  const { kind, controls = {}, serveControls = {}, pull } = point;
  const isPull = kind === 'pull';
  return {
    fetching: toTransferControlsMessage(isPull ? controls : {}),
    serving: toTransferControlsMessage(serveControls),
    ...(isPull && pull && { settings: { packagesMax: pull.packagesMax } }),
  };
}

/** What is said, in an order of its own. */
function toText(point: DistributionPoint): Buffer {
  return Buffer.from(JSON.stringify(toRequest(point)));
}

/** What may fail at any time: a DP that is away, or too old to know of controls; a full disk here. */
function isExpected(error: unknown): boolean {
  return error instanceof WaybillError || isAbortError(error);
}

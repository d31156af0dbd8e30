/**
 * Tells the site's management point what the outbox holds: one message after another, in order, each
 * until it was taken (PULL-8). Woken by the outbox; reads and empties it. A crash leaves what was not
 * taken, and perhaps the last that was, which is sent again and changes nothing.
 */
import { type ErrorCode, isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { StateMessage } from '../../shared/domain/state-message.ts';
import type { RpcChannel } from '../../shared/rpc/rpc-channel.ts';
import { isAbortError, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { StateMessageOutbox } from './state-message-outbox.ts';
import { toStateMessageWire } from './state-message-wire.ts';

export type ManagementPointChannel = Pick<
  RpcChannel<'ManagementPoint'>,
  'unary' | 'whenReachable' | 'close'
>;

/** Where the management point is. */
export interface ManagementPointAddress {
  /** host:port, as the site told last; undefined as long as it has told nothing. */
  get(): string | undefined;
  /** Calls the listener after each change. */
  onChanged(listener: () => void): () => void;
}

export interface StateReporterNeeds {
  readonly outbox: StateMessageOutbox;
  readonly address: ManagementPointAddress;
  /** A channel to the site of this DP, and to nobody else, at this address. */
  readonly openChannel: (address: string) => ManagementPointChannel;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

export interface StateReporterConfig {
  /** First wait after a failure; doubles. @default 1_000 */
  readonly retryDelayMs: number;
  /** @default 60_000 */
  readonly retryDelayMsMax: number;
  /** How long the management point may take for one message. @default 15_000 */
  readonly callDeadlineMs: number;
}

const defaultStateReporterConfig: StateReporterConfig = {
  retryDelayMs: 1_000,
  retryDelayMsMax: 60_000,
  callDeadlineMs: 15_000,
};

/** What the management point says of a message that it will never take. */
const refusals: readonly ErrorCode[] = ['MESSAGE_INVALID', 'JOB_UNKNOWN', 'PEER_NOT_ALLOWED'];

export class StateReporter implements Component {
  readonly #needs: StateReporterNeeds;
  readonly #config: StateReporterConfig;
  readonly #stopping = new AbortController();
  readonly #addressChanged = new WakeSignal();
  #unsubscribe: (() => void) | undefined;
  #open: { readonly address: string; readonly channel: ManagementPointChannel } | undefined;
  /** Failures in a row. */
  #failureCount = 0;
  /** The wait after the last failure was cut short, since the management point seemed to be back. */
  #wasCutShort = false;
  #working: Promise<void> = Promise.resolve();

  constructor(needs: StateReporterNeeds, config = defaultStateReporterConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  async start(): Promise<void> {
    this.#unsubscribe = this.#needs.address.onChanged(() => this.#addressChanged.wake());
    this.#working = this.#work();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(workIsOver);
    this.#unsubscribe?.();
    await this.#working;
    this.#open?.channel.close();
    this.#open = undefined;
  }

  async #work(): Promise<void> {
    const { outbox } = this.#needs;
    const { signal } = this.#stopping;
    try {
      for (;;) {
        await outbox.whenFilled(signal);
        const message = await outbox.first();
        if (message) await this.#deliver(message, signal);
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    }
  }

  /** One try. What fails is found in the outbox again, or newer progress in its place. */
  async #deliver(message: StateMessage, signal: AbortSignal): Promise<void> {
    const channel = this.#channel();
    if (!channel) return this.#addressChanged.wait(signal);
    try {
      await this.#send(channel, message, signal);
      await this.#needs.outbox.remove(message);
      this.#failureCount = 0;
      this.#wasCutShort = false;
    } catch (error) {
      if (!(error instanceof WaybillError)) throw error;
      await this.#pause(channel, error, signal);
    }
  }

  async #send(
    channel: ManagementPointChannel,
    message: StateMessage,
    signal: AbortSignal,
  ): Promise<void> {
    const { callDeadlineMs: deadlineMs } = this.#config;
    try {
      await channel.unary('reportState', toStateMessageWire(message), { deadlineMs, signal });
    } catch (err) {
      if (!isErrorWithCode(err, ...refusals)) throw err;
      const { packageId, jobSerial, state } = message;
      const facts = { packageId, jobSerial, state, err };
      this.#needs.logger.warn(facts, 'State message was refused for good and is dropped');
    }
  }

  /** The channel to where the management point is now. */
  #channel(): ManagementPointChannel | undefined {
    const address = this.#needs.address.get();
    if (address === undefined || address === this.#open?.address) return this.#open?.channel;
    this.#open?.channel.close();
    this.#open = { address, channel: this.#needs.openChannel(address) };
    return this.#open.channel;
  }

  /** Waits for the next try: for its time, a new address, or the return of the management point. */
  async #pause(
    channel: ManagementPointChannel,
    err: WaybillError,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, random, logger } = this.#needs;
    this.#failureCount += 1;
    const delay = { tryCount: this.#failureCount, firstMs: this.#config.retryDelayMs };
    const delayMs = retryDelayMs({ ...delay, capMs: this.#config.retryDelayMsMax, random });
    logger.info({ err, delayMs }, 'State message is sent again later');
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const waits = [clock.sleep(delayMs, either), this.#addressChanged.wait(either)];
    // Not twice in a row: one that can be reached and breaks off is not asked in circles.
    const mayCutShort = !this.#wasCutShort && err.code === 'PEER_UNREACHABLE';
    const back = mayCutShort ? [this.#whenBack(channel, either)] : [];
    this.#wasCutShort = false;
    await Promise.race([...waits, ...back]).finally(() => over.abort(workIsOver));
    await Promise.allSettled([...waits, ...back]);
  }

  async #whenBack(channel: ManagementPointChannel, signal: AbortSignal): Promise<void> {
    await channel.whenReachable(signal);
    this.#wasCutShort = !signal.aborted;
  }
}

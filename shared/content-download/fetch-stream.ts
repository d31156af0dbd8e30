import { WaybillError } from '../domain/errors.ts';
import { AbortError, workIsOver } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import { AnswerAssembly } from './answer-assembly.ts';
import { contentLengthOf, type FetchRequest, type FetchResponse } from './content-messages.ts';

/** The part of a Fetch call a stream needs. */
export interface FetchCall {
  write(message: FetchRequest): Promise<void>;
  read(): Promise<FetchResponse | undefined>;
  end(): void;
  cancel(reason?: Error): void;
}

/** How something is asked for. */
export interface AskOptions {
  /**
   * Resolves when so many bytes of the answer, or some of them, may be asked for: how many.
   *
   * @throws AbortError as soon as the signal fires
   */
  readonly allowance: (leftBytes: number, signal: AbortSignal) => Promise<number>;
  /** Most bytes the encoded answer has. */
  readonly answerBytesMax: number;
  /**
   * How long all of the answer may take, or, where nobody else brings the same, the next part of it;
   * besides the time in which this side kept itself waiting. Asked again and again, as more becomes known.
   */
  readonly patienceMs: () => number;
  /** Whether somebody else may bring the same. */
  readonly isReplaceable: () => boolean;
  /** Some of the answer has come. */
  readonly onProgress: () => void;
}

/** The same, of an answer that is on its way. */
interface PacedOptions extends AskOptions {
  /** When it was asked for, moved on by what this side kept it waiting; when the last of it came. */
  readonly pace: { readonly askedAtMs: number; readonly lastAtMs: number };
}

/** How long a stream believes what it was told of its patience. */
const recheckMs = 500;

/**
 * One stream to one source: one request at a time, so that a stream that breaks costs at most what
 * one request is for. After any failure it is of no use any more.
 */
export class FetchStream {
  readonly #call: FetchCall;
  readonly #peer: string;
  readonly #clock: Clock;

  /** Ends the wait for the present answer. */
  #waiting: AbortController | undefined;

  /** @param peer the source in words, for errors */
  constructor(call: FetchCall, peer: string, clock: Clock) {
    this.#call = call;
    this.#peer = peer;
    this.#clock = clock;
  }

  /**
   * Asks for something, and for more of the answer whenever more of it may come.
   *
   * @returns the one answer, unchecked
   * @throws DEADLINE_EXCEEDED when nothing came in time; PEER_FAILED when the source ended the
   *   stream; MESSAGE_INVALID; what the call failed with; AbortError once closed
   */
  async ask(request: FetchRequest, options: AskOptions): Promise<FetchResponse> {
    const waiting = new AbortController();
    this.#waiting = waiting;
    try {
      return await this.#answer(request, options, waiting.signal);
    } catch (error) {
      this.#call.cancel();
      throw error;
    } finally {
      this.#waiting = undefined;
      waiting.abort(workIsOver);
    }
  }

  /** Ends the stream; who waits for an answer gets AbortError. */
  close(): void {
    this.#waiting?.abort(new AbortError('The stream was closed'));
    this.#call.end();
    this.#call.cancel();
  }

  async #answer(
    request: FetchRequest,
    options: AskOptions,
    signal: AbortSignal,
  ): Promise<FetchResponse> {
    const { allowance, answerBytesMax, onProgress } = options;
    const assembly = new AnswerAssembly();
    const pace = { askedAtMs: 0, lastAtMs: 0 };
    let allowedBytes = await allowance(answerBytesMax, signal);
    pace.askedAtMs = this.#clock.monotonicMs();
    const isWhole = allowedBytes >= answerBytesMax;
    const firstBytes = isWhole ? 0 : allowedBytes;
    let next: FetchRequest | undefined = { ...request, inFragments: true, firstBytes };
    for (;;) {
      pace.lastAtMs = this.#clock.monotonicMs();
      const response = await this.#inTime(next, { ...options, pace }, signal);
      next = undefined;
      const answer = assembly.add(response);
      onProgress();
      if (answer && assembly.receivedBytes === 0) {
        await this.#settle(contentLengthOf(answer) - allowedBytes, allowance, signal);
      }
      if (answer) return answer;
      if (isWhole || assembly.receivedBytes < allowedBytes) continue;
      const leftBytes = Math.max(1, answerBytesMax - assembly.receivedBytes);
      const heldUpAtMs = this.#clock.monotonicMs();
      const moreBytes = await allowance(leftBytes, signal);
      pace.askedAtMs += this.#clock.monotonicMs() - heldUpAtMs;
      allowedBytes = assembly.receivedBytes + moreBytes;
      next = { moreBytes };
    }
  }

  /** What came of an answer besides what may come: its sender knows of no fragments. */
  async #settle(
    bytes: number,
    allowance: AskOptions['allowance'],
    signal: AbortSignal,
  ): Promise<void> {
    for (let left = bytes; left > 0; ) left -= await allowance(left, signal);
  }

  async #inTime(
    request: FetchRequest | undefined,
    options: PacedOptions,
    signal: AbortSignal,
  ): Promise<FetchResponse> {
    const over = new AbortController();
    const abort = () => over.abort(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      const stall = this.#stall(options, over.signal);
      const response = await Promise.race([this.#exchange(request), stall]);
      if (response === undefined) throw this.#endedEarly();
      return response;
    } finally {
      signal.removeEventListener('abort', abort);
      over.abort(workIsOver);
    }
  }

  async #exchange(request: FetchRequest | undefined): Promise<FetchResponse | undefined> {
    if (request) await this.#call.write(request);
    return this.#call.read();
  }

  /** Never resolves. @throws DEADLINE_EXCEEDED when it is time; AbortError */
  async #stall(
    { patienceMs, isReplaceable, pace }: PacedOptions,
    signal: AbortSignal,
  ): Promise<never> {
    for (;;) {
      const startMs = isReplaceable() ? pace.askedAtMs : pace.lastAtMs;
      const leftMs = startMs + patienceMs() - this.#clock.monotonicMs();
      if (leftMs <= 0) throw this.#stalled(Math.round(this.#clock.monotonicMs() - startMs));
      await this.#clock.sleep(Math.min(leftMs, recheckMs), signal);
    }
  }

  #stalled(deadlineMs: number): WaybillError {
    const method = 'Fetch';
    return new WaybillError({ code: 'DEADLINE_EXCEEDED', peer: this.#peer, method, deadlineMs });
  }

  #endedEarly(): WaybillError {
    const reason = 'it ended a content stream before it answered';
    return new WaybillError({ code: 'PEER_FAILED', peer: this.#peer, reason });
  }
}

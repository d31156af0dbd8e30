import { WaybillError } from '../domain/errors.ts';
import { AbortError, workIsOver } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import type { FetchRequest, FetchResponse } from './content-messages.ts';

/** The part of a Fetch call a stream needs. */
export interface FetchCall {
  write(message: FetchRequest): Promise<void>;
  read(): Promise<FetchResponse | undefined>;
  end(): void;
  cancel(reason?: Error): void;
}

export interface AskOptions {
  readonly clock: Clock;
  /** How long the answer may take in all; asked again and again, as more becomes known. */
  readonly patienceMs: () => number;
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

  /** Ends the wait for the present answer. */
  #waiting: AbortController | undefined;

  /** @param peer the source in words, for errors */
  constructor(call: FetchCall, peer: string) {
    this.#call = call;
    this.#peer = peer;
  }

  /**
   * @returns the one answer, unchecked
   * @throws DEADLINE_EXCEEDED when it did not come in time; PEER_FAILED when the source ended the
   *   stream; what the call failed with; AbortError once closed
   */
  async ask(request: FetchRequest, options: AskOptions): Promise<FetchResponse> {
    const waiting = new AbortController();
    this.#waiting = waiting;
    try {
      const response = await Promise.race([
        this.#exchange(request),
        this.#stall(options, waiting.signal),
      ]);
      if (response === undefined) throw this.#endedEarly();
      return response;
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

  async #exchange(request: FetchRequest): Promise<FetchResponse | undefined> {
    await this.#call.write(request);
    return this.#call.read();
  }

  /** Never resolves. @throws DEADLINE_EXCEEDED when it is time; AbortError */
  async #stall({ clock, patienceMs }: AskOptions, signal: AbortSignal): Promise<never> {
    const startMs = clock.monotonicMs();
    for (;;) {
      const leftMs = startMs + patienceMs() - clock.monotonicMs();
      if (leftMs <= 0) throw this.#stalled(Math.round(clock.monotonicMs() - startMs));
      await clock.sleep(Math.min(leftMs, recheckMs), signal);
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

import { throwIfAborted } from '../runtime/abort-error.ts';

/** Responses handed to the transport that it has not taken yet: keeps a stream busy, no more. */
const responsesAheadMax = 4;

interface ResponseSink {
  write(message: unknown, written: () => void): boolean;
}

/** Sends the responses of one call no faster than its receiver takes them. */
export class ResponseStream {
  readonly #sink: ResponseSink;
  readonly #signal: AbortSignal;
  #waitingCount = 0;
  #wake: () => void = () => {};

  constructor(sink: ResponseSink, signal: AbortSignal) {
    this.#sink = sink;
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#wake(), { once: true });
  }

  /** Resolves when the next response may be made. @throws AbortError when the call is over */
  async write(message: unknown): Promise<void> {
    throwIfAborted(this.#signal);
    this.#waitingCount++;
    this.#sink.write(message, () => {
      this.#waitingCount--;
      this.#wake();
    });
    while (this.#waitingCount >= responsesAheadMax) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      throwIfAborted(this.#signal);
    }
  }
}

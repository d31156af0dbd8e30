import { AbortError, throwIfAborted } from '../runtime/abort-error.ts';

/** Responses handed to the transport that it has not taken yet: keeps a stream busy, no more. */
const responsesAheadMax = 4;

interface ResponseSink {
  /** `taken` is called once, when the transport needs the message no more, or lost it. */
  write(message: unknown, taken: (failure?: Error | null) => void): boolean;
}

/** Sends the responses of one call no faster than its receiver takes them. */
export class ResponseStream {
  readonly #sink: ResponseSink;
  readonly #signal: AbortSignal;
  #waitingCount = 0;
  #isBroken = false;
  #wake: () => void = () => {};

  constructor(sink: ResponseSink, signal: AbortSignal) {
    this.#sink = sink;
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#wake(), { once: true });
  }

  /** Resolves when the next response may be made. @throws AbortError when the call is over */
  async write(message: unknown): Promise<void> {
    this.#hand(message, () => {});
    await this.#until(() => this.#waitingCount < responsesAheadMax);
  }

  /**
   * Sends a response in memory that somebody wants to use again. Resolves when the transport needs it
   * no more.
   *
   * @throws AbortError when the call is over: the transport may read the memory for ever
   */
  async writeLent(message: Uint8Array): Promise<void> {
    let isTaken = false;
    this.#hand(message, (failure) => {
      isTaken = !failure;
    });
    await this.#until(() => isTaken);
  }

  #hand(message: unknown, onTaken: (failure?: Error | null) => void): void {
    throwIfAborted(this.#signal);
    this.#waitingCount++;
    this.#sink.write(message, (failure) => {
      this.#waitingCount--;
      onTaken(failure);
      if (failure) this.#isBroken = true;
      this.#wake();
    });
  }

  async #until(isReached: () => boolean): Promise<void> {
    while (!isReached()) {
      if (this.#isBroken) throw new AbortError('The call is over');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      throwIfAborted(this.#signal);
    }
  }
}

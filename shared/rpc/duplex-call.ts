import type { ClientDuplexStream } from '@grpc/grpc-js';
import { AbortError } from '../runtime/abort-error.ts';

/** What DuplexCall needs of a gRPC call; requests are encoded, responses decoded. */
export type CallStream = ClientDuplexStream<Buffer, unknown>;

/** How a call's messages and failures are turned into ours. */
export interface CallTranslation<Request> {
  encode(message: Request): Buffer;
  toFailure(error: unknown): Error;
  /** What a write gets that comes after the peer ended the call well. */
  endedEarly(): Error;
}

/**
 * One call in which both sides stream, from the caller's side; the other kinds of calls are made of
 * it. Back-pressure both ways: `write` resolves when the transport has taken the message, and not
 * much more is received than is read.
 */
export class DuplexCall<Request, Response> {
  /** Resolves when the call has ended, well or not. */
  readonly over: Promise<void>;
  readonly #stream: CallStream;
  readonly #translation: CallTranslation<Request>;
  readonly #responses: AsyncIterator<unknown, undefined>;
  /** Rejects the writes that the transport has not taken yet. */
  readonly #waiting = new Set<(failure: Error) => void>();
  #failure: Error | undefined;
  #isOver = false;
  #isCancelled = false;

  constructor(stream: CallStream, translation: CallTranslation<Request>) {
    this.#stream = stream;
    this.#translation = translation;
    // Cancelling ends a call early; destroying its stream would lose its status.
    this.#responses = stream.iterator({ destroyOnReturn: false });
    this.over = new Promise((resolve) => {
      const end = (failure: Error | undefined) => {
        this.#end(failure);
        resolve();
      };
      stream.on('error', (error) => end(this.#translation.toFailure(error)));
      stream.on('status', () => end(undefined));
    });
  }

  /**
   * Sends a message, or one that `encodeMessage` made. Resolves when the transport has taken it:
   * then the next one is wanted.
   *
   * @throws the failure the call ended with; AbortError after `cancel`
   */
  write(message: Request | Buffer): Promise<void> {
    if (this.#isOver) return Promise.reject(this.#failure ?? this.#translation.endedEarly());
    const bytes = Buffer.isBuffer(message) ? message : this.#translation.encode(message);
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      this.#stream.write(bytes, () => {
        this.#waiting.delete(reject);
        resolve();
      });
    });
  }

  /**
   * The next message of the peer; undefined when it ended the call well.
   *
   * @throws the failure the call ended with; AbortError after `cancel`
   */
  async read(): Promise<Response | undefined> {
    if (this.#isCancelled && this.#failure) throw this.#failure;
    try {
      const { value } = await this.#responses.next();
      // A call that failed before anybody read seems to Node to have ended.
      if (value === undefined && this.#failure) throw this.#failure;
      return value as Response | undefined;
    } catch (error) {
      throw this.#failure ?? this.#translation.toFailure(error);
    }
  }

  /** Says that no further message will be written. */
  end(): void {
    if (!this.#isOver) this.#stream.end();
  }

  /** Ends the call now; what waits for it gets `reason`. @default AbortError */
  cancel(reason?: Error): void {
    if (this.#isOver) return;
    this.#isCancelled = true;
    this.#end(reason ?? new AbortError('The call was cancelled'));
    this.#stream.cancel();
  }

  #end(failure: Error | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failure = failure;
    for (const reject of this.#waiting) reject(failure ?? this.#translation.endedEarly());
    this.#waiting.clear();
  }
}

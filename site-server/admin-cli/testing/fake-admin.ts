import { AbortError } from '../../../shared/runtime/abort-error.ts';
import type {
  AdminAnswer,
  AdminChannel,
  AdminRequest,
  AdminStream,
  AdminUnary,
} from '../admin-channel.ts';
import { defaultAnswers, defaultStreams } from './fake-answers.ts';

/** A stream that a test feeds while it is being read. */
export class Feed<T> {
  readonly #items: T[] = [];
  #end: { error?: unknown } | undefined;
  #wake: () => void = () => {};

  /** Adds an item. */
  push(...items: T[]): void {
    this.#items.push(...items);
    this.#wake();
  }

  /** What nobody has read yet. */
  get unread(): readonly T[] {
    return this.#items;
  }

  /** Ends the stream, with the error if there is one. */
  end(error?: unknown): void {
    this.#end = error === undefined ? {} : { error };
    this.#wake();
  }

  /** What the reader gets: all items, then the end; AbortError when the signal fires first. */
  async *read(signal: AbortSignal | undefined): AsyncGenerator<T> {
    for (;;) {
      if (signal?.aborted) throw new AbortError();
      const item = this.#items.shift();
      if (item !== undefined) yield item;
      else if (this.#end) {
        if ('error' in this.#end) throw this.#end.error;
        return;
      } else await this.#nextChange(signal);
    }
  }

  #nextChange(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      signal?.addEventListener('abort', () => resolve(), { once: true });
    });
  }
}

/** One call that was made. */
export interface Call {
  readonly method: AdminUnary | AdminStream;
  readonly request: unknown;
}

type UnaryAnswers = { [M in AdminUnary]: (request: AdminRequest<M>) => AdminAnswer<M> };
type StreamAnswers = {
  [M in AdminStream]: (
    request: AdminRequest<M>,
    signal?: AbortSignal,
  ) => Iterable<AdminAnswer<M>> | AsyncIterable<AdminAnswer<M>>;
};

/** A site server that answers as a test tells it, and remembers what it was asked. */
export class FakeAdmin implements AdminChannel {
  readonly calls: Call[] = [];
  isClosed = false;
  readonly #answers: UnaryAnswers = { ...defaultAnswers };
  readonly #streams: StreamAnswers = { ...defaultStreams };

  /** From now on the method is answered so. */
  answer<M extends AdminUnary>(method: M, answer: UnaryAnswers[M]): this {
    this.#answers[method] = answer;
    return this;
  }

  /** From now on the stream is so. */
  stream<M extends AdminStream>(method: M, answer: StreamAnswers[M]): this {
    this.#streams[method] = answer;
    return this;
  }

  /** The request of the only call of the method. */
  requestOf(method: Call['method']): unknown {
    const requests = this.calls.filter((call) => call.method === method);
    if (requests.length !== 1) throw new Error(`${method} was called ${requests.length} times`);
    return requests[0]?.request;
  }

  async unary<M extends AdminUnary>(method: M, request: AdminRequest<M>): Promise<AdminAnswer<M>> {
    this.calls.push({ method, request });
    return this.#answers[method](request);
  }

  async *serverStream<M extends AdminStream>(
    method: M,
    request: AdminRequest<M>,
    options: { signal?: AbortSignal },
  ): AsyncGenerator<AdminAnswer<M>> {
    this.calls.push({ method, request });
    yield* this.#streams[method](request, options.signal);
  }

  async whenReachable(): Promise<void> {}

  close(): void {
    this.isClosed = true;
  }
}

import type {
  ReplicationMessage,
  ReplicationMessage__Output,
} from '../../shared/rpc/generated/waybill/v1/ReplicationMessage.ts';
import { AbortError } from '../../shared/runtime/abort-error.ts';

/** A stream between two sites, from one of its ends. */
export interface ReplicationLink {
  /** Resolves when the next message is wanted. @throws when the stream is over */
  send(message: ReplicationMessage): Promise<void>;
  /** The other side's next message; undefined when it ended the stream well. */
  receive(): Promise<ReplicationMessage__Output | undefined>;
}

interface WaitingMessage {
  readonly message: ReplicationMessage;
  readonly taken: () => void;
  readonly lost: (reason: unknown) => void;
}

/** The end of a stream at the parent, where answers are pulled by the transport. */
export class AnswerLink implements ReplicationLink {
  readonly #requests: AsyncIterator<ReplicationMessage__Output>;
  readonly #waiting: WaitingMessage[] = [];
  #end: { readonly failure?: unknown } | undefined;
  #wake: () => void = () => {};

  constructor(requests: AsyncIterable<ReplicationMessage__Output>) {
    this.#requests = requests[Symbol.asyncIterator]();
  }

  send(message: ReplicationMessage): Promise<void> {
    if (this.#end) return Promise.reject(new AbortError('The stream is over'));
    return new Promise((taken, lost) => {
      this.#waiting.push({ message, taken, lost });
      this.#wake();
    });
  }

  async receive(): Promise<ReplicationMessage__Output | undefined> {
    const next = await this.#requests.next();
    return next.done ? undefined : next.value;
  }

  /** Ends the stream, well or with a failure that the child is told. */
  end(outcome: { readonly failure?: unknown } = {}): void {
    this.#end ??= outcome;
    for (const { lost } of this.#waiting.splice(0)) lost(new AbortError('The stream is over'));
    this.#wake();
  }

  /** What the transport sends. */
  async *answers(): AsyncGenerator<ReplicationMessage> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next) {
        let isTaken = false;
        try {
          yield next.message;
          isTaken = true;
          next.taken();
        } finally {
          if (!isTaken) next.lost(new AbortError('The stream is over'));
        }
      } else if (this.#end) {
        if (this.#end.failure !== undefined) throw this.#end.failure;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

/** What a promise brings, unless the signal fires before. @throws the signal's reason */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason instanceof Error ? signal.reason : new AbortError());
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

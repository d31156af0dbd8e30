import { AbortError, throwIfAborted } from '../runtime/abort-error.ts';

interface Queue {
  runningCount: number;
  /** In the order they came. */
  readonly waiting: Set<() => void>;
}

/** Lets each caller have so many answers in memory; its further ones wait, those of others do not. */
export class CallerTurns {
  readonly #turnsMax: number;
  readonly #queues = new Map<string, Queue>();

  /** @param turnsMax of one caller at once */
  constructor(turnsMax: number) {
    this.#turnsMax = turnsMax;
  }

  /** Callers that have a turn now. */
  get callerCount(): number {
    return this.#queues.size;
  }

  /** Waits for a turn; the result, called once, ends it. @throws AbortError as soon as the signal fires */
  async take(caller: string, signal: AbortSignal): Promise<() => void> {
    throwIfAborted(signal);
    const queue = this.#queues.get(caller) ?? { runningCount: 0, waiting: new Set() };
    this.#queues.set(caller, queue);
    if (queue.runningCount < this.#turnsMax) queue.runningCount += 1;
    else await turnOf(queue, signal);
    return () => this.#end(caller, queue);
  }

  #end(caller: string, queue: Queue): void {
    const [next] = queue.waiting;
    // The turn goes over to who waits longest.
    if (next) next();
    else queue.runningCount -= 1;
    if (queue.runningCount === 0) this.#queues.delete(caller);
  }
}

function turnOf({ waiting }: Queue, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const given = () => {
      waiting.delete(given);
      signal.removeEventListener('abort', aborted);
      resolve();
    };
    const aborted = () => {
      waiting.delete(given);
      reject(new AbortError(undefined, { cause: signal.reason }));
    };
    waiting.add(given);
    signal.addEventListener('abort', aborted, { once: true });
  });
}

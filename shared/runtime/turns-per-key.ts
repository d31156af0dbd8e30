import { AbortError, throwIfAborted } from './abort-error.ts';

interface Queue {
  runningCount: number;
  /** In the order they came. */
  readonly waiting: Set<() => void>;
}

/** Gives so many turns of each key at once; who comes later waits, in order, those of other keys do not. */
export class TurnsPerKey {
  readonly #turnsMax: number;
  readonly #queues = new Map<string, Queue>();

  /** @param turnsMax of one key at once */
  constructor(turnsMax: number) {
    this.#turnsMax = turnsMax;
  }

  /** Keys of which somebody has a turn now. */
  get keyCount(): number {
    return this.#queues.size;
  }

  /** Waits for a turn; the result, called once, ends it. @throws AbortError as soon as the signal fires */
  async take(key: string, signal: AbortSignal): Promise<() => void> {
    throwIfAborted(signal);
    const queue = this.#queues.get(key) ?? { runningCount: 0, waiting: new Set() };
    this.#queues.set(key, queue);
    if (queue.runningCount < this.#turnsMax) queue.runningCount += 1;
    else await turnOf(queue, signal);
    return () => this.#end(key, queue);
  }

  #end(key: string, queue: Queue): void {
    const [next] = queue.waiting;
    // The turn goes over to who waits longest.
    if (next) next();
    else queue.runningCount -= 1;
    if (queue.runningCount === 0) this.#queues.delete(key);
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

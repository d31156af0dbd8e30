import type { Priority } from '../domain/package.ts';
import { AbortError, throwIfAborted } from './abort-error.ts';

/** What is made, and when its turn comes. */
export interface MakingKey {
  readonly key: string;
  /** @default the highest */
  readonly priority?: Priority;
}

interface Making<T> {
  readonly priority: Priority;
  readonly abort: AbortController;
  readonly ended: Promise<T>;
  begin: () => void;
  waiterCount: number;
}

/** Work that is done once for all who ask for the same, at most so many at once, by priority. */
export class SharedMakings<T> {
  readonly #makingsMax: number;
  readonly #makings = new Map<string, Making<T>>();
  readonly #waiting: Making<T>[] = [];
  #runningCount = 0;

  constructor(makingsMax = Number.POSITIVE_INFINITY) {
    this.#makingsMax = makingsMax;
  }

  /**
   * What `work` gives; of several who ask for the same key the first one's work runs.
   *
   * @throws AbortError as soon as `signal` fires; the work goes on while anybody else waits for it
   */
  async run(
    of: MakingKey,
    work: (signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    throwIfAborted(signal);
    const making = this.#makings.get(of.key) ?? this.#add(of, work);
    making.waiterCount += 1;
    let leave = () => {};
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(new AbortError(undefined, { cause: signal.reason }));
      signal.addEventListener('abort', leave, { once: true });
    });
    try {
      return await Promise.race([making.ended, left]);
    } finally {
      signal.removeEventListener('abort', leave);
      making.waiterCount -= 1;
      // Whoever asks from now on gets a new one.
      if (making.waiterCount === 0) this.#end(of.key, making);
    }
  }

  /** Ends all work. */
  async stop(): Promise<void> {
    const makings = [...this.#makings];
    for (const [key, making] of makings) this.#end(key, making);
    await Promise.allSettled(makings.map(([, { ended }]) => ended));
  }

  #add({ key, priority = 1 }: MakingKey, work: (signal: AbortSignal) => Promise<T>): Making<T> {
    const abort = new AbortController();
    let begin = () => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const ended = begun.then(async () => {
      try {
        throwIfAborted(abort.signal);
        return await work(abort.signal);
      } finally {
        this.#runningCount -= 1;
        this.#beginNext();
      }
    });
    // Each who waits is told; nobody may wait any more.
    ended.catch(() => {});
    const making = { priority, abort, ended, begin, waiterCount: 0 };
    this.#makings.set(key, making);
    this.#waiting.push(making);
    this.#beginNext();
    return making;
  }

  #beginNext(): void {
    while (this.#runningCount < this.#makingsMax && this.#waiting.length > 0) {
      // A stable sort: of the same priority, first come, first served.
      const [next] = this.#waiting.sort((a, b) => a.priority - b.priority).splice(0, 1);
      this.#runningCount += 1;
      next?.begin();
    }
  }

  #end(key: string, making: Making<T>): void {
    if (this.#makings.get(key) === making) this.#makings.delete(key);
    making.abort.abort();
  }
}

import { SerialQueue } from './serial-queue.ts';

/** One after another for each key, and side by side for different ones. */
export class KeyedTurns {
  readonly #turns = new Map<string, { queue: SerialQueue; holderCount: number }>();

  /** Runs `work` while nobody else has a turn of this key. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const turns = this.#turns.get(key) ?? { queue: new SerialQueue(), holderCount: 0 };
    this.#turns.set(key, turns);
    turns.holderCount += 1;
    try {
      return await turns.queue.run(work);
    } finally {
      turns.holderCount -= 1;
      if (turns.holderCount === 0) this.#turns.delete(key);
    }
  }
}

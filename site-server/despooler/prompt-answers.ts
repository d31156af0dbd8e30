import { workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { stillHashing } from './arrival-failures.ts';

/**
 * Hashing what is there may take long, and whoever waits for it holds a place: it is asked to come
 * again (RECEIVER_BUSY), and the hashing goes on.
 */
export class PromptAnswers {
  readonly #clock: Pick<Clock, 'sleep'>;
  readonly #answerMs: number;
  /** Parts whose offer was answered before it was looked at. */
  readonly #late = new Set<string>();

  /** @param answerMs an offer is answered so soon */
  constructor(clock: Pick<Clock, 'sleep'>, answerMs: number) {
    this.#clock = clock;
    this.#answerMs = answerMs;
  }

  /** What `work` gives for a part. @throws RECEIVER_BUSY; what `work` throws */
  async get(key: string, work: () => Promise<number>): Promise<number> {
    if (this.#late.has(key)) throw stillHashing();
    const over = new AbortController();
    const answer = work();
    const late = this.#clock.sleep(this.#answerMs, over.signal).then(() => {
      this.#late.add(key);
      void answer.catch(() => {}).finally(() => this.#late.delete(key));
      throw stillHashing();
    });
    late.catch(() => {});
    try {
      return await Promise.race([answer, late]);
    } finally {
      over.abort(workIsOver);
    }
  }
}

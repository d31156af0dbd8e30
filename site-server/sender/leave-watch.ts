import { ignoreAbort, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';

/** What the watch needs. */
export interface LeaveWatchNeeds {
  readonly clock: Pick<Clock, 'sleep'>;
  /** It makes way. */
  readonly pause: AbortSignal;
  /** @see FileTransferConfig */
  readonly quietMs: number;
}

/**
 * Says when a call that brings a file is to be left although parts are left: when it makes way, or when
 * none may leave for long, since the receiver keeps a place for it and gives up in the end.
 */
export class LeaveWatch implements Disposable {
  readonly #over = new AbortController();
  readonly #quiet = new AbortController();
  /** Fires when the call is to be left. */
  readonly signal: AbortSignal;
  #partCount = 0;
  #isWaiting = false;

  constructor({ clock, pause, quietMs }: LeaveWatchNeeds) {
    this.signal = AbortSignal.any([pause, this.#quiet.signal]);
    this.#watch((until) => clock.sleep(quietMs, until)).catch(ignoreAbort);
  }

  /** Gives what waits for leave to send a part. */
  async during<T>(waiting: Promise<T>): Promise<T> {
    this.#isWaiting = true;
    try {
      return await waiting;
    } finally {
      this.#isWaiting = false;
      this.#partCount += 1;
    }
  }

  [Symbol.dispose](): void {
    this.#over.abort(workIsOver);
  }

  async #watch(sleep: (until: AbortSignal) => Promise<void>): Promise<void> {
    for (;;) {
      const before = this.#partCount;
      await sleep(this.#over.signal);
      if (this.#isWaiting && before === this.#partCount) return this.#quiet.abort(workIsOver);
    }
  }
}

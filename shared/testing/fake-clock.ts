import { setImmediate as nextTurn } from 'node:timers/promises';
import { AbortError, throwIfAborted } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';

interface Sleeper {
  readonly wakeAtMs: number;
  readonly wake: () => void;
}

/** Time that stands still until a test moves it. */
export class FakeClock implements Clock {
  readonly #epochMs: number;
  #elapsedMs = 0;
  readonly #sleepers = new Set<Sleeper>();

  constructor(epochMs = Date.UTC(2024, 0, 1)) {
    this.#epochMs = epochMs;
  }

  nowMs(): number {
    return this.#epochMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  /** How many sleep now; a test waits on this to know that a component has gone to sleep. */
  get sleeperCount(): number {
    return this.#sleepers.size;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    await new Promise<void>((resolve, reject) => {
      const sleeper = { wakeAtMs: this.#elapsedMs + Math.max(0, ms), wake };
      const sleepers = this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', aborted, { once: true });
      function wake(): void {
        signal?.removeEventListener('abort', aborted);
        resolve();
      }
      function aborted(): void {
        sleepers.delete(sleeper);
        reject(new AbortError(undefined, { cause: signal?.reason }));
      }
    });
  }

  /** Passes time: wakes each sleeper at its moment, earliest first, and lets it act before the next. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms;
    await settle();
    for (let next = this.#nextSleeper(endMs); next; next = this.#nextSleeper(endMs)) {
      this.#sleepers.delete(next);
      this.#elapsedMs = Math.max(this.#elapsedMs, next.wakeAtMs);
      next.wake();
      await settle();
    }
    this.#elapsedMs = endMs;
  }

  #nextSleeper(endMs: number): Sleeper | undefined {
    let earliest: Sleeper | undefined;
    for (const sleeper of this.#sleepers) {
      if (sleeper.wakeAtMs > endMs) continue;
      if (!earliest || sleeper.wakeAtMs < earliest.wakeAtMs) earliest = sleeper;
    }
    return earliest;
  }
}

/** Lets promises that wait on nothing outside the process run until they wait again. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await nextTurn();
}

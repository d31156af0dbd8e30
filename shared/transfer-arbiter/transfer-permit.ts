import type { Priority } from '../domain/package.ts';
import { AbortError, throwIfAborted } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Passage } from './passage.ts';

/** The largest part that leaves in one go: a piece. */
const partBytesMax = 1024 * 1024;
const partBytesMin = 4096;
/** With a limit a part is what may leave in so many milliseconds, so that the rate is smooth. */
const partMs = 100;

/** Why a transfer sends nothing. */
export interface Standstill {
  /** `priority`: another transfer, of higher priority, uses the way. */
  readonly reason: 'window-closed' | 'rate' | 'priority';
  /** Monotonic time at which it may be over; Infinity when that is not known. */
  readonly untilMs: number;
  /** Of a rate: the way whose limit it is. */
  readonly passage?: Passage;
}

/** A part that waits. */
export interface Waiter {
  readonly bytes: number;
  readonly resolve: () => void;
}

/** What a permit is given by its arbiter. */
export interface PermitNeeds {
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs'>;
  readonly takeAtOnce: (bytes: number) => boolean;
  readonly onWaiting: () => void;
  readonly onChanged: () => void;
  readonly onClosed: () => void;
}

/** One transfer, of any number of streams, as its arbiter knows it. */
export class TransferPermit {
  readonly passages: readonly Passage[];
  readonly #needs: PermitNeeds;
  readonly #waiters = new Set<Waiter>();
  #priority: Priority;
  #grantedAtMs = Number.NEGATIVE_INFINITY;
  /** Why it waited when that was looked at last. */
  standstill: Standstill | undefined;

  constructor(passages: readonly Passage[], priority: Priority, needs: PermitNeeds) {
    this.passages = passages;
    this.#priority = priority;
    this.#needs = needs;
  }

  get priority(): Priority {
    return this.#priority;
  }

  /** Counts from the next part on. */
  set priority(priority: Priority) {
    this.#priority = priority;
    this.#needs.onChanged();
  }

  /** Whether a part waits. */
  get isAsking(): boolean {
    return this.#waiters.size > 0;
  }

  /** Monotonic time of the last part that left. */
  get grantedAtMs(): number {
    return this.#grantedAtMs;
  }

  /** Bytes the next part may have at most, from 4 KiB to 1 MiB: less where a limit is low. */
  get partBytes(): number {
    const nowMs = this.#needs.clock.nowMs();
    let bytes = partBytesMax;
    for (const passage of this.passages) {
      const rate = passage.rateAt(nowMs) ?? Number.POSITIVE_INFINITY;
      bytes = Math.min(bytes, passage.blockBytesMax, (rate * partMs) / 1000);
    }
    return Math.max(partBytesMin, bytes - (bytes % partBytesMin));
  }

  /**
   * Resolves when so many bytes may leave; they count as sent from then on.
   *
   * @param bytes at most `partBytes`, or the rate is kept less smoothly
   * @throws AbortError as soon as the signal fires
   */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    if (this.#needs.takeAtOnce(bytes)) return;
    await this.#wait(bytes, signal);
  }

  /** The first part that waits does so no more; undefined when none does. */
  shift(): Waiter | undefined {
    const [first] = this.#waiters;
    if (first) this.#waiters.delete(first);
    return first;
  }

  /** A part left. */
  granted(monotonicMs: number): void {
    this.#grantedAtMs = monotonicMs;
    this.standstill = undefined;
  }

  /** The transfer is over: it keeps nobody waiting any more. Whatever waits is to be aborted. */
  close(): void {
    this.#needs.onClosed();
  }

  #wait(bytes: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        bytes,
        resolve: () => {
          signal.removeEventListener('abort', aborted);
          resolve();
        },
      };
      const aborted = () => {
        this.#waiters.delete(waiter);
        this.#needs.onChanged();
        reject(new AbortError(undefined, { cause: signal.reason }));
      };
      this.#waiters.add(waiter);
      signal.addEventListener('abort', aborted, { once: true });
      this.#needs.onWaiting();
    });
  }
}

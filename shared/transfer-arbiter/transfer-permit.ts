import type { Priority } from '../domain/package.ts';
import { AbortError, throwIfAborted } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Passage } from './passage.ts';

/** The largest part that leaves in one go: a piece. */
const partBytesMax = 1024 * 1024;
const partBytesMin = 4096;
/** With a limit a part is what may leave in so many milliseconds, so that the rate is smooth. */
const partMs = 100;

/** How long it is said that a transfer waits, after it has: one with a limit does so again and again. */
const rememberedMs = 1_000;

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
  /** What it would be if it left now. */
  readonly bytes: () => number;
  readonly resolve: (bytes: number) => void;
}

/** How a transfer is to be treated. */
export interface PermitOptions {
  /** Called when a part has to wait since its way is closed; not to ask anything of the arbiter at once. */
  readonly onWindowClosed?: () => void;
  /** Called with the bytes of each part, when it leaves. */
  readonly onLeft?: (bytes: number) => void;
  /** Its parts leave whatever the schedules say. @default false */
  readonly ignoresSchedules?: boolean;
}

/** What a permit is given by its arbiter. */
export interface PermitNeeds extends PermitOptions {
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs'>;
  readonly takeAtOnce: (bytes: number) => boolean;
  readonly onWaiting: () => void;
  readonly onChanged: () => void;
  readonly onClosed: () => void;
}

/** One transfer, of any number of streams, as its arbiter knows it. */
export class TransferPermit {
  readonly #needs: PermitNeeds;
  readonly #waiters = new Set<Waiter>();
  #passages: readonly Passage[];
  #priority: Priority;
  #ignoresSchedules: boolean;
  #grantedAtMs = Number.NEGATIVE_INFINITY;
  #inLineSinceMs: number;
  #standstill: Standstill | undefined;
  /** The last standstill, and when it was seen. */
  #remembered: { readonly standstill: Standstill; readonly atMs: number } | undefined;

  constructor(passages: readonly Passage[], priority: Priority, needs: PermitNeeds) {
    this.#passages = passages;
    this.#priority = priority;
    this.#ignoresSchedules = needs.ignoresSchedules ?? false;
    this.#needs = needs;
    this.#inLineSinceMs = needs.clock.monotonicMs();
  }

  get passages(): readonly Passage[] {
    return this.#passages;
  }

  /** The next part takes another way. */
  set passages(passages: readonly Passage[]) {
    this.#passages = passages;
    this.#needs.onChanged();
  }

  get ignoresSchedules(): boolean {
    return this.#ignoresSchedules;
  }

  /** Counts from the next part on. */
  set ignoresSchedules(ignores: boolean) {
    this.#ignoresSchedules = ignores;
    this.#needs.onChanged();
  }

  /** Why it waited when that was looked at last. */
  get standstill(): Standstill | undefined {
    return this.#standstill;
  }

  set standstill(standstill: Standstill | undefined) {
    const wasClosed = this.#standstill?.reason === 'window-closed';
    this.#standstill = standstill;
    if (!standstill) return;
    this.#remembered = { standstill, atMs: this.#needs.clock.monotonicMs() };
    if (standstill.reason === 'window-closed' && !wasClosed) this.#needs.onWindowClosed?.();
  }

  /** What the transfer waits for, or has waited for within the last second. */
  get hindrance(): Standstill | undefined {
    if (this.isAsking && this.#standstill) return this.#standstill;
    if (!this.#remembered) return undefined;
    const { standstill, atMs } = this.#remembered;
    return this.#needs.clock.monotonicMs() - atMs < rememberedMs ? standstill : undefined;
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

  /** Monotonic time of its last turn, or, before the first one, at which it began. */
  get inLineSinceMs(): number {
    return this.#inLineSinceMs;
  }

  /** Bytes the next part may have at most, from 4 KiB to 1 MiB: less where a limit is low. */
  get partBytes(): number {
    return this.#partBytesIn(({ blockBytesLeft }) => blockBytesLeft);
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
    await this.#wait(() => bytes, signal);
  }

  /**
   * Resolves when some of a message may leave: all that is left of it, or a part, as long as what is
   * allowed at that moment. They count as sent from then on.
   *
   * @param leftBytes at most a message of the wire
   * @returns how many bytes
   * @throws AbortError as soon as the signal fires
   */
  async takePart(leftBytes: number, signal: AbortSignal): Promise<number> {
    throwIfAborted(signal);
    const bytes = this.#partOf(leftBytes);
    if (this.#needs.takeAtOnce(bytes)) return bytes;
    return this.#wait(() => this.#partOf(leftBytes), signal);
  }

  /**
   * Resolves when a message may leave as one, with its bytes, which count as sent from then on; at once or
   * at its turn with 0, and nothing counts, when a limit would cut it. The end of a block cuts none: what
   * goes beyond it counts in the next one.
   *
   * @param bytes at most a message of the wire
   * @throws AbortError as soon as the signal fires
   */
  async takeWhole(bytes: number, signal: AbortSignal): Promise<number> {
    throwIfAborted(signal);
    const wholeOrNone = () => {
      const fittingBytes = this.#partBytesIn(({ blockBytes }) => blockBytes);
      return fittingBytes === partBytesMax || bytes <= fittingBytes ? bytes : 0;
    };
    if (wholeOrNone() === 0) return 0;
    if (this.#needs.takeAtOnce(bytes)) return bytes;
    return this.#wait(wholeOrNone, signal);
  }

  /** The first part that waits does so no more; undefined when none does. */
  shift(): Waiter | undefined {
    const [first] = this.#waiters;
    if (first) this.#waiters.delete(first);
    return first;
  }

  /** A part left. */
  granted(bytes: number, monotonicMs: number): void {
    this.#grantedAtMs = monotonicMs;
    this.#inLineSinceMs = monotonicMs;
    this.standstill = undefined;
    this.#needs.onLeft?.(bytes);
  }

  /** It was its turn, and nothing left: others are next. */
  passedOver(monotonicMs: number): void {
    this.#inLineSinceMs = monotonicMs;
  }

  /** The transfer is over: it keeps nobody waiting any more. Whatever waits is to be aborted. */
  close(): void {
    this.#needs.onClosed();
  }

  /** @param blockBytes what a block lets through in one go */
  #partBytesIn(blockBytes: (passage: Passage) => number): number {
    const nowMs = this.#needs.clock.nowMs();
    let bytes = partBytesMax;
    for (const passage of this.passages) {
      const rate = passage.rateAt(nowMs) ?? Number.POSITIVE_INFINITY;
      bytes = Math.min(bytes, blockBytes(passage), (rate * partMs) / 1000);
    }
    return Math.max(partBytesMin, bytes - (bytes % partBytesMin));
  }

  /** A piece is sent as one message, whatever stands around it, unless a limit cuts it. */
  #partOf(leftBytes: number): number {
    const { partBytes } = this;
    return partBytes === partBytesMax ? leftBytes : Math.min(leftBytes, partBytes);
  }

  #wait(bytes: () => number, signal: AbortSignal): Promise<number> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        bytes,
        resolve: (granted) => {
          signal.removeEventListener('abort', aborted);
          resolve(granted);
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

import { pieceBytes } from '../domain/content.ts';
import type { WaybillError } from '../domain/errors.ts';
import type { PullSource } from '../domain/pull-source.ts';
import { retryDelayMs } from '../runtime/retry-schedule.ts';
import { SourcePace } from './source-pace.ts';

/** How a download treats a source; times in milliseconds. */
export interface SourceRules {
  /** Streams to a source of which nothing is known. @default 2 */
  readonly streamsFirst: number;
  /** Streams to one source at most. @default 8 */
  readonly streamsPerSourceMax: number;
  /** The same of one so far away that the way takes longer than the bytes. @default 16 */
  readonly streamsPerFarSourceMax: number;
  /** First pause after a failure; doubles. @default 1_000 */
  readonly passOverMs: number;
  /** Longest pause. @default 60_000 */
  readonly passOverMsMax: number;
  /** No answer is given up on sooner. @default 500 */
  readonly stallMsMin: number;
  /** When no source was measured yet. @default 15_000 */
  readonly stallMsUnknown: number;
}

/** What every download goes by. */
export const defaultSourceRules: SourceRules = {
  streamsFirst: 2,
  streamsPerSourceMax: 8,
  streamsPerFarSourceMax: 16,
  passOverMs: 1_000,
  passOverMsMax: 60_000,
  stallMsMin: 500,
  stallMsUnknown: 15_000,
};

/** A stall is an answer that takes so many times as long as it should. */
const stallFactor = 3;
/** Pieces that take this much longer than the best did say that more streams bring nothing. */
const slowdownMax = 1.5;
/** Pieces that come within this time always leave room for one more stream. */
const quickMs = 100;
/** A piece that never came quicker, and no slower with many streams, comes a long way. */
const farPieceMs = 40;
/** So many answers in a row that something is not here after all are a failure. */
const lackCountMax = 3;
/** 2 ** 10 times the longest first patience is more than a day. */
const patienceDoublingsMax = 10;

/**
 * What a download knows of one of its sources, and what follows from it: whether it is asked, by how
 * many streams, and how long it may take. Knows no clock and no network.
 */
export class SourceState {
  source: PullSource;
  readonly pace = new SourcePace();
  /** Requests it has not answered yet. */
  streamCount = 0;
  /** While nothing reaches it; ends when something does. */
  isUnreachable = false;
  readonly #rules: SourceRules;
  #lie: WaybillError | undefined;
  #lastFailure: string | undefined;
  #passedOverUntilMs = 0;
  /** In a row. */
  #failureCount = 0;
  #isProven = false;
  #streamLimit: number;
  #bestPieceMs = Number.POSITIVE_INFINITY;
  #patienceDoublings = 0;
  #lackCount = 0;

  constructor(source: PullSource, rules: SourceRules) {
    this.source = source;
    this.#rules = rules;
    this.#streamLimit = rules.streamsFirst;
  }

  /** Whether it may be asked for something. */
  isUsable(nowMs: number): boolean {
    return !this.#lie && !this.isUnreachable && nowMs >= this.#passedOverUntilMs;
  }

  /** Whether it has answered well since it last failed. */
  get isProven(): boolean {
    return this.#isProven;
  }

  /** Whether it failed and has not answered since: no other source waits for such a one. */
  get isOnProbation(): boolean {
    return this.#failureCount > 0;
  }

  get hasLied(): boolean {
    return this.#lie !== undefined;
  }

  get passedOverUntilMs(): number {
    return this.#passedOverUntilMs;
  }

  get failureCount(): number {
    return this.#failureCount;
  }

  /** Requests it may have at once. */
  get streamLimit(): number {
    return this.isOnProbation ? 1 : this.#streamLimit;
  }

  /** Why it gives nothing, in words; undefined when it may be asked. */
  refusalOf(nowMs: number): string | undefined {
    if (this.#lie) return 'gave wrong bytes';
    if (this.isUnreachable) return 'cannot be reached';
    return nowMs < this.#passedOverUntilMs ? (this.#lastFailure ?? 'failed') : undefined;
  }

  /** It has brought what it was asked for. */
  answered(bytes: number, ms: number): void {
    this.pace.note(bytes, ms);
    this.#isProven = true;
    this.#failureCount = 0;
    this.#patienceDoublings = 0;
    this.#lackCount = 0;
    const pieceMs = this.pace.expectedMs(pieceBytes) ?? ms;
    this.#bestPieceMs = Math.min(this.#bestPieceMs, pieceMs);
    const hasRoom = ms <= Math.max(quickMs, slowdownMax * this.#bestPieceMs);
    if (hasRoom && this.streamCount >= this.#streamLimit) this.#streamLimit += 1;
    this.#streamLimit = Math.min(this.#streamLimit, this.#streamLimitMax);
  }

  /** Eight streams fill any link but a long one: there they wait for the way, and do not slow each other. */
  get #streamLimitMax(): number {
    const { streamsPerSourceMax, streamsPerFarSourceMax } = this.#rules;
    return this.#bestPieceMs >= farPieceMs ? streamsPerFarSourceMax : streamsPerSourceMax;
  }

  /**
   * It did not answer in time. Where others bring the same, it is passed over; where nobody does, it
   * gets more time.
   */
  stalled(options: {
    bytes: number;
    ms: number;
    hasAlternative: boolean;
    nowMs: number;
    random: () => number;
  }): void {
    // Of one that never answered nothing is known: it must not grow patient with itself.
    if (this.pace.expectedMs(options.bytes) !== undefined)
      this.pace.note(options.bytes, options.ms);
    this.#streamLimit = 1;
    this.#bestPieceMs = Number.POSITIVE_INFINITY;
    if (options.hasAlternative) {
      this.failed({ ...options, reason: 'is too slow' });
    } else {
      this.#isProven = false;
      this.#patienceDoublings = Math.min(this.#patienceDoublings + 1, patienceDoublingsMax);
    }
  }

  /** It refused, broke off, or lacks what it said it held: it is passed over for a while. */
  failed(options: { reason: string; nowMs: number; random: () => number }): void {
    const { nowMs, random } = options;
    this.#isProven = false;
    this.#lastFailure = options.reason;
    // All its streams may break at once: that is one failure.
    if (nowMs < this.#passedOverUntilMs) return;
    this.#failureCount += 1;
    const { passOverMs: firstMs, passOverMsMax: capMs } = this.#rules;
    const tryCount = this.#failureCount;
    this.#passedOverUntilMs = nowMs + retryDelayMs({ tryCount, firstMs, capMs, random });
  }

  /** It does not hold what it said it holds: fine now and then, but not always. */
  lacked(options: { nowMs: number; random: () => number }): void {
    this.#lackCount += 1;
    if (this.#lackCount < lackCountMax) return;
    this.#lackCount = 0;
    this.failed({ ...options, reason: 'does not hold what it says it holds' });
  }

  /** It gave what it must not: it is not asked again in this download. */
  lied(error: WaybillError): void {
    this.#lie ??= error;
    this.#isProven = false;
  }

  /** Something reaches it again. */
  returned(): void {
    this.isUnreachable = false;
    this.#passedOverUntilMs = 0;
  }

  /** The site has spoken of its sources, or enough time has passed: failures count no more. */
  forgive(): void {
    this.#failureCount = 0;
    this.#passedOverUntilMs = 0;
  }

  /**
   * How long an answer may take.
   *
   * @param othersMs what it takes the other sources, as far as that is known
   */
  patienceMs(bytes: number, othersMs: number | undefined): number {
    const { stallMsMin, stallMsUnknown } = this.#rules;
    const expectedMs = this.pace.expectedMs(bytes) ?? othersMs;
    const onceMs =
      expectedMs === undefined ? stallMsUnknown : Math.max(stallMsMin, stallFactor * expectedMs);
    return onceMs * 2 ** this.#patienceDoublings;
  }
}

/** The median; undefined of none. */
export function medianOf(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

import type { Priority } from '../domain/package.ts';
import { fetchingPassage } from '../domain/transfer-passage.ts';
import { ignoreAbort, workIsOver } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import type { TurnsPerKey } from '../runtime/turns-per-key.ts';
import type { TransferArbiter } from '../transfer-arbiter/transfer-arbiter.ts';
import type { TransferPermit } from '../transfer-arbiter/transfer-permit.ts';

export interface IntakeNeeds {
  /** Says when bytes may be asked for. @default whenever */
  readonly arbiter?: Pick<TransferArbiter, 'open' | 'controlsOf'>;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /**
   * Questions of all downloads of this agent that a limit cuts, by priority. @default any number at once
   */
  readonly questions?: TurnsPerKey;
}

/**
 * Questions of one priority that a limit cuts and that are open at once, in all downloads of an agent: so
 * many keep a way of most of a second busy. A source keeps each answer in memory as long as it is not
 * whole, and answers no more than a few of one caller at once (`callerAnswersMax`): with more, bytes
 * would be asked for that come much later.
 */
export const cutQuestionsMax = 8;

/** How long nothing has come, besides the time in which this side kept itself waiting. */
export class Silence {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #intake: Pick<Intake, 'waitedMs'>;
  #sinceMs = 0;
  #waitedMs = 0;

  constructor(clock: Pick<Clock, 'monotonicMs'>, intake: Pick<Intake, 'waitedMs'>) {
    this.#clock = clock;
    this.#intake = intake;
    this.end();
  }

  get ms(): number {
    return this.#clock.monotonicMs() - this.#sinceMs - (this.#intake.waitedMs - this.#waitedMs);
  }

  /** Something has come. */
  end(): void {
    this.#sinceMs = this.#clock.monotonicMs();
    this.#waitedMs = this.#intake.waitedMs;
  }
}

/**
 * What a download asks before it asks a source for bytes, so that the agent keeps to its own limit
 * (PULL-10): sources send as fast as they may. Knows how long it was kept waiting, for that is not the
 * sources' fault.
 */
export class Intake implements Disposable {
  readonly #needs: IntakeNeeds;
  #priority: Priority;
  /** Fires when it changes. */
  #priorityNews = new AbortController();
  #ignoresSchedules = false;
  #permit: TransferPermit | undefined;
  #waiterCount = 0;
  #waitingSinceMs = 0;
  #waitedMs = 0;

  constructor(needs: IntakeNeeds, priority: Priority) {
    this.#needs = needs;
    this.#priority = priority;
  }

  get priority(): Priority {
    return this.#priority;
  }

  /** Counts from the next bytes on. */
  set priority(priority: Priority) {
    if (this.#priority === priority) return;
    this.#priority = priority;
    if (this.#permit) this.#permit.priority = priority;
    this.#priorityNews.abort(workIsOver);
    this.#priorityNews = new AbortController();
  }

  /** Whether bytes may be asked for whatever the hour is; counts from the next bytes on. */
  set ignoresSchedules(ignores: boolean) {
    this.#ignoresSchedules = ignores;
    if (this.#permit) this.#permit.ignoresSchedules = ignores;
  }

  /** Whether there is no limit now. */
  get isFree(): boolean {
    return this.#needs.arbiter?.controlsOf(fetchingPassage).limit === undefined;
  }

  /** Bytes that may be asked for in one go: fewer than a piece where a limit is low. */
  get partBytes(): number {
    return this.#permit?.partBytes ?? Number.POSITIVE_INFINITY;
  }

  /** Whether anything waits to be asked for. */
  get isWaiting(): boolean {
    return this.#waiterCount > 0;
  }

  /** Milliseconds in which something did, so far. */
  get waitedMs(): number {
    const now = this.isWaiting ? this.#nowMs() - this.#waitingSinceMs : 0;
    return this.#waitedMs + now;
  }

  /** Takes part from now on, until it is disposed of. */
  open(): void {
    const options = { ignoresSchedules: this.#ignoresSchedules };
    this.#permit ??= this.#needs.arbiter?.open([fetchingPassage], this.#priority, options);
  }

  /**
   * Resolves when some bytes may be asked for; without a limit all of them, at once.
   *
   * @param leftBytes at most a message of the wire
   * @returns how many
   * @throws AbortError as soon as the signal fires
   */
  async takePart(leftBytes: number, signal: AbortSignal): Promise<number> {
    const permit = this.#permit;
    return permit ? this.#waited(() => permit.takePart(leftBytes, signal)) : leftBytes;
  }

  /** The same, but none when a limit would cut them by the time they may be asked for. */
  async takeWhole(bytes: number, signal: AbortSignal): Promise<number> {
    const permit = this.#permit;
    return permit ? this.#waited(() => permit.takeWhole(bytes, signal)) : bytes;
  }

  /** For the parts of one answer; to be disposed of when it has come, or comes no more. */
  question(): IntakeQuestion {
    return new IntakeQuestion(this);
  }

  /**
   * Resolves when one more question may be open that a limit cuts, with what ends it; undefined where any
   * number may be. Its turn comes among those of its priority, also when that changes meanwhile.
   *
   * @throws AbortError as soon as the signal fires
   */
  async takeTurn(signal: AbortSignal): Promise<(() => void) | undefined> {
    const { questions } = this.#needs;
    return questions && this.#waited(() => this.#turnAmong(questions, signal));
  }

  /** Counts bytes that came without being asked for: what is asked for next waits for them. */
  charge(bytes: number, signal: AbortSignal): void {
    void this.#takeAll(bytes, signal).catch(ignoreAbort);
  }

  [Symbol.dispose](): void {
    this.#permit?.close();
    this.#permit = undefined;
  }

  async #waited<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waiterCount++ === 0) this.#waitingSinceMs = this.#nowMs();
    try {
      return await work();
    } finally {
      if (--this.#waiterCount === 0) this.#waitedMs += this.#nowMs() - this.#waitingSinceMs;
    }
  }

  async #turnAmong(questions: TurnsPerKey, signal: AbortSignal): Promise<() => void> {
    for (;;) {
      const news = this.#priorityNews.signal;
      try {
        return await questions.take(`${this.#priority}`, AbortSignal.any([signal, news]));
      } catch (error) {
        if (signal.aborted || !news.aborted) throw error;
      }
    }
  }

  async #takeAll(bytes: number, signal: AbortSignal): Promise<void> {
    for (let left = bytes; left > 0; ) left -= await this.takePart(left, signal);
  }

  #nowMs(): number {
    return this.#needs.clock.monotonicMs();
  }
}

/**
 * One question to a source, from its first byte to its last. A limit may begin to cut it at any time, also
 * while it waits: then, before it is cut, it is one of few that are open at once.
 */
export class IntakeQuestion implements Disposable {
  readonly #intake: Pick<Intake, 'takePart' | 'takeWhole' | 'takeTurn'>;
  #hasTurn = false;
  #endTurn: (() => void) | undefined;

  constructor(intake: Pick<Intake, 'takePart' | 'takeWhole' | 'takeTurn'>) {
    this.#intake = intake;
  }

  /**
   * Resolves when some bytes of the answer may be asked for; without a limit all of them, at once.
   *
   * @param leftBytes at most a message of the wire
   * @returns how many
   * @throws AbortError as soon as the signal fires
   */
  async takePart(leftBytes: number, signal: AbortSignal): Promise<number> {
    if (!this.#hasTurn) {
      const bytes = await this.#intake.takeWhole(leftBytes, signal);
      if (bytes > 0) return bytes;
      this.#endTurn = await this.#intake.takeTurn(signal);
      this.#hasTurn = true;
    }
    return this.#intake.takePart(leftBytes, signal);
  }

  [Symbol.dispose](): void {
    this.#endTurn?.();
    this.#endTurn = undefined;
  }
}

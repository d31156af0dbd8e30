import { pieceBytes } from '../domain/content.ts';
import type { Priority } from '../domain/package.ts';
import { fetchingPassage } from '../domain/transfer-passage.ts';
import { ignoreAbort } from '../runtime/abort-error.ts';
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
    return new IntakeQuestion(this, this.#needs.questions, (work) => this.#waited(work));
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

  async #takeAll(bytes: number, signal: AbortSignal): Promise<void> {
    for (let left = bytes; left > 0; ) left -= await this.takePart(left, signal);
  }

  #nowMs(): number {
    return this.#needs.clock.monotonicMs();
  }
}

/** One question to a source, from its first byte to its last. */
export class IntakeQuestion implements Disposable {
  readonly #intake: Intake;
  readonly #turns: TurnsPerKey | undefined;
  readonly #waited: <T>(work: () => Promise<T>) => Promise<T>;
  #endTurn: (() => void) | undefined;

  /** @param turns of questions that a limit cuts; none where any number may be open */
  constructor(
    intake: Intake,
    turns: TurnsPerKey | undefined,
    waited: <T>(work: () => Promise<T>) => Promise<T>,
  ) {
    this.#intake = intake;
    this.#turns = turns;
    this.#waited = waited;
  }

  /**
   * Resolves when some bytes of the answer may be asked for; once a limit cuts it, it is one of few that
   * are open at once. A limit may begin to cut it while it waits for them.
   *
   * @param leftBytes at most a message of the wire
   * @returns how many
   * @throws AbortError as soon as the signal fires
   */
  async takePart(leftBytes: number, signal: AbortSignal): Promise<number> {
    for (;;) {
      if (await this.#mayBeCut(signal)) return this.#intake.takePart(leftBytes, signal);
      const bytes = await this.#intake.takeWhole(leftBytes, signal);
      if (bytes > 0) return bytes;
    }
  }

  [Symbol.dispose](): void {
    this.#endTurn?.();
    this.#endTurn = undefined;
  }

  /** Waits for a turn where a limit is low. */
  async #mayBeCut(signal: AbortSignal): Promise<boolean> {
    const turns = this.#turns;
    if (!turns || this.#endTurn) return true;
    if (this.#intake.partBytes >= pieceBytes) return false;
    this.#endTurn = await this.#waited(() => turns.take(`${this.#intake.priority}`, signal));
    return true;
  }
}

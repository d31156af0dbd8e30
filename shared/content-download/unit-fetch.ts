import { hasPieces, pieceBytes } from '../domain/content.ts';
import { isErrorWithCode, WaybillError } from '../domain/errors.ts';
import { isAbortError, throwIfAborted, workIsOver } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import { WakeSignal } from '../runtime/wake-signal.ts';
import {
  answerBytesMaxOf,
  type FetchResponse,
  fromFetchResponse,
  toFetchRequest,
} from './content-messages.ts';
import type { DownloadSources } from './download-sources.ts';
import type { DownloadWaits } from './download-waits.ts';
import { FetchWatch, type FetchWatchConfig } from './fetch-watch.ts';
import type { Intake, IntakeQuestion } from './intake.ts';
import type { SourceConnection } from './source-connection.ts';
import { SourceField } from './source-field.ts';
import type { UnitRange } from './source-holdings.ts';
import { type AgentStreams, StreamBudget } from './stream-budget.ts';
import { wakeWithin } from './timed-wait.ts';
import { type PlannedUnit, type UnitStretch, unitBytesOf } from './unit-plan.ts';
import { type PlannedPick, UnitPlans } from './unit-plans.ts';

/** A unit whose bytes have come, unverified. */
export interface BroughtUnit {
  readonly unit: PlannedUnit;
  readonly bytes: Uint8Array;
}

export interface UnitFetchNeeds {
  readonly sources: DownloadSources;
  readonly waits: DownloadWaits;
  readonly streams: AgentStreams;
  /** What this side keeps to while it fetches. */
  readonly intake: Intake;
  readonly clock: Clock;
  readonly random: () => number;
  /** The identity of this agent, by which those who fetch at once share the work; if it has one. */
  readonly self?: string | undefined;
  /**
   * Verifies and writes them: one piece, or small files. The memory may be handed over.
   *
   * @throws FILE_HASH_MISMATCH, DISK_FULL, and what ends the download
   */
  readonly receive: (units: readonly BroughtUnit[]) => Promise<void>;
  /** They are here now, for the first time. */
  readonly onArrived: (units: readonly PlannedUnit[], bytes: number) => void;
  /** So many bytes of content came over the wire. */
  readonly onReceived: (bytes: number) => void;
}

export interface UnitFetchConfig extends FetchWatchConfig {
  /** Streams of a download; a source that is of use always has one. @default 8 */
  readonly streamsMax: number;
  /** Streams of a download, however many sources it has. @default 32 */
  readonly streamsInAllMax: number;
}

export const defaultUnitFetchConfig: UnitFetchConfig = {
  streamsMax: 8,
  streamsInAllMax: 32,
  idleMs: 2_000,
  idleArrivingMs: 60_000,
  silentMs: 300_000,
};

/** All pieces of a file were right and the whole was not: it is gone, and to be fetched anew. */
export class FileContradiction extends Error {
  readonly fileHash: string;

  constructor(fileHash: string, options: ErrorOptions) {
    super(`The pieces of file ${fileHash} are right, the whole is not`, options);
    this.name = 'FileContradiction';
    this.fileHash = fileHash;
  }
}

type Pick = PlannedPick['pick'];
type Plan = PlannedPick['plan'];

/**
 * Fetches units from all sources at once. What is asked of whom is the plan's to say, how long it may
 * take the source's state; this gives them time and streams, and hands on what comes.
 */
export class UnitFetch {
  readonly #needs: UnitFetchNeeds;
  readonly #wake = new WakeSignal();
  readonly #over = new AbortController();
  readonly #budget: StreamBudget;
  readonly #field: SourceField;
  readonly #watch: FetchWatch;
  readonly #plans: UnitPlans;
  readonly #running = new Set<Promise<void>>();
  #isPaused = false;
  #failure: { readonly error: unknown } | undefined;
  #givesUp = false;

  constructor(needs: UnitFetchNeeds, config: UnitFetchConfig) {
    this.#needs = needs;
    this.#budget = new StreamBudget(config, needs.streams);
    const field = new SourceField(needs.sources, needs.random);
    this.#field = field;
    this.#watch = new FetchWatch({ ...needs, field }, config);
    const onFailed = (error: unknown) => this.#fail(error);
    this.#plans = new UnitPlans({ ...needs, field, onTaken: () => this.#wake.wake(), onFailed });
  }

  /**
   * @param options.givesUp ends when nobody gives what is missing, instead of waiting; nor is
   *   anybody blamed for what does not fit: the caller does not know himself what it has to be
   * @returns whether everything is here
   * @throws AbortError; FileContradiction; what `receive` and the stretches throw
   */
  async run(
    stretches: AsyncGenerator<UnitStretch>,
    options: { readonly signal: AbortSignal; readonly givesUp: boolean },
  ): Promise<boolean> {
    this.#givesUp = options.givesUp;
    const endListening = this.#needs.sources.listen({
      onChanged: () => this.#onChanged(),
      onGrown: (connection, range) => this.#onGrown(connection, range),
    });
    try {
      return await this.#loop(stretches, options.signal);
    } finally {
      endListening();
      this.#over.abort(workIsOver);
      for (const connection of this.#needs.sources.connections) connection.cancelRequests();
      await Promise.all([...this.#running]);
      await this.#plans.whenTaken();
      await stretches.return(undefined);
    }
  }

  async #loop(stretches: AsyncGenerator<UnitStretch>, signal: AbortSignal): Promise<boolean> {
    this.#watch.heard();
    for (;;) {
      throwIfAborted(signal);
      this.#plans.next(stretches);
      if (this.#failure) throw this.#failure.error;
      if (this.#plans.areDone) return true;
      this.#dispatch();
      const { hasWork } = this.#plans;
      const isIdle = this.#running.size === 0 && hasWork;
      if (isIdle && this.#givesUp) return false;
      this.#watch.look({ isIdle, isWanted: hasWork && !this.#isPaused });
      const dueInMs = this.#watch.dueInMs(this.#running.size > 0);
      await wakeWithin(this.#wake, dueInMs, { clock: this.#needs.clock, signal });
    }
  }

  #dispatch(): void {
    this.#plans.refreshField();
    if (this.#isPaused) return;
    const connections = this.#field.inOrder();
    for (let hasBegun = true; hasBegun; ) {
      hasBegun = false;
      for (const connection of connections) {
        if (!this.#budget.hasRoomFor(connection.state) || this.#isOneTooMany(connection)) continue;
        if (!this.#field.mayHaveMore(connection)) continue;
        const found = this.#plans.pickFor(connection, this.#nowMs());
        if (!found) continue;
        this.#begin(found.plan, found.pick);
        hasBegun = true;
      }
    }
  }

  /** A few streams fetch what a low limit allows; more would only each hold a piece for longer. */
  #isOneTooMany({ state }: SourceConnection): boolean {
    const isLow = this.#needs.intake.partBytes < pieceBytes;
    return isLow && state.streamCount > 0 && this.#running.size >= limitedStreamsMax;
  }

  #begin(plan: Plan, pick: Pick): void {
    this.#budget.opened(pick.source.state);
    const running = this.#serve(plan, pick).finally(() => {
      this.#budget.closed(pick.source.state);
      plan.release(pick);
      this.#field.wasAsked(pick.source, this.#nowMs());
      this.#running.delete(running);
      this.#wake.wake();
    });
    this.#running.add(running);
  }

  /** Never rejects. */
  async #serve(plan: Plan, pick: Pick): Promise<void> {
    const { source, units, bytes } = pick;
    const { signal } = this.#over;
    const { intake } = this.#needs;
    using question = intake.question();
    try {
      const response = await source.ask(toFetchRequest(units, intake.priority), {
        allowance: (leftBytes, ended) => this.#allowance({ pick, question }, leftBytes, ended),
        answerBytesMax: answerBytesMaxOf(units),
        patienceMs: () => source.state.patienceMs(bytes, this.#othersMs(source, bytes)),
        isReplaceable: () => this.#field.hasOther(source, units),
        onProgress: () => this.#watch.heard(),
      });
      await this.#take(plan, pick, response);
    } catch (error) {
      if (!signal.aborted) this.#onFailed(pick, error);
    }
  }

  /** Waits for this side's own limit; that is not the source's fault. */
  async #allowance(
    { pick, question }: { readonly pick: Pick; readonly question: IntakeQuestion },
    leftBytes: number,
    signal: AbortSignal,
  ): Promise<number> {
    const startMs = this.#nowMs();
    pick.isHeldUp = true;
    try {
      return await question.takePart(leftBytes, signal);
    } finally {
      pick.isHeldUp = false;
      pick.startedAtMs += this.#nowMs() - startMs;
    }
  }

  async #take(plan: Plan, pick: Pick, response: FetchResponse): Promise<void> {
    const { source, units, places } = pick;
    const ms = this.#nowMs() - pick.startedAtMs;
    const { indices, contents } = fromFetchResponse(units, response);
    const bytes = contents.reduce((sum, { length }) => sum + length, 0);
    this.#needs.onReceived(bytes);
    this.#noteLacks(pick, indices);
    if (indices.length === 0) return;
    const fresh = indices.flatMap((index, at) => {
      const [unit, place, content] = [units[index], places[index], contents[at]];
      const isNew = unit && place !== undefined && content && !plan.isFinished(place);
      return isNew ? [{ unit, place, bytes: content }] : [];
    });
    if (fresh.length > 0 && !(await this.#isReceived(pick, fresh))) return;
    source.state.answered(bytes, ms);
    // Another stream may have brought them meanwhile.
    const first = fresh.filter(({ place }) => !plan.isFinished(place));
    plan.finish(first.map(({ place }) => place));
    if (first.length === 0) return;
    this.#watch.progressed();
    const arrived = first.map(({ unit }) => unit);
    this.#needs.onArrived(
      arrived,
      arrived.reduce((sum, unit) => sum + unitBytesOf(unit), 0),
    );
  }

  #noteLacks({ source, units }: Pick, indices: readonly number[]): void {
    if (indices.length === units.length) return;
    const here = new Set(indices);
    for (const [index, { file, pieceIndex }] of units.entries()) {
      if (!here.has(index)) source.lacks(file.firstUnit + pieceIndex);
    }
    const { random } = this.#needs;
    if (indices.length === 0) source.state.lacked({ nowMs: this.#nowMs(), random });
    this.#field.invalidate();
  }

  /** Whether the bytes were what they must be, and are written. */
  async #isReceived({ source }: Pick, units: readonly BroughtUnit[]): Promise<boolean> {
    try {
      await this.#needs.receive(units);
      return true;
    } catch (error) {
      if (isErrorWithCode(error, 'DISK_FULL')) this.#pause(error);
      else if (isErrorWithCode(error, 'FILE_HASH_MISMATCH')) this.#onMismatch(source, units, error);
      else this.#fail(error);
      return false;
    }
  }

  #onMismatch(source: SourceConnection, units: readonly BroughtUnit[], error: WaybillError): void {
    const { details } = error;
    const expectedHash = details.code === 'FILE_HASH_MISMATCH' ? details.expectedHash : '';
    const file = units[0]?.unit.file;
    const isWhole = file && hasPieces(file.sizeBytes) && expectedHash === file.hash;
    const isNobodys = isWhole || this.#givesUp;
    if (isNobodys) this.#fail(new FileContradiction(expectedHash, { cause: error }));
    else source.lied(file && hasPieces(file.sizeBytes) ? file.hash : expectedHash, 'wrong hash');
  }

  #onFailed(pick: Pick, error: unknown): void {
    const { source, bytes, startedAtMs } = pick;
    if (isErrorWithCode(error, 'DEADLINE_EXCEEDED')) {
      const nowMs = this.#nowMs();
      const ms = nowMs - startedAtMs;
      // Who gives up waits for nobody: there is another way to come by the same.
      const hasAlternative = this.#givesUp || this.#field.hasAlternative(source, pick.units);
      const { random } = this.#needs;
      source.state.stalled({ bytes, ms, hasAlternative, nowMs, random });
    } else if (isMisfit(error)) {
      source.lied(pick.units[0]?.file.hash ?? '', error.message);
    } else if (error instanceof WaybillError || isAbortError(error)) {
      source.failed(error);
    } else {
      this.#fail(error);
    }
  }

  #othersMs(source: SourceConnection, bytes: number): number | undefined {
    return this.#needs.sources.othersMs(source, bytes);
  }

  /** There is no room: nothing is asked for until there may be. */
  #pause(error: WaybillError): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    const pause = this.#needs.waits
      .diskFull(error, this.#over.signal)
      .catch((failure: unknown) => {
        if (!isAbortError(failure)) this.#fail(failure);
      })
      .finally(() => {
        this.#isPaused = false;
        this.#running.delete(pause);
        this.#wake.wake();
      });
    this.#running.add(pause);
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake.wake();
  }

  #onChanged(): void {
    this.#field.invalidate();
    this.#wake.wake();
  }

  #onGrown(connection: SourceConnection, range: UnitRange): void {
    this.#plans.holdingsGrew(connection, range);
    this.#wake.wake();
  }

  #nowMs(): number {
    return this.#needs.clock.monotonicMs();
  }
}

/** Streams under a limit that cuts pieces: enough for a way of several hundred milliseconds. */
const limitedStreamsMax = 4;

/** Whether an answer did not fit the question, or no message at all. */
function isMisfit(error: unknown): error is WaybillError {
  if (!(error instanceof WaybillError) || error.details.code !== 'MESSAGE_INVALID') return false;
  const { field } = error.details;
  return field === 'response' || field.startsWith('message of ');
}

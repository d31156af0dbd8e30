import { type ContentDescriptor, pieceBytes } from '../domain/content.ts';
import { isErrorWithCode, WaybillError } from '../domain/errors.ts';
import { priorityNames } from '../package-info/priority-message.ts';
import { isAbortError, throwIfAborted, workIsOver } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import { retryDelayMs } from '../runtime/retry-schedule.ts';
import { WakeSignal } from '../runtime/wake-signal.ts';
import { toContentName } from './content-messages.ts';
import type { DownloadSources } from './download-sources.ts';
import type { DownloadWaits } from './download-waits.ts';
import { IdleRounds } from './idle-rounds.ts';
import { type Intake, Silence } from './intake.ts';
import type { SourceConnection } from './source-connection.ts';
import { wakeWithin } from './timed-wait.ts';

export interface ManifestFetchNeeds {
  readonly sources: DownloadSources;
  readonly waits: DownloadWaits;
  /** What this side keeps to while it fetches. */
  readonly intake: Intake;
  readonly clock: Clock;
  readonly random: () => number;
  /**
   * Checks and keeps manifest and signature. Two may run at once.
   *
   * @throws MANIFEST_INVALID, CONTENT_HASH_MISMATCH, MESSAGE_INVALID; DISK_FULL; what ends the
   *   download; what the chunks throw
   */
  readonly put: (chunks: AsyncIterable<Uint8Array>) => Promise<void>;
}

/** Sources that bring the same manifest at once. */
const attemptsMax = 2;
/** A manifest that comes at less is asked of somebody else, too. */
const crawlBytesPerSecond = 128 * 1024;
/** Time between two looks at what comes. */
const lookMs = 1_000;
/** How long nobody gives it before that is told. */
const idleMs = 2_000;
/** The same while sources are asked and none of them brings any of it. */
const silentMs = 300_000;
/** How long two that crawl have before the slower one makes way for a third; doubles each time. */
const crawlMsFirst = 30_000;
/** First pause before a source that has not got it is asked again, and the longest. */
const notHeldMs = { firstMs: 1_000, capMs: 60_000 };
/** The same of one whose schedule is closed: it may open at any time. */
const closedMs = { firstMs: 1_000, capMs: 10_000 };

/** Bytes that are asked for at once where there is a limit, however high. */
const rangeBytesMax = 1024 * 1024;

/** One source that brings the manifest. */
interface Attempt {
  readonly connection: SourceConnection;
  readonly startedAtMs: number;
  receivedBytes: number;
  lastAtMs: number;
  /** This side itself keeps it waiting now, and did so for so long. */
  isHeldUp: boolean;
  heldUpMs: number;
  /** Fires when it is to make way for somebody else. */
  readonly givenUp: AbortController;
}

/** What is known of a source in this fetch. */
interface Standing {
  attemptCount: number;
  notHeldCount: number;
  notBeforeMs: number;
}

/**
 * Fetches the manifest and the signature of one content: from one source after another, lowest rank
 * first, and from two at once when the first one crawls.
 */
export class ManifestFetch {
  readonly #needs: ManifestFetchNeeds;
  readonly #content: ContentDescriptor;
  readonly #wake = new WakeSignal();
  readonly #over = new AbortController();
  readonly #attempts = new Set<Attempt>();
  readonly #running = new Set<Promise<void>>();
  readonly #standings = new Map<SourceConnection, Standing>();
  readonly #idle: IdleRounds;
  readonly #silence: Silence;
  #givenUpCount = 0;
  #isDone = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(needs: ManifestFetchNeeds, content: ContentDescriptor) {
    this.#needs = needs;
    this.#content = content;
    this.#idle = new IdleRounds(needs);
    this.#silence = new Silence(needs.clock, needs.intake);
  }

  /** Resolves when it is here. @throws AbortError; what `put` throws that is nobody's fault */
  async run(signal: AbortSignal): Promise<void> {
    const endListening = this.#needs.sources.listen({
      onChanged: () => this.#wake.wake(),
      onForgiven: () => this.#standings.clear(),
    });
    this.#silence.end();
    try {
      while (!this.#isDone) {
        throwIfAborted(signal);
        if (this.#failure) await this.#outlast(this.#failure.error, signal);
        this.#beginAttempts();
        const isSilent = this.#silence.ms >= silentMs;
        this.#idle.look(this.#attempts.size === 0 || isSilent, idleMs);
        await wakeWithin(this.#wake, this.#dueInMs(), { clock: this.#needs.clock, signal });
      }
      this.#idle.progressed();
    } finally {
      endListening();
      this.#over.abort(workIsOver);
      await Promise.all([...this.#running]);
    }
  }

  /** Waits for room; anything else is not to be waited for. */
  async #outlast(error: unknown, signal: AbortSignal): Promise<void> {
    if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
    await this.#needs.waits.diskFull(error, signal);
    this.#failure = undefined;
  }

  #beginAttempts(): void {
    if (this.#isDone || this.#failure) return;
    const isHelpWanted = [...this.#attempts].every((attempt) => this.#crawls(attempt));
    const connection = isHelpWanted ? this.#nextSource() : undefined;
    if (!connection) return;
    if (this.#attempts.size < attemptsMax) this.#begin(connection);
    else this.#giveUpSlowest();
  }

  /** Or a few that crawl for ever would keep all others away. */
  #giveUpSlowest(): void {
    const nowMs = this.#nowMs();
    const rateOf = ({ receivedBytes, startedAtMs }: Attempt) =>
      receivedBytes / (nowMs - startedAtMs);
    const [slowest] = [...this.#attempts].sort((a, b) => rateOf(a) - rateOf(b));
    const patienceMs = crawlMsFirst * 2 ** this.#givenUpCount;
    if (!slowest || nowMs - slowest.startedAtMs < patienceMs) return;
    if (slowest.givenUp.signal.aborted) return;
    this.#givenUpCount += 1;
    slowest.givenUp.abort(workIsOver);
  }

  #crawls({ startedAtMs, receivedBytes, isHeldUp, heldUpMs }: Attempt): boolean {
    if (isHeldUp) return false;
    const ms = this.#nowMs() - startedAtMs - heldUpMs;
    return ms >= lookMs && receivedBytes < (ms / 1_000) * crawlBytesPerSecond;
  }

  /** Who was asked least, of those the lowest rank, of those anybody. */
  #nextSource(): SourceConnection | undefined {
    const busy = new Set([...this.#attempts].map(({ connection }) => connection));
    const nowMs = this.#nowMs();
    const candidates = this.#needs.sources.connections
      .filter((one) => one.isUsable && !busy.has(one))
      .map((connection) => ({
        connection,
        standing: this.#standingOf(connection),
        lot: this.#needs.random(),
      }))
      .filter(({ standing }) => standing.notBeforeMs <= nowMs);
    candidates.sort(
      (a, b) =>
        a.standing.attemptCount - b.standing.attemptCount ||
        a.connection.rank - b.connection.rank ||
        a.lot - b.lot,
    );
    return candidates[0]?.connection;
  }

  #begin(connection: SourceConnection): void {
    const nowMs = this.#nowMs();
    const givenUp = new AbortController();
    const counts = { receivedBytes: 0, isHeldUp: false, heldUpMs: 0 };
    const attempt = { connection, startedAtMs: nowMs, lastAtMs: nowMs, ...counts, givenUp };
    this.#standingOf(connection).attemptCount += 1;
    this.#attempts.add(attempt);
    const running = this.#attempt(attempt).finally(() => {
      this.#attempts.delete(attempt);
      this.#running.delete(running);
      this.#wake.wake();
    });
    this.#running.add(running);
  }

  /** Never rejects. */
  async #attempt(attempt: Attempt): Promise<void> {
    const over = new AbortController();
    const signal = AbortSignal.any([this.#over.signal, over.signal]);
    let sourceFailure: { readonly error: unknown } | undefined;
    const stalled = this.#stall(attempt, signal).catch((error: unknown) => {
      if (!isAbortError(error)) sourceFailure ??= { error };
      over.abort(workIsOver);
    });
    try {
      await this.#needs.put(
        this.#ranges(attempt, signal, (error) => {
          sourceFailure ??= { error };
        }),
      );
      this.#isDone = true;
    } catch (error) {
      if (this.#over.signal.aborted) return;
      if (sourceFailure) this.#onSourceFailed(attempt, sourceFailure.error);
      else this.#onPutFailed(attempt, error);
    } finally {
      over.abort(workIsOver);
      await stalled;
    }
  }

  /** All of it, range after range where this side keeps to a limit. */
  async *#ranges(
    attempt: Attempt,
    signal: AbortSignal,
    onFailed: (error: unknown) => void,
  ): AsyncGenerator<Uint8Array> {
    const sizeBytes = this.#content.manifestBytes + this.#content.signatureBytes;
    for (let offsetBytes = 0; ; ) {
      const leftBytes = sizeBytes - offsetBytes;
      const allowedBytes = await this.#allowance(attempt, leftBytes, signal);
      const bytesMax = allowedBytes < leftBytes ? allowedBytes : 0;
      let rangeBytes = 0;
      for await (const chunk of this.#chunks(
        attempt,
        { offsetBytes, bytesMax },
        { signal, onFailed },
      )) {
        rangeBytes += chunk.length;
        yield chunk;
        // One that knows of no ranges sends all.
        if (rangeBytes > allowedBytes) await this.#allowance(attempt, chunk.length, signal);
      }
      offsetBytes += rangeBytes;
      // The rest was asked for, or not all of a range came: who keeps it finds out what is missing.
      if (bytesMax === 0 || rangeBytes !== bytesMax) return;
    }
  }

  /** Waits for this side's own limit; that is not the source's fault. */
  async #allowance(attempt: Attempt, leftBytes: number, signal: AbortSignal): Promise<number> {
    if (this.#needs.intake.isFree) return leftBytes;
    const startMs = this.#nowMs();
    attempt.isHeldUp = true;
    try {
      return await this.#needs.intake.takePart(Math.min(leftBytes, rangeBytesMax), signal);
    } finally {
      const nowMs = this.#nowMs();
      attempt.isHeldUp = false;
      attempt.heldUpMs += nowMs - startMs;
      attempt.lastAtMs = nowMs;
    }
  }

  async *#chunks(
    attempt: Attempt,
    range: { readonly offsetBytes: number; readonly bytesMax: number },
    { signal, onFailed }: { signal: AbortSignal; onFailed: (error: unknown) => void },
  ): AsyncGenerator<Uint8Array> {
    const priority = priorityNames[this.#needs.intake.priority];
    const request = { content: toContentName(this.#content), ...range, priority };
    const { channel } = attempt.connection;
    const parts = channel.serverStream('getManifest', request, { signal })[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { done, value } = await parts.next().catch((error: unknown) => {
          onFailed(error);
          throw error;
        });
        throwIfAborted(signal);
        if (done) return;
        attempt.receivedBytes += value.chunk.length;
        if (value.chunk.length > 0) {
          attempt.lastAtMs = this.#nowMs();
          this.#silence.end();
        }
        yield value.chunk;
      }
    } finally {
      await parts.return?.();
    }
  }

  /** Never resolves. @throws DEADLINE_EXCEEDED when nothing more comes; AbortError */
  async #stall(attempt: Attempt, signal: AbortSignal): Promise<never> {
    const { connection, givenUp } = attempt;
    for (;;) {
      if (attempt.isHeldUp) attempt.lastAtMs = this.#nowMs();
      const othersMs = this.#needs.sources.othersMs(connection, pieceBytes);
      const patienceMs = connection.state.patienceMs(pieceBytes, othersMs);
      const leftMs = attempt.lastAtMs + patienceMs - this.#nowMs();
      if (leftMs <= 0 || givenUp.signal.aborted) throw stalled(connection.words, patienceMs);
      await this.#needs.clock.sleep(Math.min(leftMs, lookMs), signal);
    }
  }

  #onSourceFailed({ connection, lastAtMs, givenUp }: Attempt, error: unknown): void {
    if (isErrorWithCode(error, 'CONTENT_NOT_HELD', 'CONTENT_WINDOW_CLOSED')) {
      connection.refused(error);
      this.#onNotHeld(connection, error.code === 'CONTENT_NOT_HELD' ? notHeldMs : closedMs);
    } else if (isErrorWithCode(error, 'DEADLINE_EXCEEDED')) {
      const nowMs = this.#nowMs();
      const { random } = this.#needs;
      const ms = nowMs - lastAtMs;
      const hasAlternative = givenUp.signal.aborted;
      connection.state.stalled({ bytes: pieceBytes, ms, hasAlternative, nowMs, random });
    } else if (isErrorWithCode(error, 'MESSAGE_INVALID')) {
      connection.lied('', error.message);
    } else {
      connection.failed(error);
    }
  }

  #onPutFailed({ connection }: Attempt, error: unknown): void {
    const isLie = isErrorWithCode(error, 'MANIFEST_INVALID', 'CONTENT_HASH_MISMATCH');
    if (isLie || isErrorWithCode(error, 'MESSAGE_INVALID')) connection.lied('', error.message);
    else this.#failure ??= { error };
  }

  #onNotHeld(
    connection: SourceConnection,
    pauses: { readonly firstMs: number; readonly capMs: number },
  ): void {
    const standing = this.#standingOf(connection);
    standing.notHeldCount += 1;
    const { random } = this.#needs;
    const tryCount = standing.notHeldCount;
    standing.notBeforeMs = this.#nowMs() + retryDelayMs({ tryCount, ...pauses, random });
  }

  #standingOf(connection: SourceConnection): Standing {
    const known = this.#standings.get(connection);
    const standing = known ?? { attemptCount: 0, notHeldCount: 0, notBeforeMs: 0 };
    this.#standings.set(connection, standing);
    return standing;
  }

  #dueInMs(): number {
    const nowMs = this.#nowMs();
    const pauses = [...this.#standings.values()].map(({ notBeforeMs }) => notBeforeMs);
    const dues = [
      this.#needs.sources.nextUsableMs,
      this.#idle.dueMs(idleMs),
      ...pauses.filter((time) => time > nowMs),
    ];
    if (this.#attempts.size > 0) dues.push(nowMs + lookMs);
    return Math.max(0, Math.min(...dues) - nowMs);
  }

  #nowMs(): number {
    return this.#needs.clock.monotonicMs();
  }
}

function stalled(peer: string, deadlineMs: number): WaybillError {
  const method = 'GetManifest';
  return new WaybillError({ code: 'DEADLINE_EXCEEDED', peer, method, deadlineMs });
}

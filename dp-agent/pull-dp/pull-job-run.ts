import { type ErrorCode, isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import {
  type PullContentJob,
  type PullContentState,
  type PullJob,
  type PullUrgency,
  pullContentMoved,
  pullContentMovesFrom,
} from '../../shared/domain/pull-job.ts';
import type { PullSource } from '../../shared/domain/pull-source.ts';
import type { BegunAction, PackageAction } from '../../shared/package-receiver/package-actions.ts';
import type { PackageReceiver } from '../../shared/package-receiver/package-receiver.ts';
import { isAbortError, throwIfAborted, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { PackageFetch, PackageFetcher } from './package-fetcher.ts';
import { type PullFailure, toPullFailure } from './pull-failure.ts';
import type { JobEffects, PullJobStore } from './pull-job-store.ts';
import { type JobBytes, type MessageExtras, messageOf } from './pull-messages.ts';
import { PullProgress } from './pull-progress.ts';

export interface PullJobRunNeeds {
  readonly receiver: Pick<PackageReceiver, 'begin' | 'commit'>;
  readonly fetcher: PackageFetcher;
  readonly jobs: PullJobStore;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** Called when the run begins to wait, and when it goes on. */
  readonly onTurnChanged: () => void;
  /** So many bytes of content came over the wire. */
  readonly onReceived: (bytes: number) => void;
}

export interface PullJobRunConfig {
  /** First wait for room, or before something is looked at again; doubles. @default 2_000 */
  readonly retryDelayMs: number;
  /** @default 30_000 */
  readonly retryDelayMsMax: number;
  /** Times in a row something is looked at again before the job has failed. @default 5 */
  readonly againCountMax: number;
}

export const defaultPullJobRunConfig: PullJobRunConfig = {
  retryDelayMs: 2_000,
  retryDelayMsMax: 30_000,
  againCountMax: 5,
};

/** A job that went on, and waits for the same again, tells so at most so often. */
const waitNewsMs = 60_000;

/**
 * One turn of a pull job: begins it at the receiver, fetches, commits, and writes how it ended. An
 * abort leaves the job as a crash does: to be gone on with.
 */
export class PullJobRun {
  readonly action: PackageAction;
  readonly #needs: PullJobRunNeeds;
  readonly #config: PullJobRunConfig;
  readonly #fetch: PackageFetch;
  readonly #progress: PullProgress;
  readonly #stopping = new AbortController();
  readonly #sourcesChanged = new WakeSignal();
  /** Why it waits, as it was told last, and when: not again at once, as long as that is the matter. */
  #toldWait: ErrorCode | undefined;
  #toldWaitAtMs = Number.NEGATIVE_INFINITY;
  #hasResumed = false;
  readonly #toldLiars = new Set<string>();
  #isWaiting = false;
  #urgency: PullUrgency;
  /** Writes that nobody awaits, in their order; rejects with the first bug among them. */
  #notes: Promise<unknown> = Promise.resolve();

  constructor(needs: PullJobRunNeeds, job: PullJob, config = defaultPullJobRunConfig) {
    const { packageId, jobSerial, sources, priority, ignoresWindow = false, receivedBytes } = job;
    this.action = { packageId, jobSerial };
    this.#needs = needs;
    this.#config = config;
    this.#urgency = { priority, ignoresWindow };
    this.#fetch = needs.fetcher.open(sources, this.#urgency);
    this.#progress = new PullProgress(() => needs.clock.monotonicMs(), receivedBytes);
    this.#toldWait = inOpenHours(job).error?.code;
  }

  /** Whether it takes no turn from others, for it waits for sources or for room. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  get bytes(): JobBytes {
    return this.#progress.bytes;
  }

  get priority(): PullUrgency['priority'] {
    return this.#urgency.priority;
  }

  get ignoresWindow(): boolean {
    return this.#urgency.ignoresWindow === true;
  }

  /** The site says anew from where and how urgently: whatever it waits for, it tries again. */
  changed({
    sources,
    priority,
    ignoresWindow = false,
  }: Pick<PullJob, 'sources'> & PullUrgency): void {
    this.#urgency = { priority, ignoresWindow };
    this.#fetch.setUrgency(this.#urgency);
    this.#fetch.setSources(sources);
    this.#sourcesChanged.wake();
  }

  /** It is not to go on for now; `run` resolves soon. */
  abort(): void {
    this.#stopping.abort(workIsOver);
  }

  /** Resolves when the job has ended or was aborted. Rejects with a bug only. */
  async run(): Promise<void> {
    const { signal } = this.#stopping;
    let waitCount = 0;
    let againCount = 0;
    while (!signal.aborted) {
      const failure = await this.#tryOnce(signal);
      if (!failure || failure.kind === 'over') return;
      againCount = failure.kind === 'again' ? againCount + 1 : 0;
      const isOver = await this.#isOver(failure, againCount);
      if (isOver) return;
      waitCount += 1;
      await this.#waitHere(failure.error, waitCount, signal);
    }
  }

  /** @returns what went wrong; undefined when the job has succeeded */
  async #tryOnce(signal: AbortSignal): Promise<PullFailure | undefined> {
    try {
      const job = await this.#begin();
      if (!job) return { kind: 'over' };
      await this.#fetchAndCommit(job, signal);
      return undefined;
    } catch (error) {
      if (signal.aborted && isAbortError(error)) return { kind: 'over' };
      return toPullFailure(error);
    }
  }

  /** The row says that it has its turn; what it has, it looks at anew. */
  async #begin(): Promise<PullJob | undefined> {
    const { clock, jobs } = this.#needs;
    this.#progress.restart();
    return jobs.update(this.action, (row) => {
      const before = inOpenHours(row);
      const isFirst = before.startedAtMs === 0;
      const contents = before.contents.map((one) => this.#moved(before, one, 'not-started'));
      const startedAtMs = before.startedAtMs || clock.nowMs();
      const job = { ...before, contents, startedAtMs };
      if (isFirst) return { job, messages: [messageOf(job, 'started', this.bytes)] };
      return { job, messages: before === row ? [] : [messageOf(job, 'progress', this.bytes)] };
    });
  }

  async #fetchAndCommit(job: PullJob, signal: AbortSignal): Promise<void> {
    const { receiver } = this.#needs;
    const { version, action: kind } = job;
    const action = { ...this.action, version, redistribute: kind === 'redistribute' };
    await receiver.begin(action);
    throwIfAborted(signal);
    const fetched = await this.#fetch.run({ action, signal, observer: this.#observer() });
    try {
      await this.#notes;
      await this.#commit(action);
    } finally {
      fetched.end();
    }
  }

  /** Once it is committed it counts as done, whoever aborts it. */
  async #commit(action: BegunAction): Promise<void> {
    const { receiver } = this.#needs;
    await this.#moveAll('si-applied', (job) => ({
      messages: [messageOf(job, 'downloaded', this.bytes)],
    }));
    const packageHash = await receiver.commit(this.action);
    requireHashOf(action, packageHash);
    await this.#end('success', { packageHash });
  }

  #observer(): Parameters<PackageFetch['run']>[0]['observer'] {
    return {
      contentState: (contentId, state) => this.#moveOne(contentId, state),
      expected: (bytes) => this.#progress.expected(bytes),
      received: (bytes) => {
        this.#progress.received(bytes);
        this.#needs.onReceived(bytes);
      },
      done: (bytes) => {
        if (this.#progress.done(bytes)) this.#noteProgress(this.bytes);
      },
      lied: (source, error) => this.#noteLiar(source, error),
      waiting: (error, restartAtMs) => this.#noteWait(error, restartAtMs),
      resumed: () => this.#noteResumed(),
    };
  }

  async #moveOne(contentId: string, state: PullContentState): Promise<void> {
    await this.#needs.jobs.update(this.action, (job) => ({
      job: this.#withBytes(job, {
        contents: job.contents.map((one) =>
          one.contentId === contentId ? this.#movedByFetch(job, one, state) : one,
        ),
      }),
    }));
  }

  async #moveAll(
    state: PullContentState,
    effectsOf: (job: PullJob) => JobEffects = () => ({}),
  ): Promise<void> {
    await this.#needs.jobs.update(this.action, (before) => {
      const contents = before.contents.map((one) => this.#moved(before, one, state));
      const job = this.#withBytes(before, { contents });
      return { job, ...effectsOf(job) };
    });
  }

  /** A fetch that lost something of a content begins with it anew. */
  #movedByFetch(job: PullJob, content: PullContentJob, to: PullContentState): PullContentJob {
    const onward: readonly PullContentState[] = pullContentMovesFrom[content.state];
    const from = onward.includes(to) ? content : this.#moved(job, content, 'not-started');
    return this.#moved(job, from, to);
  }

  /** Each move is one line of the log, as in PullDP.log. */
  #moved(
    { packageId, jobSerial }: PullJob,
    content: PullContentJob,
    to: PullContentState,
  ): PullContentJob {
    const { contentId, state: from } = content;
    if (from === to) return content;
    const state = pullContentMoved(from, to);
    const facts = { packageId, jobSerial, contentId, from, to };
    this.#needs.logger.info(facts, 'Content job moved');
    return { ...content, state };
  }

  #withBytes(job: PullJob, changes: Partial<PullJob>): PullJob {
    return { ...job, ...changes, receivedBytes: this.bytes.receivedBytes };
  }

  /** @param bytes as they are now: when it is written, more has come, which is told in its turn */
  #noteProgress(bytes: JobBytes): void {
    this.#note((before) => {
      const job = this.#withBytes(before, {});
      return { job, messages: [messageOf(job, 'progress', bytes)] };
    });
  }

  #noteLiar({ identity }: PullSource, error: WaybillError): void {
    const source = toIdentityUri(identity);
    this.#needs.logger.warn({ ...this.action, source, err: error }, 'Source gave wrong bytes');
    if (this.#toldLiars.has(source)) return;
    this.#toldLiars.add(source);
    this.#note((job) => {
      const extras = { error: error.details, source };
      return { job, messages: [messageOf(job, 'warning', this.bytes, extras)] };
    });
  }

  #noteWait(error: WaybillError, restartAtMs: number): void {
    const nowMs = this.#needs.clock.monotonicMs();
    const isAgain = this.#hasResumed && nowMs - this.#toldWaitAtMs >= waitNewsMs;
    const isNews = this.#toldWait !== error.code || isAgain;
    if (isNews) {
      this.#toldWait = error.code;
      this.#toldWaitAtMs = nowMs;
      this.#hasResumed = false;
    }
    this.#needs.logger.info({ ...this.action, restartAtMs, err: error }, 'Pull job waits');
    this.#note((before) => {
      const job = this.#withBytes(before, { error: error.details, restartAtMs });
      const warning = () => messageOf(job, 'warning', this.bytes, { error: error.details });
      return { job, messages: isNews ? [warning()] : [] };
    });
    this.#setWaiting(true);
  }

  #noteResumed(): void {
    if (!this.#isWaiting) return;
    this.#hasResumed = true;
    this.#needs.logger.info({ ...this.action }, 'Pull job goes on');
    this.#note(({ error: _, ...job }) => ({ job: { ...job, restartAtMs: 0 } }));
    this.#setWaiting(false);
  }

  #setWaiting(isWaiting: boolean): void {
    if (this.#isWaiting === isWaiting) return;
    this.#isWaiting = isWaiting;
    this.#needs.onTurnChanged();
  }

  /** Writes a note on the way. That it could not be written, for want of room, stops nothing. */
  #note(change: (job: PullJob) => { readonly job: PullJob } & JobEffects): void {
    const written = this.#needs.jobs.update(this.action, change).catch((err: unknown) => {
      if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
      this.#needs.logger.warn({ ...this.action, err }, 'Note on a pull job could not be written');
    });
    this.#notes = Promise.all([this.#notes, written]);
  }

  /** Writes the end of a job that is over. */
  async #isOver(failure: PullFailure, againCount: number): Promise<boolean> {
    if (failure.kind === 'superseded') return this.#ended('cancelled', failure.error);
    const isLast = failure.kind === 'again' && againCount > this.#config.againCountMax;
    if (failure.kind === 'failed' || isLast) return this.#ended('failure', failure.error);
    return false;
  }

  /** @returns false when the end could not be written: the job is to be tried again */
  async #ended(state: 'cancelled' | 'failure', error: WaybillError): Promise<boolean> {
    try {
      await this.#end(state, { error: error.details });
      return true;
    } catch (err) {
      if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
      return false;
    }
  }

  async #end(state: 'success' | 'cancelled' | 'failure', extras: MessageExtras): Promise<void> {
    const { jobs, logger } = this.#needs;
    const isEnd = await jobs.end(this.action, (job) => {
      // Not before the commit: who asks in between must not hear of a success.
      if (state === 'success') for (const one of job.contents) this.#moved(job, one, 'succeeded');
      return messageOf(job, state, this.bytes, extras);
    });
    if (!isEnd) return;
    const facts = { ...this.action, state, ...(extras.error && { error: extras.error }) };
    if (state === 'failure') logger.warn(facts, 'Pull job ended');
    else logger.info(facts, 'Pull job ended');
  }

  /** For its time, or for the site to name sources. */
  async #waitHere(error: WaybillError, tryCount: number, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#needs;
    const { retryDelayMs: firstMs, retryDelayMsMax: capMs } = this.#config;
    const delayMs = retryDelayMs({ tryCount, firstMs, capMs, random });
    this.#noteWait(error, clock.nowMs() + delayMs);
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const waits = [clock.sleep(delayMs, either), this.#sourcesChanged.wait(either)];
    await Promise.race(waits).catch(() => {});
    over.abort(workIsOver);
    await Promise.allSettled(waits);
    if (!signal.aborted) this.#noteResumed();
  }
}

/** The job as one that waits for no hour any more; itself when it did not. */
function inOpenHours(job: PullJob): PullJob {
  if (job.error?.code !== 'CONTENT_WINDOW_CLOSED') return job;
  const { error: _, ...rest } = job;
  return { ...rest, restartAtMs: 0 };
}

function requireHashOf({ version }: BegunAction, actualHash: string): void {
  const { packageHash: expectedHash, packageId: contentId } = version;
  if (actualHash === expectedHash) return;
  throw new WaybillError({
    code: 'CONTENT_HASH_MISMATCH',
    ...{ contentId, expectedHash, actualHash },
  });
}

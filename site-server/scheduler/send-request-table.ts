import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { MiniJob, SendRequest, SendRequestState } from '../../shared/domain/send-request.ts';
import {
  stillSuspended,
  toSendRequest,
  toSendRequestId,
  waiting,
  withEnd,
} from '../../shared/domain/send-request-moves.ts';
import type { SiteDeliveryOutcome } from '../../shared/domain/site-delivery.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { Tally } from '../../shared/runtime/tally.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { SerialCounter } from '../../shared/state-store/serial-counter.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import { SendRequestHistory } from './send-request-history.ts';

/** What the table of send requests needs. */
export interface SendRequestTableComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  /** The only counter of send requests. */
  readonly serials: Pick<SerialCounter, 'next'>;
  readonly status: StatusReporter;
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs'>;
  readonly logger: Logger;
  readonly siteCode: string;
}

/** How the table of send requests is tuned. */
export interface SendRequestTableConfig {
  /** Ended requests kept; the oldest go first. @default 10_000 */
  readonly historyCountMax: number;
  /** How often the progress of a send is written down, unless much has changed. @default 1_000 */
  readonly progressWriteMs: number;
}

export const defaultSendRequestTableConfig: SendRequestTableConfig = {
  historyCountMax: 10_000,
  progressWriteMs: 1_000,
};

/** How a request ends, and what that means for its mini-job. */
export interface SendRequestEnd {
  readonly state: 'complete' | 'failed' | 'cancelled';
  /** Empty when it is complete. */
  readonly reason: string;
  /** Absent when the mini-job is gone already. */
  readonly outcome?: SiteDeliveryOutcome;
}

/** How far a send is. */
export type SendRequestProgress = Pick<SendRequest, 'remainingBytes' | 'bytesSent'>;

/** Progress is written at once when this part of the file is done since it was written last. */
const progressPart = 1 / 20;

/**
 * The tables "send requests" and "send request history", with all open requests in memory; part of
 * the Scheduler, which alone makes requests, and of the Sender, which reports how they get on. All
 * changes of a row go through one queue. What a crash loses is the newest progress; the end of a
 * request is one synced batch with the end of its mini-job and what it means to others: for a job of
 * another site that failed, a row of "forwarding failures".
 */
export class SendRequestTable {
  readonly #needs: SendRequestTableComponents;
  readonly #config: SendRequestTableConfig;
  readonly #history: SendRequestHistory;
  readonly #open = new Map<string, SendRequest>();
  readonly #states = new Tally<SendRequestState>();
  readonly #ended = new Tally<SendRequestEnd['state']>();
  readonly #byJob = new Map<string, string>();
  readonly #written = new Map<string, { readonly atMs: number; readonly remainingBytes: number }>();
  /** Why the receiver refused what was sent last. */
  readonly #refusals = new Map<string, string>();
  readonly #queue = new SerialQueue();
  readonly #listeners = new Set<(request: SendRequest) => void>();

  constructor(needs: SendRequestTableComponents, config = defaultSendRequestTableConfig) {
    this.#needs = needs;
    this.#config = config;
    this.#history = new SendRequestHistory(needs, config.historyCountMax);
  }

  /** Reads the open requests; once, before anything else. Each is due at once: a restart is a reason. */
  async load(): Promise<void> {
    for await (const [, request] of this.#rows.list()) {
      this.#set(request.state === 'suspended' ? request : waiting(request));
    }
  }

  /** All open requests, in no order. */
  open(): Iterable<SendRequest> {
    return this.#open.values();
  }

  /** How many open requests are in a state. */
  countOf(state: SendRequestState): number {
    return this.#states.of(state);
  }

  /** How many have ended so since this program began. */
  endedCountOf(state: SendRequestEnd['state']): number {
    return this.#ended.of(state);
  }

  /** An open request as it is now. */
  get(requestId: string): SendRequest | undefined {
    return this.#open.get(requestId);
  }

  /** The open request of a mini-job. */
  ofJob(jobId: string): SendRequest | undefined {
    return this.#open.get(this.#byJob.get(jobId) ?? '');
  }

  /** Calls the listener after each change of a request, its end and its progress included. */
  onChanged(listener: (request: SendRequest) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when all changes asked for so far are written. */
  whenIdle(): Promise<void> {
    return this.#queue.whenIdle();
  }

  /**
   * Makes the request of a mini-job; nothing when the job has ended or has one already.
   *
   * @throws DISK_FULL
   */
  create(jobId: string, destinationSiteCode: string): Promise<SendRequest | undefined> {
    return this.#queue.run(async () => {
      const job = await this.#jobs.get(jobId);
      if (!job || this.#byJob.has(jobId)) return this.ofJob(jobId);
      const { serials, siteCode, clock, store, logger } = this.#needs;
      const failure = await this.#failureGone(job);
      const { value, change } = serials.next();
      const requestId = toSendRequestId(siteCode, value);
      const request = toSendRequest(job, { requestId, destinationSiteCode }, clock.nowMs());
      // Synced: other sites will remember the ID, so it must never be given out again.
      await store.write([change, this.#rows.put(requestId, request), ...failure], { sync: true });
      this.#set(request);
      const { packageId } = request;
      logger.info({ requestId, jobId, packageId, destinationSiteCode }, 'Created send request');
      this.#tell(request);
      return request;
    });
  }

  /**
   * Changes an open request. On a full disk only memory changes: the row follows with a later
   * change, and until then a crash costs no more than a try.
   *
   * @returns false when it has ended
   */
  change(requestId: string, move: (request: SendRequest) => SendRequest): Promise<boolean> {
    return this.#queue.run(async () => {
      const before = this.#open.get(requestId);
      if (!before) return false;
      const moved = move(before);
      const request = before.state === 'suspended' ? stillSuspended(before, moved) : moved;
      if (request === before) return true;
      this.#set(request);
      this.#tell(request);
      await this.#put(request);
      if (before.state !== request.state) this.#logMove(before, request);
      return true;
    });
  }

  /** Tells of a request again: why it waits has changed, which is in no row. */
  tellAgain(requestId: string): void {
    const request = this.#open.get(requestId);
    if (request) this.#tell(request);
  }

  /**
   * Changes an open request at an administrator's word: on disk when it resolves.
   *
   * @param report what is told with it
   * @returns the request as it is now; undefined when it has ended
   * @throws DISK_FULL: nothing has changed
   */
  steer(
    requestId: string,
    move: (request: SendRequest) => SendRequest,
    report: (request: SendRequest) => readonly Change[],
  ): Promise<SendRequest | undefined> {
    return this.#queue.run(async () => {
      const before = this.#open.get(requestId);
      if (!before) return undefined;
      const request = move(before);
      if (request === before) return request;
      const changes = [this.#rows.put(requestId, request), ...report(request)];
      await this.#needs.store.write(changes, { sync: true });
      // What has moved meanwhile is told by the next word of the Sender.
      this.#set(request);
      this.#noteWritten(request);
      this.#tell(request);
      if (before.state !== request.state) this.#logMove(before, request);
      return request;
    });
  }

  /** How far a send is: known at once, written at most once a second, or each twentieth part. */
  progressed(requestId: string, progress: SendRequestProgress): void {
    const before = this.#open.get(requestId);
    if (!before) return;
    const request = { ...before, ...progress, heartbeatAtMs: this.#needs.clock.nowMs() };
    this.#set(request);
    this.#tell(request);
    if (!this.#isWriteDue(request)) return;
    this.#noteWritten(request);
    void this.#queue.run(async () => {
      const newest = this.#open.get(requestId);
      if (newest) await this.#put(newest);
    });
  }

  /** Another site refused what it was sent: administrators are told, once in a row for one reason. */
  tellRefused(requestId: string, reason: string): Promise<void> {
    return this.#queue.run(async () => {
      const request = this.#open.get(requestId);
      if (!request || this.#refusals.get(requestId) === reason) return;
      this.#refusals.set(requestId, reason);
      const { status, store, logger } = this.#needs;
      const { packageId, sourceVersion, destinationSiteCode } = request;
      const insertionStrings = [packageId, `${sourceVersion}`, destinationSiteCode, reason];
      const report = { messageId: 9021, insertionStrings, packageId, sourceVersion } as const;
      try {
        await store.write(status.message(report), { sync: false });
      } catch (error) {
        if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
        logger.warn({ requestId, reason, err: error }, 'A refusal could not be written down');
      }
    });
  }

  /**
   * Ends a request and, unless it is gone, its mini-job, durably.
   *
   * @param report what is told with it
   * @returns false when it has ended already
   * @throws DISK_FULL: nothing has changed
   */
  end(
    requestId: string,
    end: SendRequestEnd,
    report: () => readonly Change[] = () => [],
  ): Promise<boolean> {
    return this.#queue.run(async () => {
      const before = this.#open.get(requestId);
      if (!before) return false;
      const { state, reason } = end;
      const ended = withEnd(before, { state, reason }, this.#needs.clock.nowMs());
      const result = await this.#resultOf(before, end);
      result.push(...(await this.#wordOf(before, end)));
      // From here on without a pause: serials of status messages rise in the order of the writes.
      const changes = [...result, ...this.#endChanges(ended, end), ...report()];
      await this.#needs.store.write(changes, { sync: true });
      this.#states.move(this.#open.get(requestId)?.state, undefined);
      this.#ended.add(state);
      this.#open.delete(requestId);
      this.#byJob.delete(ended.jobId);
      this.#written.delete(requestId);
      this.#refusals.delete(requestId);
      this.#logMove(before, ended);
      this.#tell(ended);
      await this.#history.trim();
      return true;
    });
  }

  #endChanges(ended: SendRequest, { outcome }: SendRequestEnd): Change[] {
    const { requestId, jobId, packageId, sourceVersion, finalSiteCode, reason } = ended;
    const { notifier, status, siteCode } = this.#needs;
    const changes = [this.#rows.delete(requestId), this.#history.add(ended)];
    if (outcome !== undefined) changes.push(this.#jobs.delete(jobId));
    if (ended.state !== 'failed') return changes;
    const insertionStrings = [packageId, `${sourceVersion}`, finalSiteCode, reason];
    changes.push(
      ...status.message({ messageId: 9020, insertionStrings, packageId, sourceVersion }),
    );
    // Distribution Manager may know another way, such as a full package file.
    if (ended.sourceSiteCode === siteCode)
      changes.push(notifier.notification('package', packageId));
    return changes;
  }

  /** What Distribution Manager is told of a job it has made. */
  async #resultOf(request: SendRequest, { outcome }: SendRequestEnd): Promise<Change[]> {
    const { packageId, finalSiteCode, jobId } = request;
    if (outcome === undefined || request.sourceSiteCode !== this.#needs.siteCode) return [];
    const key = joinKey(packageId, finalSiteCode);
    const delivery = await this.#needs.store.records(keySpaces.siteDeliveries).get(key);
    // The end of a job that was superseded must not hide how its successor ended.
    if (delivery?.jobId !== jobId) return [];
    const content = await this.#needs.store.records(keySpaces.siteContents).get(key);
    const contentChangedAtMs = content?.changedAtMs ?? 0;
    const results = this.#needs.store.records(keySpaces.siteDeliveryResults);
    return [results.put(key, { jobId, outcome, contentChangedAtMs })];
  }

  /** What the sites above, and the source site, are told of a job that ends here. */
  async #wordOf(request: SendRequest, { outcome, reason }: SendRequestEnd): Promise<Change[]> {
    const { siteCode, clock } = this.#needs;
    const isFailure = outcome === 'refused' || outcome === 'not-made' || outcome === 'stale';
    if (!isFailure) return this.#failureGone(request);
    const { packageId, finalSiteCode, jobId } = request;
    const key = joinKey(packageId, siteCode, finalSiteCode);
    const before = await this.#failures.get(key);
    // The source site waits for the later one, and would hear nothing of it any more.
    if (before && before.jobId > jobId) return [];
    const failure = {
      ...{ packageId, siteCode, finalSiteCode, jobId, reason },
      mayRepeat: outcome !== 'refused',
      failedAtMs: clock.nowMs(),
    };
    return [this.#failures.put(key, failure)];
  }

  /** What was said of an earlier job is over; IDs of one source site rise. */
  async #failureGone(
    job: Pick<MiniJob, 'jobId' | 'packageId' | 'finalSiteCode'>,
  ): Promise<Change[]> {
    const { jobId, packageId, finalSiteCode } = job;
    const { siteCode } = this.#needs;
    const key = joinKey(packageId, siteCode, finalSiteCode);
    const failure = await this.#failures.get(key);
    return failure && failure.jobId <= jobId ? [this.#failures.delete(key)] : [];
  }

  #isWriteDue({ requestId, remainingBytes, file }: SendRequest): boolean {
    const written = this.#written.get(requestId);
    if (!written || remainingBytes === 0) return true;
    const elapsedMs = this.#needs.clock.monotonicMs() - written.atMs;
    const movedBytes = Math.abs(written.remainingBytes - remainingBytes);
    return elapsedMs >= this.#config.progressWriteMs || movedBytes >= file.fileBytes * progressPart;
  }

  async #put(request: SendRequest): Promise<void> {
    this.#noteWritten(request);
    try {
      const put = this.#rows.put(request.requestId, request);
      await this.#needs.store.write([put], { sync: false });
    } catch (error) {
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
      this.#needs.logger.warn({ err: error }, 'Send request could not be written down');
    }
  }

  #noteWritten({ requestId, remainingBytes }: SendRequest): void {
    this.#written.set(requestId, { atMs: this.#needs.clock.monotonicMs(), remainingBytes });
  }

  #set(request: SendRequest): void {
    this.#states.move(this.#open.get(request.requestId)?.state, request.state);
    this.#open.set(request.requestId, request);
    this.#byJob.set(request.jobId, request.requestId);
  }

  #tell(request: SendRequest): void {
    for (const listener of this.#listeners) listener(request);
  }

  #logMove(before: SendRequest, after: SendRequest): void {
    const { requestId, packageId, destinationSiteCode, reason } = after;
    const facts = { requestId, packageId, destinationSiteCode, from: before.state };
    const because = reason === '' ? {} : { reason };
    this.#needs.logger.info({ ...facts, to: after.state, ...because }, 'Send request moved');
  }

  get #failures() {
    return this.#needs.store.records(keySpaces.forwardingFailures);
  }

  get #rows() {
    return this.#needs.store.records(keySpaces.sendRequests);
  }

  get #jobs() {
    return this.#needs.store.records<MiniJob>(keySpaces.miniJobs);
  }
}

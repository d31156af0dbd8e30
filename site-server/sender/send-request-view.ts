import { compareSendRequests, type SendWaiting } from '../../shared/domain/send-queue.ts';
import type { SendRequest } from '../../shared/domain/send-request.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { SendRequestTable } from '../scheduler/send-request-table.ts';
import type { Sender } from './sender.ts';

/** Changes of one request reach a watcher at most this often. */
const watchIntervalMs = 250;
/** Ended requests a list gives when no limit is asked for. */
const historyCountDefault = 1_000;

export interface SendRequestViewNeeds {
  readonly requests: Pick<SendRequestTable, 'open' | 'onChanged'>;
  readonly sender: Pick<Sender, 'progressOf' | 'etaMs' | 'waiting'>;
  readonly store: Pick<StateStore, 'records'>;
  readonly clock: Pick<Clock, 'sleep'>;
}

/** Which send requests are wanted; what is empty does not matter. */
export interface SendRequestFilter {
  readonly packageId: string;
  /** The next or the final site. */
  readonly siteCode: string;
  /** Requests that ended, instead of open ones. */
  readonly history: boolean;
  /** At most so many; 0: no limit for open ones, 1,000 for ended ones. */
  readonly limit: number;
}

/** A send request as administrators see it. */
export interface SendRequestRow extends SendRequest {
  /** Smoothed; 0 while nothing moves. */
  readonly bytesPerSecond: number;
  /** Milliseconds until the receiver has all; 0 when unknown. */
  readonly etaMs: number;
}

/** Send requests as administrators see them: rows, with why they wait and how fast they are. */
export class SendRequestView {
  readonly #needs: SendRequestViewNeeds;

  constructor(needs: SendRequestViewNeeds) {
    this.#needs = needs;
  }

  /** Open requests in the order in which they are sent; or ended ones, newest first. */
  async *list(filter: SendRequestFilter): AsyncGenerator<SendRequestRow> {
    if (filter.history) return yield* this.#history(filter);
    const open = [...this.#needs.requests.open()]
      .filter((request) => matches(request, filter))
      .sort(compareSendRequests);
    const waiting = this.#needs.sender.waiting();
    for (const request of filter.limit > 0 ? open.slice(0, filter.limit) : open) {
      yield this.#toRow(request, waiting);
    }
  }

  /** Open requests now, then every change until the signal fires; an ended one comes once more. */
  async *watch(filter: SendRequestFilter, signal: AbortSignal): AsyncGenerator<SendRequestRow> {
    const changed = new Map<string, SendRequest>();
    const wake = new WakeSignal();
    const unlisten = this.#needs.requests.onChanged((request) => {
      if (!matches(request, filter)) return;
      changed.set(request.requestId, request);
      wake.wake();
    });
    try {
      yield* this.list({ ...filter, history: false, limit: 0 });
      for (;;) {
        await wake.wait(signal);
        const batch = [...changed.values()];
        changed.clear();
        const waiting = this.#needs.sender.waiting();
        for (const request of batch) yield this.#toRow(request, waiting);
        await this.#needs.clock.sleep(watchIntervalMs, signal);
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    } finally {
      unlisten();
    }
  }

  async *#history(filter: SendRequestFilter): AsyncGenerator<SendRequestRow> {
    let left = filter.limit || historyCountDefault;
    const history = this.#needs.store.records(keySpaces.sendRequestHistory);
    for await (const [, request] of history.list({ reverse: true })) {
      if (!matches(request, filter)) continue;
      yield { ...request, bytesPerSecond: 0, etaMs: 0 };
      left -= 1;
      if (left === 0) return;
    }
  }

  #toRow(request: SendRequest, waiting: ReadonlyMap<string, SendWaiting>): SendRequestRow {
    const progress =
      request.finishedAtMs > 0 ? undefined : this.#needs.sender.progressOf(request.requestId);
    const { reason, dueAtMs } =
      (request.finishedAtMs > 0 ? undefined : waiting.get(request.requestId)) ?? asItSays(request);
    return {
      ...request,
      reason,
      retryAtMs: dueAtMs,
      bytesPerSecond: progress?.bytesPerSecond ?? 0,
      etaMs: progress ? this.#needs.sender.etaMs(request) : 0,
    };
  }
}

function matches(request: SendRequest, { packageId, siteCode }: SendRequestFilter): boolean {
  if (packageId !== '' && packageId !== request.packageId) return false;
  const { destinationSiteCode, finalSiteCode } = request;
  return siteCode === '' || siteCode === destinationSiteCode || siteCode === finalSiteCode;
}

function asItSays({ reason, retryAtMs }: SendRequest): SendWaiting {
  return { reason, dueAtMs: retryAtMs };
}

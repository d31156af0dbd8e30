/**
 * What administrators do to open send requests of this site: move, suspend, resume, send now, cancel
 * (ADM-2). Called by the admin service; each change is on disk before it is answered. Writes, by their
 * table, "send requests", their history and status messages.
 */
import { WaybillError } from '../../shared/domain/errors.ts';
import { cancelledReason } from '../../shared/domain/package-status-moves.ts';
import { movedOrders, type QueueTarget } from '../../shared/domain/queue-order.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import { compareSendRequests } from '../../shared/domain/send-queue.ts';
import type { SendRequest } from '../../shared/domain/send-request.ts';
import { waiting, withRunNow, withSuspension } from '../../shared/domain/send-request-moves.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { SendRequestTable } from '../scheduler/send-request-table.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';

/** Which open send requests are meant; what is absent does not matter. */
export interface SendSelection {
  /** Named: then nothing else is set. */
  readonly requestIds?: readonly string[];
  readonly packageId?: string;
  /** The next or the final site. */
  readonly siteCode?: string;
  /** Whose last try failed. */
  readonly failedOnly?: boolean;
  /** Made longer ago than this. */
  readonly olderThanMs?: number;
}

/** What is done to them. */
export type SendSteeringVerb =
  | { readonly kind: 'suspend' | 'resume' | 'run' | 'cancel' }
  | { readonly kind: 'move'; readonly target: SendTarget };

/** Where they are put, among those of the same priority. */
export type SendTarget =
  | { readonly kind: 'first' | 'last' }
  | { readonly kind: 'before'; readonly requestId: string };

export interface SendSteeringNeeds {
  readonly siteCode: string;
  readonly requests: Pick<SendRequestTable, 'open' | 'get' | 'steer' | 'end'>;
  readonly store: Pick<StateStore, 'records'>;
  readonly status: StatusReporter;
  readonly clock: Pick<Clock, 'nowMs'>;
}

const done = {
  move: 'moved in the queue',
  suspend: 'suspended',
  resume: 'resumed',
  run: 'let go now',
  cancel: 'cancelled',
} as const satisfies Record<SendSteeringVerb['kind'], string>;

export class SendSteering {
  readonly #needs: SendSteeringNeeds;

  constructor(needs: SendSteeringNeeds) {
    this.#needs = needs;
  }

  /**
   * The open requests that are meant, in the order in which they are sent; those that would not change
   * are left out, unless they were named.
   *
   * @throws REQUEST_INVALID when one that is named is not known; SEND_STATE_CONFLICT when it is not as it
   *   must be
   */
  async select(kind: SendSteeringVerb['kind'], selection: SendSelection): Promise<SendRequest[]> {
    const { requests, clock } = this.#needs;
    for (const requestId of selection.requestIds ?? []) await this.#require(kind, requestId);
    const nowMs = clock.nowMs();
    const isNamed = selection.requestIds !== undefined;
    return [...requests.open()]
      .filter((request) => isSelected(request, selection, nowMs))
      .filter((request) => isNamed || isSteerable(kind, request))
      .sort(compareSendRequests);
  }

  /**
   * @returns the requests as they are then; those that ended meanwhile are left out
   * @throws REQUEST_INVALID when they cannot go before the one that is named: nothing has moved
   */
  async steer(verb: SendSteeringVerb, selected: readonly SendRequest[]): Promise<SendRequest[]> {
    if (verb.kind === 'move') return this.#move(selected, verb.target);
    if (verb.kind === 'cancel') return this.#cancel(selected);
    const move = moves[verb.kind];
    const moved = await Promise.all(
      selected.map(({ requestId }) =>
        this.#needs.requests.steer(requestId, move, (one) => this.#report(one, verb.kind)),
      ),
    );
    return moved.flatMap((request) => request ?? []);
  }

  async #move(selected: readonly SendRequest[], target: SendTarget): Promise<SendRequest[]> {
    const { requests } = this.#needs;
    const moved = new Set(selected.map(({ requestId }) => requestId));
    if (target.kind === 'before' && moved.has(target.requestId)) {
      const expected = 'another send request than those that are moved';
      throw requestInvalid('before_request_id', { expected, actual: target.requestId });
    }
    // All of them before the first is written: what is refused has moved nothing.
    const orders = [...new Set(selected.map(({ priority }) => priority))].flatMap((priority) => {
      const queue = [...requests.open()].filter((request) => request.priority === priority);
      return this.#orders(queue, moved, target);
    });
    for (const [requestId, order] of orders) {
      const report = (one: SendRequest) => (moved.has(requestId) ? this.#report(one, 'move') : []);
      await requests.steer(requestId, (one) => ({ ...one, order }), report);
    }
    return selected.flatMap(({ requestId }) => requests.get(requestId) ?? []);
  }

  #orders(
    queue: readonly SendRequest[],
    moved: ReadonlySet<string>,
    target: SendTarget,
  ): [requestId: string, order: number][] {
    // By age alone: where their orders are equal, it decides.
    const byAge = queue
      .map((request) => ({ ...request, order: 0 }))
      .sort(compareSendRequests)
      .map(({ requestId }) => requestId);
    const serialOf = new Map(byAge.map((requestId, index) => [requestId, index + 1]));
    const numbered = queue.map(({ requestId, priority, order = 0 }) => {
      return { jobSerial: serialOf.get(requestId) ?? 0, priority, dpPriority: 0, order };
    });
    const serials = new Set([...moved].flatMap((requestId) => serialOf.get(requestId) ?? []));
    const orders = movedOrders(numbered, serials, this.#toQueueTarget(target, serialOf));
    return [...orders].flatMap(([serial, order]) => {
      const requestId = byAge[serial - 1];
      return requestId === undefined ? [] : [[requestId, order]];
    });
  }

  #toQueueTarget(target: SendTarget, serialOf: ReadonlyMap<string, number>): QueueTarget {
    if (target.kind !== 'before') return { kind: target.kind };
    const jobSerial = serialOf.get(target.requestId);
    if (jobSerial !== undefined) return { kind: 'before', jobSerial };
    const expected = 'an open send request of the same priority';
    throw requestInvalid('before_request_id', { expected, actual: target.requestId });
  }

  /** Not sent again by itself: as if its receiver had refused it. */
  async #cancel(selected: readonly SendRequest[]): Promise<SendRequest[]> {
    const { requests, store } = this.#needs;
    const history = store.records(keySpaces.sendRequestHistory);
    const ended = await Promise.all(
      selected.map(async (request) => {
        const { requestId } = request;
        const end = { state: 'cancelled', reason: cancelledReason, outcome: 'refused' } as const;
        const isEnd = await requests.end(requestId, end, () => this.#report(request, 'cancel'));
        return isEnd ? history.get(requestId) : undefined;
      }),
    );
    return ended.flatMap((request) => request ?? []);
  }

  #report(request: SendRequest, kind: SendSteeringVerb['kind']): Change[] {
    const { packageId, sourceVersion, finalSiteCode, requestId } = request;
    const insertionStrings = [packageId, `${sourceVersion}`, finalSiteCode, requestId, done[kind]];
    return this.#needs.status.message({
      ...{ messageId: 9047, insertionStrings, packageId, sourceVersion },
    });
  }

  async #require(kind: SendSteeringVerb['kind'], requestId: string): Promise<void> {
    const { requests, store } = this.#needs;
    const history = store.records(keySpaces.sendRequestHistory);
    const request = requests.get(requestId) ?? (await history.get(requestId));
    if (!request) {
      const { siteCode } = this.#needs;
      const expected = `a send request of site ${siteCode}`;
      const remedy = `"waybill send --site ${siteCode}" lists them`;
      throw requestInvalid('request_ids', { expected, actual: requestId, remedy });
    }
    const { state, finishedAtMs } = request;
    const expected = finishedAtMs > 0 ? 'open' : 'suspended';
    if (finishedAtMs === 0 && (kind !== 'resume' || state === 'suspended')) return;
    throw new WaybillError({ code: 'SEND_STATE_CONFLICT', requestId, state, expected });
  }
}

const moves = {
  suspend: withSuspension,
  resume: waiting,
  run: withRunNow,
} as const;

function isSelected(request: SendRequest, selection: SendSelection, nowMs: number): boolean {
  const { requestIds, packageId, siteCode, failedOnly, olderThanMs } = selection;
  if (requestIds) return requestIds.includes(request.requestId);
  const { destinationSiteCode, finalSiteCode } = request;
  if (packageId !== undefined && request.packageId !== packageId) return false;
  if (siteCode !== undefined && siteCode !== destinationSiteCode && siteCode !== finalSiteCode) {
    return false;
  }
  if (failedOnly && request.state !== 'retrying') return false;
  return olderThanMs === undefined || nowMs - request.createdAtMs > olderThanMs;
}

function isSteerable(kind: SendSteeringVerb['kind'], { state }: SendRequest): boolean {
  if (kind === 'resume') return state === 'suspended';
  return kind !== 'suspend' || state !== 'suspended';
}

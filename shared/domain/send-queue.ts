import { toMomentText } from './moment-text.ts';
import { priorities } from './package.ts';
import type { SendRequest } from './send-request.ts';

/** How many sends run at once (REP-5). */
export interface SendQueueLimits {
  /** In all. @default 5 */
  readonly sendsMax: number;
  /** To one destination. @default 3 */
  readonly sendsPerSiteMax: number;
}

/** What the decision goes by, besides the requests. */
export interface SendSurroundings {
  readonly isRunning: (requestId: string) => boolean;
  /** Of one that runs: whether it gives its place back as soon as it can. */
  readonly isLeaving: (requestId: string) => boolean;
  /**
   * When the way to its destination is open to it (REP-4): now or earlier when it is, undefined when
   * it never will be.
   */
  readonly opensAtMs: (request: SendRequest) => number | undefined;
}

/** Why a request does not run. */
export interface SendWaiting {
  readonly reason: string;
  /** When it may run, as far as that is known; 0: it is not. */
  readonly dueAtMs: number;
}

export interface SendDecision {
  /** Requests to start now, first one first. */
  readonly start: readonly SendRequest[];
  /** Requests that run and are to give their places to others, of higher priority. */
  readonly stop: readonly SendRequest[];
  /** Why each other one that does not run waits, by request ID. */
  readonly waiting: ReadonlyMap<string, SendWaiting>;
  /** When the next request becomes due by itself; undefined when none will. */
  readonly nextDueMs: number | undefined;
}

/** Order of the queue: priority, administrator's order, age (REP-5, ADM-2). */
export function compareSendRequests(a: SendRequest, b: SendRequest): number {
  const byAge = a.createdAtMs - b.createdAtMs || (a.requestId < b.requestId ? -1 : 1);
  return a.priority - b.priority || (a.order ?? 0) - (b.order ?? 0) || byAge;
}

/**
 * Decides which requests start now, which ones make way, and why the others wait. A file that is just
 * being sent to a site is not sent there a second time: its other requests wait, and find it there.
 */
export function decideSends(
  requests: Iterable<SendRequest>,
  surroundings: SendSurroundings,
  limits: SendQueueLimits,
  nowMs: number,
): SendDecision {
  const all = [...requests].sort(compareSendRequests);
  const running = all.filter(({ requestId }) => surroundings.isRunning(requestId));
  const places = new Places(running, surroundings, limits);
  const start: SendRequest[] = [];
  const waiting = new Map<string, SendWaiting>();
  let nextDueMs: number | undefined;
  for (const request of all.filter(isActive)) {
    if (surroundings.isRunning(request.requestId)) continue;
    const notDue = whyNotDue(request, surroundings, nowMs);
    const reason = notDue?.reason ?? places.whyNone(request);
    if (reason === undefined) start.push(request);
    else waiting.set(request.requestId, notDue ?? { reason, dueAtMs: 0 });
    const { dueAtMs = 0 } = notDue ?? {};
    if (dueAtMs > nowMs) nextDueMs = Math.min(nextDueMs ?? Number.POSITIVE_INFINITY, dueAtMs);
  }
  return { start, stop: places.makingWay, waiting, nextDueMs };
}

/**
 * The requests whose package file is to be made now, in the order of the queue: for each destination
 * the first few, so that a site that is away for long does not fill the disk, and nobody waits for
 * files that cannot be sent yet. A request that is tried again later keeps its file and stands in
 * nobody's way, until there are twice as many; one of lower priority stands in no other's way.
 *
 * @param aheadMax files for one destination that are ready to be sent, or being made
 */
export function filesToMake(
  requests: Iterable<SendRequest>,
  isBeingMade: (requestId: string) => boolean,
  aheadMax: number,
): SendRequest[] {
  const ready = new Map<string, number>();
  const all = new Map<string, number>();
  const wanting: SendRequest[] = [];
  for (const request of requests) {
    const { requestId, destinationSiteCode: site, file, state } = request;
    if (site === '' || state === 'suspended') continue;
    if (file.fileHash === '' && !isBeingMade(requestId)) wanting.push(request);
    else {
      count(all, request);
      if (state !== 'retrying') count(ready, request);
    }
  }
  return wanting.sort(compareSendRequests).filter((request) => {
    const isEnough = aheadOf(ready, request) >= aheadMax || aheadOf(all, request) >= 2 * aheadMax;
    if (isEnough) return false;
    count(ready, request);
    count(all, request);
    return true;
  });
}

/** Counts by destination and priority. */
function count(counts: Map<string, number>, { destinationSiteCode, priority }: SendRequest): void {
  const key = `${destinationSiteCode}/${priority}`;
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** How many there are for the destination of no lower priority. */
function aheadOf(
  counts: ReadonlyMap<string, number>,
  { destinationSiteCode, priority }: SendRequest,
): number {
  const counted = priorities.filter((one) => one <= priority);
  return counted.reduce((sum, one) => sum + (counts.get(`${destinationSiteCode}/${one}`) ?? 0), 0);
}

/** One that is suspended waits for nobody but an administrator; its row says so. */
function isActive({ state }: SendRequest): boolean {
  return state !== 'suspended';
}

/** Why a request could not run however many places are free. */
function whyNotDue(
  request: SendRequest,
  { opensAtMs }: SendSurroundings,
  nowMs: number,
): SendWaiting | undefined {
  const { destinationSiteCode, finalSiteCode, file, reason, retryAtMs } = request;
  if (destinationSiteCode === '') {
    return { reason: `No way to site ${finalSiteCode} is known`, dueAtMs: retryAtMs };
  }
  if (file.fileHash === '') {
    return { reason: reason || 'Its package file is not made yet', dueAtMs: retryAtMs };
  }
  if (retryAtMs > nowMs) return { reason, dueAtMs: retryAtMs };
  // What is there already needs no way for content.
  const openingMs = request.remainingBytes === 0 ? nowMs : opensAtMs(request);
  if (openingMs === undefined) {
    return { reason: 'Window closed; its schedule never opens to this priority', dueAtMs: 0 };
  }
  if (openingMs <= nowMs) return undefined;
  return { reason: `Window closed; it opens ${toMomentText(openingMs)}`, dueAtMs: openingMs };
}

/** The places of sends: those that are taken now, and those of them that are about to be free. */
class Places {
  /** Requests that are to give their places back. */
  readonly makingWay: SendRequest[] = [];
  /** What runs, whatever is said to it. */
  readonly #taken: Slots;
  /** What runs, or will, once all that is leaving has left. */
  readonly #promised: Slots;
  /** Those that may have to make way, the least urgent one first. */
  readonly #staying: SendRequest[];

  constructor(
    running: readonly SendRequest[],
    { isLeaving }: SendSurroundings,
    limits: SendQueueLimits,
  ) {
    this.#taken = new Slots(limits);
    this.#promised = new Slots(limits);
    this.#staying = running.filter(({ requestId }) => !isLeaving(requestId)).reverse();
    for (const request of running) this.#taken.take(request);
    for (const request of this.#staying) this.#promised.take(request);
  }

  /** Why the request cannot run now; undefined when it has its place. */
  whyNone(request: SendRequest): string | undefined {
    const reason = this.#taken.whyNone(request);
    const isPromised = this.#promised.whyNone(request) === undefined || this.#makeWay(request);
    if (isPromised) this.#promised.take(request);
    if (reason === undefined && isPromised) this.#taken.take(request);
    return reason ?? (isPromised ? undefined : this.#promised.whyNone(request));
  }

  /** Whether one of lower priority gives its place to this one. */
  #makeWay(request: SendRequest): boolean {
    const index = this.#staying.findIndex(
      (other) => other.priority > request.priority && this.#promised.wouldDo(other, request),
    );
    const [other] = index < 0 ? [] : this.#staying.splice(index, 1);
    if (!other) return false;
    this.#promised.release(other);
    this.makingWay.push(other);
    return true;
  }
}

/** What runs, against the limits. */
class Slots {
  readonly #limits: SendQueueLimits;
  readonly #countOf = new Map<string, number>();
  readonly #files = new Set<string>();
  #count = 0;

  constructor(limits: SendQueueLimits) {
    this.#limits = limits;
  }

  take({ destinationSiteCode: site, file }: SendRequest): void {
    this.#count += 1;
    this.#countOf.set(site, this.#countTo(site) + 1);
    this.#files.add(`${site}/${file.fileHash}`);
  }

  release({ destinationSiteCode: site, file }: SendRequest): void {
    this.#count -= 1;
    this.#countOf.set(site, this.#countTo(site) - 1);
    this.#files.delete(`${site}/${file.fileHash}`);
  }

  /** Whether the one could run in the place of the other. */
  wouldDo(other: SendRequest, request: SendRequest): boolean {
    this.release(other);
    const isFree = this.whyNone(request) === undefined;
    this.take(other);
    return isFree;
  }

  whyNone({ destinationSiteCode: site, file }: SendRequest): string | undefined {
    const { sendsMax, sendsPerSiteMax } = this.#limits;
    if (this.#files.has(`${site}/${file.fileHash}`)) {
      return `The same package file is being sent to site ${site}`;
    }
    if (this.#countTo(site) >= sendsPerSiteMax) {
      return `Waits for one of the ${sendsPerSiteMax} sends to site ${site}`;
    }
    return this.#count >= sendsMax ? `Waits for one of the ${sendsMax} sends` : undefined;
  }

  #countTo(siteCode: string): number {
    return this.#countOf.get(siteCode) ?? 0;
  }
}

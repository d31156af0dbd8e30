import type { SendRequest } from './send-request.ts';

/** How many sends run at once (REP-5). */
export interface SendQueueLimits {
  /** In all. @default 5 */
  readonly sendsMax: number;
  /** To one destination. @default 3 */
  readonly sendsPerSiteMax: number;
}

export interface SendDecision {
  /** Requests to start now, first one first. */
  readonly start: readonly SendRequest[];
  /** Why each other one that does not run waits, by request ID. */
  readonly waiting: ReadonlyMap<string, string>;
  /** When the next request becomes due by itself; undefined when none will. */
  readonly nextDueMs: number | undefined;
}

/** Order of the queue: priority, administrator's order, age (REP-5, ADM-2). */
export function compareSendRequests(a: SendRequest, b: SendRequest): number {
  const byAge = a.createdAtMs - b.createdAtMs || (a.requestId < b.requestId ? -1 : 1);
  return a.priority - b.priority || (a.order ?? 0) - (b.order ?? 0) || byAge;
}

/**
 * Decides which requests start now and why the others wait. A file that is just being sent to a
 * site is not sent there a second time: its other requests wait, and find it there.
 */
export function decideSends(
  requests: Iterable<SendRequest>,
  isRunning: (requestId: string) => boolean,
  limits: SendQueueLimits,
  nowMs: number,
): SendDecision {
  const all = [...requests].filter(isActive).sort(compareSendRequests);
  const slots = new Slots(limits);
  for (const request of all) if (isRunning(request.requestId)) slots.take(request);
  const start: SendRequest[] = [];
  const waiting = new Map<string, string>();
  let nextDueMs: number | undefined;
  for (const request of all) {
    if (isRunning(request.requestId)) continue;
    if (request.retryAtMs > nowMs) nextDueMs = Math.min(nextDueMs ?? Infinity, request.retryAtMs);
    const reason = whyNotDue(request, nowMs) ?? slots.whyNone(request);
    if (reason !== undefined) {
      waiting.set(request.requestId, reason);
      continue;
    }
    start.push(request);
    slots.take(request);
  }
  return { start, waiting, nextDueMs };
}

/**
 * The requests whose package file is to be made now, in the order of the queue: for each destination
 * the first few, so that a site that is away for long does not fill the disk, and nobody waits for
 * files that cannot be sent yet. A request that is tried again later keeps its file and stands in
 * nobody's way, until there are twice as many.
 *
 * @param aheadMax files for one destination that are ready to be sent, or being made
 */
export function filesToMake(
  requests: Iterable<SendRequest>,
  isBeingMade: (requestId: string) => boolean,
  aheadMax: number,
): SendRequest[] {
  const ahead = new Map<string, { ready: number; all: number }>();
  const wanting: SendRequest[] = [];
  for (const request of requests) {
    const { requestId, destinationSiteCode: site, file, state } = request;
    if (site === '' || state === 'suspended') continue;
    const count = ahead.get(site) ?? { ready: 0, all: 0 };
    ahead.set(site, count);
    if (file.fileHash === '' && !isBeingMade(requestId)) wanting.push(request);
    else {
      count.all += 1;
      if (state !== 'retrying') count.ready += 1;
    }
  }
  return wanting.sort(compareSendRequests).filter(({ destinationSiteCode: site }) => {
    const count = ahead.get(site) ?? { ready: 0, all: 0 };
    if (count.ready >= aheadMax || count.all >= 2 * aheadMax) return false;
    count.ready += 1;
    count.all += 1;
    return true;
  });
}

/** One that is suspended waits for nobody but an administrator; its row says so. */
function isActive({ state }: SendRequest): boolean {
  return state !== 'suspended';
}

/** Why a request could not run however many slots are free. */
function whyNotDue(request: SendRequest, nowMs: number): string | undefined {
  const { destinationSiteCode, finalSiteCode, file, reason, retryAtMs } = request;
  if (destinationSiteCode === '') return `No way to site ${finalSiteCode} is known`;
  if (file.fileHash === '') return reason === '' ? 'Its package file is not made yet' : reason;
  if (retryAtMs > nowMs) return reason;
  return undefined;
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
    this.#countOf.set(site, (this.#countOf.get(site) ?? 0) + 1);
    this.#files.add(`${site}/${file.fileHash}`);
  }

  whyNone({ destinationSiteCode: site, file }: SendRequest): string | undefined {
    const { sendsMax, sendsPerSiteMax } = this.#limits;
    if (this.#files.has(`${site}/${file.fileHash}`)) {
      return `The same package file is being sent to site ${site}`;
    }
    if ((this.#countOf.get(site) ?? 0) >= sendsPerSiteMax) {
      return `Waits for one of the ${sendsPerSiteMax} sends to site ${site}`;
    }
    return this.#count >= sendsMax ? `Waits for one of the ${sendsMax} sends` : undefined;
  }
}

import { serialOfSendRequest } from '../../shared/domain/send-request-moves.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { SerialCounter } from '../../shared/state-store/serial-counter.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';

/** What opening the counters needs. */
export interface SiteCountersComponents {
  readonly store: StateStore;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly siteCode: string;
  /** The store was damaged: numbers may have been given out that it does not remember. */
  readonly isStoreDamaged: boolean;
}

/**
 * Opens the only counter of job serials. DPs remember the highest they have seen and refuse lower
 * ones; after damage the serials go on from the time of day in milliseconds, above any before.
 */
export async function openJobSerials(components: SiteCountersComponents): Promise<SerialCounter> {
  const { store, clock, isStoreDamaged } = components;
  let atLeast = isStoreDamaged ? clock.nowMs() : 0;
  for (const space of [keySpaces.distributionJobs, keySpaces.jobHistory]) {
    for await (const [, job] of store.records(space).list({ reverse: true, limit: 1 })) {
      atLeast = Math.max(atLeast, job.jobSerial);
    }
  }
  return SerialCounter.open(store, 'job-serials', { atLeast });
}

/**
 * Opens the only counter of mini-jobs. Other sites remember their IDs; after damage they go on from
 * the time of day in seconds, above any before.
 */
export async function openMiniJobSerials(
  components: SiteCountersComponents,
): Promise<SerialCounter> {
  const { store, siteCode } = components;
  let atLeast = serialAfterDamage(components);
  const newest = { prefix: `${siteCode}-`, reverse: true, limit: 1 } as const;
  for await (const [jobId] of store.records(keySpaces.miniJobs).list(newest)) {
    atLeast = Math.max(atLeast, Number.parseInt(jobId.slice(siteCode.length + 1), 16));
  }
  return SerialCounter.open(store, 'mini-jobs', { atLeast });
}

/** Opens the only counter of send requests, in the same way. */
export async function openSendRequestSerials(
  components: SiteCountersComponents,
): Promise<SerialCounter> {
  let atLeast = serialAfterDamage(components);
  for (const space of [keySpaces.sendRequests, keySpaces.sendRequestHistory]) {
    const newest = { reverse: true, limit: 1 } as const;
    for await (const [requestId] of components.store.records(space).list(newest)) {
      atLeast = Math.max(atLeast, serialOfSendRequest(requestId));
    }
  }
  return SerialCounter.open(components.store, 'send-requests', { atLeast });
}

/** Eight hexadecimal digits are enough for the seconds of the next eighty years. */
function serialAfterDamage({ isStoreDamaged, clock }: SiteCountersComponents): number {
  return isStoreDamaged ? Math.floor(clock.nowMs() / 1000) : 0;
}

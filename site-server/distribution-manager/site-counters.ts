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

/** Package IDs left out after damage, for packages that were made and deleted unremembered. */
const idsSkippedAfterDamage = 256;

/** Opens the only counter of package IDs: none is given out twice (PKG-1). */
export async function openPackageIds(components: SiteCountersComponents): Promise<SerialCounter> {
  const { store, siteCode, isStoreDamaged } = components;
  const newest = { prefix: siteCode, reverse: true, limit: 1 } as const;
  let newestCount = 0;
  // The hierarchy may remember what this site's own rows do not.
  for (const space of [keySpaces.packages, keySpaces.packageDefinitions]) {
    for await (const [packageId] of store.records<unknown>(space).list(newest)) {
      newestCount = Math.max(newestCount, Number.parseInt(packageId.slice(siteCode.length), 16));
    }
  }
  const atLeast = newestCount + (isStoreDamaged ? idsSkippedAfterDamage : 0);
  return SerialCounter.open(store, 'package-ids', { atLeast });
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

/**
 * A hybrid time: a wall clock that never runs back and never repeats itself, so that of two changes
 * of one row all sites agree which is the later one.
 */
export interface HybridTime {
  readonly wallMs: number;
  /** Tells apart what happened within one millisecond. */
  readonly counter: number;
  readonly siteCode: string;
}

/** Negative when a is earlier than b, 0 when they are the same. */
export function compareHybridTimes(a: HybridTime, b: HybridTime): number {
  if (a.wallMs !== b.wallMs) return a.wallMs - b.wallMs;
  if (a.counter !== b.counter) return a.counter - b.counter;
  if (a.siteCode === b.siteCode) return 0;
  return a.siteCode < b.siteCode ? -1 : 1;
}

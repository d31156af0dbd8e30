import { distributionPointPriorityDefault, tunedPriority } from './distribution-point.ts';
import { WaybillError } from './errors.ts';
import type { ToldCertificate } from './known-certificate.ts';

/** Whether the site could last talk to a DP. */
export type Reachability = 'unknown' | 'reachable' | 'unreachable';

/** What the site has measured of a DP: the row of table "distribution point health". */
export interface DistributionPointHealth {
  readonly dpId: string;
  /** Place in the queue, tuned from the measured rate; lower goes first. */
  readonly dpPriority: number;
  /** Content bytes per second of recent transfers; 0 while nobody has measured. */
  readonly measuredBytesPerSecond: number;
  readonly reachability: Reachability;
  /** Why it is unreachable or failed its check; empty when all is well. */
  readonly reason: string;
  /** 0 while never checked. */
  readonly checkedAtMs: number;
  /** Empty until the DP has answered. */
  readonly agentVersion: string;
  /** Free bytes under the DP's content library when it was last checked. */
  readonly freeBytes: number;
  /** Its certificate, as it said when it was last checked; agents of before say nothing of it. */
  readonly certificate?: ToldCertificate;
}

/** Why a DP cannot be reached, without its name and address: they stand beside it. */
export function unreachableReasonOf(error: unknown): string {
  if (error instanceof WaybillError && error.details.code === 'PEER_UNREACHABLE') {
    return error.details.reason;
  }
  return error instanceof Error ? error.message : String(error);
}

/** Weight of the newest transfer: after one of them a DP is where it was for the larger part. */
const newestWeight = 0.3;

/**
 * What is known of a DP once a transfer to it went at a rate (PTM-3). Rate and priority are smoothed, each
 * by itself: one transfer never makes them jump. What a limit of ours allowed says only that the DP takes
 * as much: it never makes it slower than it was known to be.
 */
export function withMeasuredRate(
  health: DistributionPointHealth,
  { bytesPerSecond, isLimited }: { readonly bytesPerSecond: number; readonly isLimited: boolean },
): DistributionPointHealth {
  const before = health.measuredBytesPerSecond;
  if (isLimited && (before === 0 || bytesPerSecond <= before)) return health;
  const rate = before || bytesPerSecond;
  const { dpPriority } = health;
  const tuned = tunedPriority(bytesPerSecond);
  return {
    ...health,
    measuredBytesPerSecond: Math.round(rate + newestWeight * (bytesPerSecond - rate)),
    dpPriority: Math.round(dpPriority + newestWeight * (tuned - dpPriority)),
  };
}

/** What was measured of a DP nobody has met, or of one that another site meets. */
export function unmeasured(dpId: string): DistributionPointHealth {
  return {
    dpId,
    dpPriority: distributionPointPriorityDefault,
    measuredBytesPerSecond: 0,
    reachability: 'unknown',
    reason: '',
    checkedAtMs: 0,
    agentVersion: '',
    freeBytes: 0,
  };
}

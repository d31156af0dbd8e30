/** How quickly a transfer has got on, as far as it was watched. */
export interface MeasuredPace {
  /** Smoothed; 0 while nothing is known. */
  readonly bytesPerSecond: number;
  /** How far that can be trusted, from 0, before the first bytes, to 1: it has been watched for long. */
  readonly trust: number;
}

/** What a running transfer has still to bring, and how quickly it has got on. */
export interface RemainingTransfer {
  readonly remainingBytes: number;
  readonly measured: MeasuredPace;
}

/** The rate that limits let a transfer have, in bytes per second; undefined: there is no limit. */
export interface LimitsOfTransfer {
  readonly now: number | undefined;
  /** At the time that is looked at. */
  readonly later: number | undefined;
}

/** A transfer this near to its limit, as a share of it, is held by that and nothing else. */
const heldShare = 0.8;

/**
 * How quickly a running transfer is going to get on at a time, in bytes per second; 0 when nobody can say.
 * What a limit allows counts from the first moment, and is never exceeded; what was measured counts more
 * the longer the transfer is watched: its first bytes may leave in a burst, or wait for something else. One that is held by its limit follows when that changes.
 */
export function expectedPace(measured: MeasuredPace, limits: LimitsOfTransfer): number {
  const pace = paceNow(measured, limits.now);
  if (limits.later === undefined) return pace;
  const share = limits.now === undefined ? 0 : pace / limits.now;
  return share >= heldShare ? share * limits.later : Math.min(pace, limits.later);
}

function paceNow({ bytesPerSecond, trust }: MeasuredPace, limit: number | undefined): number {
  if (limit === undefined) return bytesPerSecond;
  return limit + trust * (Math.min(bytesPerSecond, limit) - limit);
}

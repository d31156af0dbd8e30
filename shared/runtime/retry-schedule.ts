/**
 * How long to wait before the next try, in milliseconds: doubles from `firstMs` to `capMs`, times a
 * random factor of 0.5 to 1 so that many waiters do not come back as one.
 *
 * @param tryCount tries that have failed so far, from 1
 * @param random a number from 0 up to 1, as `Math.random` gives
 */
export function retryDelayMs(options: {
  tryCount: number;
  firstMs: number;
  capMs: number;
  random: () => number;
}): number {
  const doublings = Math.max(0, options.tryCount - 1);
  const fullMs = Math.min(options.capMs, options.firstMs * 2 ** doublings);
  return Math.round(fullMs * (0.5 + 0.5 * options.random()));
}

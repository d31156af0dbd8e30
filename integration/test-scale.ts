/**
 * How much the integration tests do: a part that fits into every change, or, with
 * `WAYBILL_TEST_SCALE=long`, all that was promised. One code, two sizes.
 */
export const isLong = process.env.WAYBILL_TEST_SCALE === 'long';

/** The number of this run. */
export function byScale<T>(sizes: { readonly short: T; readonly long: T }): T {
  return isLong ? sizes.long : sizes.short;
}

/**
 * Where random tests begin; stands in their names, so that a failure can be had again with
 * `WAYBILL_TEST_SEED`. Long runs take another one each time.
 */
export const testSeed = Number(process.env.WAYBILL_TEST_SEED ?? (isLong ? Date.now() % 1e6 : 1));

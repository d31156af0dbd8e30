import { WaybillError } from '../../shared/domain/errors.ts';

type Kebab<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Lowercase<Head>}-${Kebab<Tail>}`
  : Lowercase<S>;

/** A wire enum's value in the domain's spelling: `JOB_STATE_IN_PROGRESS` is `in-progress`. */
export type Word<Prefix extends string, Value extends string> = Value extends `${Prefix}${infer S}`
  ? Kebab<S>
  : never;

/**
 * The value of a wire enum in the domain's spelling, without its prefix. What this program is too
 * old to know comes out as `unspecified`.
 */
export function toWord<Prefix extends string, Value extends string>(
  prefix: Prefix,
  value: Value,
): Word<Prefix, Value> {
  const name: unknown = value;
  const bare = typeof name === 'string' ? name.slice(prefix.length) : 'unspecified';
  return bare.toLowerCase().replaceAll('_', '-') as Word<Prefix, Value>;
}

/** A 64-bit number of the wire. @throws MESSAGE_INVALID when JavaScript cannot hold it exactly */
export function toCount(text: string, field: string): number {
  const count = Number(text);
  if (Number.isSafeInteger(count)) return count;
  const expected = 'a whole number up to 2^53';
  throw new WaybillError({ code: 'MESSAGE_INVALID', field, expected, actual: text });
}

/** Bytes of the wire in lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

import { WaybillError } from './errors.ts';
import type { RefusedValue } from './refusal-sentence.ts';

/** Characters of a refused value that are repeated in the refusal. */
const shownCharsMax = 80;

/** A request that is refused because of one field: what was expected, what came, what to do. */
export function requestInvalid(
  field: string,
  { expected, actual, remedy = '' }: RefusedValue,
): WaybillError {
  const advice = remedy === '' ? {} : { remedy };
  return new WaybillError({ code: 'REQUEST_INVALID', field, expected, actual, ...advice });
}

/** A value from a request as a refusal may show it: in quotes, escaped, not too long. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > shownCharsMax ? `${text.slice(0, shownCharsMax)}…` : text);
}

import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';

/** What a text of a request must be. */
export interface TextRule {
  /** @default 0 */
  readonly charsMin?: number;
  readonly charsMax: number;
  /** Line breaks and tabs are welcome. @default false */
  readonly isMultiline?: boolean;
}

/**
 * The text itself when it keeps to the rule. Control characters are refused: the text is printed
 * on terminals.
 *
 * @throws REQUEST_INVALID
 */
export function checkedText(field: string, text: string, rule: TextRule): string {
  const charCount = Array.from(text).length;
  const charsMin = rule.charsMin ?? 0;
  if (charCount < charsMin || charCount > rule.charsMax) {
    const expected = `${charsMin} to ${rule.charsMax} characters`;
    throw requestInvalid(field, { expected, actual: `${charCount} characters` });
  }
  const printable = rule.isMultiline ? text.replace(/[\n\t]/g, '') : text;
  if (/\p{Cc}/u.test(printable)) {
    throw requestInvalid(field, { expected: 'no control characters', actual: quoted(text) });
  }
  return text;
}

/**
 * How many rows of a list a request wants: its own number, or the default for 0.
 *
 * @throws REQUEST_INVALID when that is more than an answer may hold
 */
export function checkedCount(field: string, count: number, countDefault: number): number {
  if (count > requestLimits.listCountMax) {
    const expected = `at most ${requestLimits.listCountMax}`;
    throw requestInvalid(field, { expected, actual: `${count}` });
  }
  return count === 0 ? countDefault : count;
}

/** A 64-bit number of the wire that must be exact. @throws REQUEST_INVALID */
export function checkedNumber(field: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  const expected = `a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`;
  throw requestInvalid(field, { expected, actual: quoted(text) });
}

/** A value that cannot be taken, as it is told to whoever gave it. */
export interface RefusedValue {
  /** What could have been taken, and nothing else: `a package ID such as PS100001`. */
  readonly expected: string;
  /** What came instead; a text of the caller in quotes. */
  readonly actual: string;
  /** What to do now, as a sentence without its full stop; absent or empty: what was expected says it. */
  readonly remedy?: string | undefined;
}

/**
 * The one form of a sentence that refuses a value: what was expected, what came, what to do.
 *
 * @param name of the field, option or word that is refused; empty: the whole of what was said
 */
export function toRefusalSentence(
  name: string,
  { expected, actual, remedy = '' }: RefusedValue,
): string {
  const place = name === '' ? '' : `${name}: `;
  const advice = remedy === '' ? '' : `. ${remedy}`;
  return `${place}expected ${expected}, got ${actual}${advice}`;
}

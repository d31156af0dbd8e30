/**
 * Characters that would steer a terminal, hide text or turn its direction: C0, DEL, C1, zero-width
 * and bidirectional marks, line separators, lone surrogates.
 */
const unsafe =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it is for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]|\p{Surrogate}/gu;
const named: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Text that somebody else wrote, harmless on a terminal: what cannot be seen stands escaped. */
export function toVisibleText(text: string): string {
  return text.replace(unsafe, (character) => named[character] ?? escaped(character));
}

/** JSON on one line in which nothing can steer a terminal; parses to the same value. */
export function toJsonText(value: unknown): string {
  return toVisibleJson(JSON.stringify(value));
}

/** The same JSON, its invisible characters escaped; they stand only inside its strings. */
export function toVisibleJson(json: string): string {
  return json.replace(unsafe, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

import { type Document, isMap, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import type { ConfigProblem } from './config-problems.ts';

/** Longest text, in UTF-16 units: of those that a person writes, the longest has a few thousand. */
export const yamlLengthMax = 262_144;

/** Most levels of keys below each other, and of lists: a reader needs stack for each. */
export const yamlDepthMax = 100;

/** What a text of YAML says, or all that is wrong with it. */
export type YamlText =
  | {
      /** Null when it says nothing. */
      readonly value: unknown;
      /** `line 3`; undefined when the text says nothing of that. */
      readonly lineOf: (path: readonly PropertyKey[]) => string | undefined;
    }
  /** @param file stands where no line does */
  | { readonly problems: (file: string) => ConfigProblem[] };

/**
 * Reads YAML that anybody may have written, in time that grows with its length alone; never throws. A
 * key that is there twice is refused, and so is an alias: what is meant is said where it holds.
 */
export function readYaml(text: string): YamlText {
  const lines = new LineCounter();
  const problem = wholeProblemOf(text);
  if (problem !== undefined) return { problems: (path) => [{ path, text: problem }] };
  // The parser compares each key with each: keys that are there twice are looked for below.
  // To make each of its errors pretty it goes over the whole line: with many on one, for seconds.
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: false,
    logLevel: 'error',
    prettyErrors: false,
  });
  const problems = document.errors.map(({ pos: [offset], message }) => ({
    path: `line ${lines.linePos(offset).line}`,
    text: `expected YAML, got ${message.split('\n')[0]}`,
  }));
  problems.push(...problemsOfNodes(document, lines));
  if (problems.length > 0) return { problems: () => problems };
  return { value: document.toJS(), lineOf: linesOf(document, lines) };
}

function wholeProblemOf(text: string): string | undefined {
  if (text.length > yamlLengthMax) return `expected at most ${yamlLengthMax} characters of YAML`;
  return isTooDeep(text) ? `expected YAML of at most ${yamlDepthMax} levels` : undefined;
}

/** Whether there may be more levels than a reader follows; looked at before anything is read. */
function isTooDeep(text: string): boolean {
  let open = 0;
  return text.split('\n').some((line) => {
    // Each level of a block is a space deeper at least; on one line each needs a sign.
    const signs = count(line, /[[{]|[:?-](?:\s|$)/g);
    const indent = line.search(/[^ ]/);
    open += count(line, /[[{]/g) - count(line, /[\]}]/g);
    return Math.max(signs, indent, open) > yamlDepthMax;
  });
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

function problemsOfNodes(document: Document.Parsed, lines: LineCounter): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const tell = (range: readonly number[] | null | undefined, text: string) =>
    problems.push({ path: `line ${lines.linePos(range?.[0] ?? 0).line}`, text });
  visit(document, {
    Alias: (_, { range }) => void tell(range, 'expected a value, got an alias of another one'),
    Map: (_, { items, range }) => {
      const names = new Set<unknown>();
      for (const { key } of items) {
        const isName = isScalar(key) && typeof key.value !== 'object';
        const name = isName ? String(key.value) : undefined;
        if (name === undefined) tell(range, 'expected names as keys, got something else');
        else if (names.has(name)) tell(isScalar(key) ? key.range : range, `expected ${name} once`);
        names.add(name);
      }
    },
  });
  return problems;
}

/** Says the line of a key, or of the list a value is in. A map is gone through once, whoever asks for each of its keys. */
function linesOf(
  document: Document.Parsed,
  lines: LineCounter,
): (path: readonly PropertyKey[]) => string | undefined {
  const known = new Map<unknown, ReadonlyMap<unknown, number>>();
  return (path) => {
    const parent = path.length > 1 ? document.getIn(path.slice(0, -1), true) : document.contents;
    if (!isMap<{ value: unknown; range: [number, number, number] }>(parent)) return undefined;
    const places =
      known.get(parent) ?? new Map(parent.items.map(({ key }) => [key.value, key.range[0]]));
    known.set(parent, places);
    const place = places.get(path.at(-1));
    return place === undefined ? undefined : `line ${lines.linePos(place).line}`;
  };
}

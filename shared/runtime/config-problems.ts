import { z } from 'zod';
import { toRefusalSentence } from '../domain/refusal-sentence.ts';
import { nearestWord } from './nearest-word.ts';

/** One thing wrong with a configuration. */
export interface ConfigProblem {
  /** Dotted path, with the variable, flag or line it came from. */
  readonly path: string;
  /** Such as `expected a number, got "many"`. */
  readonly text: string;
}

/**
 * What the schema refused, in an administrator's words.
 *
 * @param originOf the variable, flag or line a value came from, as far as is known
 */
export function toConfigProblems(
  schema: z.ZodType,
  config: unknown,
  issues: readonly z.core.$ZodIssue[],
  originOf: (path: readonly PropertyKey[]) => string | undefined,
): ConfigProblem[] {
  const problem = (path: readonly PropertyKey[], text: string): ConfigProblem => {
    const origin = originOf(path);
    const shown = path.map(String).join('.') || 'the whole';
    return { path: origin ? `${shown} (from ${origin})` : shown, text };
  };
  return issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) =>
          problem([...issue.path, key], unknownKeyText(key, knownKeys(schema, issue.path))),
        )
      : problem(issue.path, expectedText(expectedBy(issue), valueAt(config, issue.path))),
  );
}

/** What was expected, and what is there instead. */
export function expectedText(expected: string, actual: unknown): string {
  return toRefusalSentence('', { expected, actual: toText(actual) });
}

function unknownKeyText(key: string, known: readonly string[]): string {
  const meant = nearestWord(key, known);
  const unknown = `unknown key "${key}"`;
  if (meant !== undefined) return `${unknown}, did you mean "${meant}"?`;
  return known.length > 0 ? `${unknown}; expected one of ${known.join(', ')}` : unknown;
}

/** What an issue expected, without what it got: we say that with the value itself. */
function expectedBy(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected;
    case 'invalid_value':
      return issue.values.length === 1
        ? toText(issue.values[0])
        : `one of ${issue.values.map(toText).join(', ')}`;
    case 'too_small':
      return `${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${unitOf(issue.origin)}`;
    case 'too_big':
      return `${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${unitOf(issue.origin)}`;
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`;
    default:
      // Formats, refinements and unions: the schema's own words.
      return issue.message.replace(/^Invalid (input|string): /, '');
  }
}

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters';
  return origin === 'array' ? ' entries' : '';
}

function valueAt(config: unknown, path: readonly PropertyKey[]): unknown {
  let value = config;
  for (const key of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
  return value;
}

const actualCharactersMax = 80;

function toText(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > actualCharactersMax ? `${text.slice(0, actualCharactersMax)}…` : text;
}

function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let inner: unknown = unwrapped(schema);
  for (const key of path) {
    if (inner instanceof z.ZodObject) inner = unwrapped(inner.shape[String(key)]);
    else if (inner instanceof z.ZodArray) inner = unwrapped(inner.element);
  }
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

/** The schema inside defaults and optionals. */
function unwrapped(schema: unknown): unknown {
  let inner = schema;
  while (
    inner instanceof z.ZodDefault ||
    inner instanceof z.ZodPrefault ||
    inner instanceof z.ZodOptional ||
    inner instanceof z.ZodReadonly
  ) {
    inner = inner.unwrap();
  }
  return inner;
}

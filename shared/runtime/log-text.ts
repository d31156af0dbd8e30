import type { LogLevel } from './logger.ts';
import { type Paint, paintFor, type Tone } from './text-style.ts';
import { toTimeText } from './time-text.ts';
import { toJsonText, toVisibleJson, toVisibleText } from './visible-text.ts';

/** pino's numbers. */
const levelNames: Readonly<Record<number, LogLevel>> = {
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};
const tones: Readonly<Partial<Record<LogLevel, Tone>>> = {
  debug: 'quiet',
  warn: 'busy',
  error: 'bad',
  fatal: 'bad',
};
/** What every line has and a person need not read. */
const unshown = new Set(['level', 'time', 'component', 'msg', 'pid', 'hostname', 'name']);
const levelWidth = 5;

/** A log line for people: time, level, component, message, facts. What is no JSON stays as it is. */
export function toLogText(
  line: string,
  options: { timeZone: string | undefined; paint: Paint },
): string {
  const entry = parseEntry(line);
  if (!entry) return toVisibleText(line);
  const { paint, timeZone } = options;
  const level = typeof entry.level === 'number' ? levelNames[entry.level] : undefined;
  const shownLevel = (level ?? 'log').toUpperCase().padEnd(levelWidth);
  const tone = level && tones[level];
  const facts = Object.entries(entry).filter(([name]) => !unshown.has(name));
  const parts = [
    paint('quiet', toTimeOf(entry.time, timeZone)),
    tone ? paint(tone, shownLevel) : shownLevel,
    toVisibleText(toWord(entry.component ?? '-')),
    toVisibleText(toWord(entry.msg ?? '')),
  ];
  const factsText = facts.map(([name, value]) => toFactText(name, value)).join(' ');
  if (factsText !== '') parts.push(paint('quiet', factsText));
  return parts.join('  ').trimEnd();
}

/**
 * What a process prints of its log lines, which end with a newline: for people on a terminal, as
 * they are in the file elsewhere.
 */
export function logFormFor(
  stream: { readonly isTTY?: boolean },
  environment: Readonly<Record<string, string | undefined>>,
): (line: string) => string {
  if (stream.isTTY !== true) return (line) => line;
  const options = { timeZone: undefined, paint: paintFor(stream, environment) };
  return (line) => `${toLogText(line.trimEnd(), options)}\n`;
}

/** A log line for programs: the JSON as it is in the file, or an object around what is no JSON. */
export function toLogJson(line: string): string {
  return parseEntry(line) ? toVisibleJson(line) : toJsonText({ line });
}

function parseEntry(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}

function toTimeOf(time: unknown, timeZone: string | undefined): string {
  const timeMs = typeof time === 'string' ? Date.parse(time) : time;
  if (typeof timeMs !== 'number') return toVisibleText(toWord(time ?? '-'));
  return Number.isSafeInteger(Math.trunc(timeMs)) && Math.abs(timeMs) < 8.64e15
    ? `${toTimeText(timeMs, timeZone)}.${String(Math.abs(timeMs) % 1000).padStart(3, '0')}`
    : toVisibleText(toWord(time));
}

/** What stands in the line, which may be anything, such as an object with a `toString` of its own. */
function toWord(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

/** An error is told with its message; its stack is in the file. */
function toFactText(name: string, value: unknown): string {
  const isError = name === 'err' && typeof value === 'object' && value !== null;
  const message = isError && 'message' in value ? value.message : value;
  return toVisibleText(`${name}=${toText(message)}`);
}

function toText(value: unknown): string {
  const isPlain = typeof value === 'string' && !/[\s"]/.test(value);
  return isPlain ? value : (JSON.stringify(value) ?? '');
}

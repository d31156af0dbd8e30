import { hoursOfWeek } from '../../shared/domain/transfer-controls.ts';
import { refusedWord, type UsageError } from './command-failure.ts';

/** How a rule's value is read and written, such as a level of a schedule or a rate. */
export interface RuleValue<V> {
  readonly parse: (text: string) => V | undefined;
  readonly toText: (value: V) => string;
  /** Such as `open, medium-and-high, high-only or closed`. */
  readonly expected: string;
  /** A rule that works, such as `mon-fri 08-18 closed`. */
  readonly example: string;
}

const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const allDays = days.map((_, day) => day);
const hoursOfDay = 24;

/** The name of a day of the week, Monday is 0. */
export function toDayText(day: number): string {
  return days[day % days.length] ?? '';
}

interface Rule<V> {
  /** As it was written. */
  readonly text: string;
  /** Undefined of `else`. */
  readonly hours: readonly number[] | undefined;
  readonly value: V;
}

/**
 * Reads rules such as `mon-fri 08-18 closed, sat-sun open, else high-only`: days and hours, either of
 * which may be missing, and a value. Hours that end before they begin go on into the next day.
 *
 * @param option what was given, for the refusal
 * @returns a value for each hour of the week, Monday 00:00 first
 * @throws UsageError when the rules cannot be read, overlap, or say nothing of some hours
 */
export function parseWeekRules<V>(text: string, option: string, value: RuleValue<V>): V[] {
  const rules = toRuleTexts(text, option).map((one) => toRule(one, option, value));
  const hours = new Array<Rule<V> | undefined>(hoursOfWeek).fill(undefined);
  const elses = rules.filter((rule) => rule.hours === undefined);
  for (const rule of rules)
    for (const hour of rule.hours ?? []) place(hours, { rule, hour }, option);
  const [rest, secondRest] = elses;
  if (secondRest) throw refused(option, 'one "else", at the end', text);
  if (rest && rules.at(-1) !== rest) throw refused(option, '"else" at the end', text);
  const open = hours.filter((rule) => rule === undefined).length;
  if (rest && open === 0) throw refused(option, 'no "else" after rules that say all', text);
  if (!rest && open > 0) {
    throw refusedWord(option, {
      expected: `what holds in the other ${open} hours of the week`,
      actual: JSON.stringify(text),
      remedy: `Say it at the end: ", else ${value.expected}"`,
    });
  }
  return hours.map((rule) => ((rule ?? rest) as Rule<V>).value);
}

/** The shortest rules that say the same. */
export function toWeekRulesText<V>(hours: readonly V[], { toText }: RuleValue<V>): string {
  const texts = hours.map(toText);
  const rest = mostFrequent(texts);
  const rules: string[] = [];
  for (const { days: sameDays, row } of sameRows(texts)) {
    for (const value of new Set(row)) {
      if (value === rest) continue;
      rules.push([toDaysText(sameDays), toHoursText(row, value), value].filter(Boolean).join(' '));
    }
  }
  return rules.length === 0 ? rest : `${rules.join(', ')}, else ${rest}`;
}

/** Days may be separated by commas too: `mon, wed 08-18 closed` is one rule. */
function toRuleTexts(text: string, option: string): string[] {
  const rules: string[] = [];
  let pending = '';
  for (const part of text.split(',').map((one) => one.trim())) {
    if (part === '') throw refused(option, 'a rule between two commas', text);
    const rule = `${pending} ${part}`.trim();
    const isDaysOnly = part.split(/\s+/).every((word) => toDays(word) !== undefined);
    pending = isDaysOnly ? rule : '';
    if (!isDaysOnly) rules.push(rule);
  }
  return pending === '' ? rules : [...rules, pending];
}

function toRule<V>(text: string, option: string, value: RuleValue<V>): Rule<V> {
  const words = text.split(/\s+/);
  const isElse = words[0]?.toLowerCase() === 'else';
  if (isElse)
    return { text, hours: undefined, value: toValue(text, words.slice(1), option, value) };
  const ruleDays: number[] = [];
  for (let found = toDays(words[0]); found; found = toDays(words[0])) {
    ruleDays.push(...found);
    words.shift();
  }
  const spans: Span[] = [];
  for (let span = toSpan(words[0], option); span; span = toSpan(words[0], option)) {
    spans.push(span);
    words.shift();
  }
  const onDays = ruleDays.length > 0 ? ruleDays : allDays;
  const hours = onDays.flatMap((day) => hoursOf(day, spans));
  return { text, hours, value: toValue(text, words, option, value) };
}

function toValue<V>(text: string, words: string[], option: string, value: RuleValue<V>): V {
  const found = value.parse(words.join(' '));
  if (found !== undefined) return found;
  const { expected, example } = value;
  throw refused(option, `[DAYS] [HOURS] and ${expected}, such as "${example}"`, text);
}

/** Of `mon`, `mon-fri`, `sat-mon`, also in full. */
function toDays(word = ''): number[] | undefined {
  const [first = '', last = first, ...others] = word.toLowerCase().split('-');
  const from = dayOf(first);
  const to = dayOf(last);
  if (from < 0 || to < 0 || others.length > 0) return undefined;
  const count = ((to - from + days.length) % days.length) + 1;
  return Array.from({ length: count }, (_, index) => (from + index) % days.length);
}

function dayOf(word: string): number {
  const longNames = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];
  return days.findIndex((day, index) => word === day || word === longNames[index]);
}

interface Span {
  readonly from: number;
  /** After `from`; above 24 where it goes on into the next day. */
  readonly to: number;
}

const wholeDay: Span = { from: 0, to: hoursOfDay };

function toSpan(word: string | undefined, option: string): Span | undefined {
  const match = /^(\d{1,2})(:\d{2})?-(\d{1,2})(:\d{2})?$/.exec(word ?? '');
  if (!match) return undefined;
  const from = Number(match[1]);
  const to = Number(match[3]);
  const isFull = [match[2], match[4]].every((minutes) => (minutes ?? ':00') === ':00');
  if (isFull && from < hoursOfDay && to <= hoursOfDay && from !== to) {
    return { from, to: to > from ? to : to + hoursOfDay };
  }
  throw refused(option, 'full hours from 00 to 24, such as 08-18 or 22-06', word ?? '');
}

function hoursOf(day: number, spans: readonly Span[]): number[] {
  return (spans.length > 0 ? spans : [wholeDay]).flatMap(({ from, to }) =>
    Array.from(
      { length: to - from },
      (_, index) => (day * hoursOfDay + from + index) % hoursOfWeek,
    ),
  );
}

function place<V>(
  hours: (Rule<V> | undefined)[],
  { rule, hour }: { readonly rule: Rule<V>; readonly hour: number },
  option: string,
): void {
  const before = hours[hour];
  if (before) {
    const day = toDayText(Math.floor(hour / hoursOfDay));
    const from = twoDigits(hour % hoursOfDay);
    throw refusedWord(option, {
      expected: 'rules that do not overlap',
      actual: `${JSON.stringify(before.text)} and ${JSON.stringify(rule.text)} for ${day} ${from}`,
    });
  }
  hours[hour] = rule;
}

interface SameRow {
  readonly days: readonly number[];
  readonly row: readonly string[];
}

/** The days of the week, those that are alike together. */
function sameRows(texts: readonly string[]): SameRow[] {
  const rows = new Map<string, { days: number[]; row: readonly string[] }>();
  for (const day of allDays) {
    const row = texts.slice(day * hoursOfDay, (day + 1) * hoursOfDay);
    const key = row.join('\n');
    const same = rows.get(key) ?? { days: [], row };
    rows.set(key, same);
    same.days.push(day);
  }
  return [...rows.values()];
}

/** `mon-wed fri`; empty for all seven. */
function toDaysText(of: readonly number[]): string {
  if (of.length === days.length) return '';
  return runsOf(of)
    .map(({ first, last }) =>
      first === last ? toDayText(first) : `${toDayText(first)}-${toDayText(last)}`,
    )
    .join(' ');
}

/** `08-12 14-18`; empty for the whole day. */
function toHoursText(row: readonly string[], value: string): string {
  const hours = row.flatMap((one, hour) => (one === value ? [hour] : []));
  if (hours.length === hoursOfDay) return '';
  return runsOf(hours)
    .map(({ first, last }) => `${twoDigits(first)}-${twoDigits(last + 1)}`)
    .join(' ');
}

function runsOf(rising: readonly number[]): { first: number; last: number }[] {
  const runs: { first: number; last: number }[] = [];
  for (const one of rising) {
    const run = runs.at(-1);
    if (run && run.last === one - 1) run.last = one;
    else runs.push({ first: one, last: one });
  }
  return runs;
}

function mostFrequent(texts: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  const [most] = [...counts].sort((a, b) => b[1] - a[1]);
  return most?.[0] ?? '';
}

function twoDigits(hour: number): string {
  return String(hour).padStart(2, '0');
}

function refused(option: string, expected: string, text: string): UsageError {
  return refusedWord(option, { expected, actual: JSON.stringify(text) });
}

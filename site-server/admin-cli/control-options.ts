import type { Argv } from 'yargs';
import { isTimeZone } from '../../shared/domain/hour-of-week.ts';
import {
  bytesPerSecondMax,
  bytesPerSecondMin,
  hoursOfWeek,
  pulseBlockBytesMax,
  pulseBlockBytesMin,
  pulseDelayMsMax,
  type RateLimit,
  type WindowLevel,
  windowLevels,
} from '../../shared/domain/transfer-controls.ts';
import type { TransferControlsPatch } from '../../shared/domain/transfer-controls-patch.ts';
import { toTransferControlsPatchMessage } from '../../shared/transfer-arbiter/transfer-controls-message.ts';
import type { GlobalArguments } from './command.ts';
import { refusedWord, UsageError } from './command-failure.ts';
import { anyText, option } from './options.ts';
import { parseBytes, parseRate, toExactBytesText, toExactRateText } from './rate-text.ts';
import { parseWeekRules, type RuleValue } from './week-rules.ts';

/** Instead of a limit or a schedule: there shall be none. */
export const none = 'none';

/** A limit as it is given: rates by hour have no time zone yet. */
export type GivenLimit =
  | Exclude<RateLimit, { kind: 'hourly' }>
  | { readonly kind: 'hourly'; readonly bytesPerSecond: readonly number[] }
  | typeof none;

/** A schedule as it is given: a level for each hour of the week, without a time zone. */
export type GivenSchedule = readonly WindowLevel[] | typeof none;

const limitForms =
  'a rate such as 10MB/s or 80Mbit/s, pulses such as pulse:1MiB/500ms, none, ' +
  'or rates by hour such as "mon-fri 08-18 2MB/s, else none"';

/** How a level stands in the rules of a schedule. */
export const levelValue: RuleValue<WindowLevel> = {
  parse: (text) => windowLevels.find((level) => level === text.toLowerCase()),
  toText: (level) => level,
  expected: 'open, medium-and-high, high-only or closed',
  example: 'mon-fri 08-18 closed',
};

/** How a rate stands in the rules of a limit; 0 is none. */
export const rateValue: RuleValue<number> = {
  // No bytes at all are no limit that could be meant: a schedule closes hours.
  parse: (text) => (text.toLowerCase() === none ? 0 : parseRate(text) || undefined),
  toText: (rate) => (rate === 0 ? none : toExactRateText(rate)),
  expected: 'a rate such as 2MB/s, or none',
  example: 'mon-fri 08-18 2MB/s',
};

/** @throws UsageError with what was expected */
export function parseSchedule(text: string, name: string): GivenSchedule {
  if (text.trim().toLowerCase() === none) return none;
  const hours = parseWeekRules(text, name, levelValue);
  return hours.every((level) => level === 'open') ? none : hours;
}

/** @throws UsageError with what was expected */
export function parseLimit(text: string, name: string): GivenLimit {
  const trimmed = text.trim();
  if (trimmed.toLowerCase() === none) return none;
  const rate = parseRate(trimmed);
  if (rate !== undefined) return { kind: 'rate', bytesPerSecond: requireRate(rate, name, trimmed) };
  if (trimmed.toLowerCase().startsWith('pulse')) return parsePulse(trimmed, name);
  if (!/\s/.test(trimmed)) throw refused(name, limitForms, text);
  return parseHourly(trimmed, name);
}

function parseHourly(text: string, name: string): GivenLimit {
  const bytesPerSecond = parseWeekRules(text, name, rateValue);
  for (const rate of bytesPerSecond) if (rate !== 0) requireRate(rate, name, toExactRateText(rate));
  const [first = 0] = bytesPerSecond;
  if (bytesPerSecond.some((rate) => rate !== first)) return { kind: 'hourly', bytesPerSecond };
  return first === 0 ? none : { kind: 'rate', bytesPerSecond: first };
}

function parsePulse(text: string, name: string): GivenLimit {
  const [, block = '', delay = ''] = /^pulse:\s*([^/]+?)\s*\/\s*(.+)$/i.exec(text) ?? [];
  const blockBytes = parseBytes(block);
  const delayMs = parseDelayMs(delay);
  if (blockBytes === undefined || delayMs === undefined) {
    throw refused(name, 'pulse:BLOCK/PAUSE such as pulse:1MiB/500ms', text);
  }
  if (blockBytes < pulseBlockBytesMin || blockBytes > pulseBlockBytesMax) {
    const range = [pulseBlockBytesMin, pulseBlockBytesMax].map(toExactBytesText).join(' to ');
    throw refused(name, `a block of ${range}`, block);
  }
  if (delayMs < 1 || delayMs > pulseDelayMsMax) {
    throw refused(name, `a pause of 1ms to ${pulseDelayMsMax / 1000}s`, delay);
  }
  return { kind: 'pulse', blockBytes, delayMs };
}

function parseDelayMs(text: string): number | undefined {
  const match = /^(\d{1,6}) ?(ms|s)$/.exec(text);
  return match ? Number(match[1]) * (match[2] === 's' ? 1000 : 1) : undefined;
}

function requireRate(rate: number, name: string, text: string): number {
  if (rate >= bytesPerSecondMin && rate <= bytesPerSecondMax) return rate;
  const range = [bytesPerSecondMin, bytesPerSecondMax].map(toExactRateText).join(' to ');
  const expected = `a rate of ${range}`;
  if (rate > 0) throw refused(name, expected, text);
  const remedy = `${name.replace('limit', 'schedule')} says when nothing is to travel`;
  throw refusedWord(name, { expected, actual: JSON.stringify(text), remedy });
}

function refused(name: string, expected: string, text: string): UsageError {
  return refusedWord(name, { expected, actual: JSON.stringify(text) });
}

const timeZoneText = {
  parse: (text: string) => (isTimeZone(text) ? text : undefined),
  expected: 'the IANA name of a time zone such as Europe/Madrid',
};

/** An option whose value has a grammar of its own, with refusals that say what is wrong in it. */
function ruledOption<T>(name: string, describe: string, parse: (text: string, name: string) => T) {
  const plain = option(name, describe, anyText);
  return { ...plain, coerce: (given: unknown) => parse(plain.coerce(given), `--${name}`) } as const;
}

/** Adds what limits a way that content takes. */
export function controlOptions<A extends GlobalArguments>(parser: Argv<A>) {
  return parser
    .option(
      'limit',
      ruledOption(
        'limit',
        'How fast: 10MB/s, 80Mbit/s, pulse:1MiB/500ms, "mon-fri 08-18 2MB/s, else none", or none',
        parseLimit,
      ),
    )
    .option(
      'schedule',
      ruledOption(
        'schedule',
        'Whose content may go when: "mon-fri 08-18 closed, sat-sun open, else high-only", or none',
        parseSchedule,
      ),
    )
    .option(
      'time-zone',
      option(
        'time-zone',
        'Zone of the hours, such as Europe/Madrid; without it the one that is set, else that of this machine',
        timeZoneText,
      ),
    );
}

/** Adds what limits what a DP serves to others. */
export function serveControlOptions<A extends GlobalArguments>(parser: Argv<A>) {
  return parser
    .option(
      'serve-limit',
      ruledOption('serve-limit', 'How fast it serves content to others, like --limit', parseLimit),
    )
    .option(
      'serve-schedule',
      ruledOption(
        'serve-schedule',
        'When it serves content to others, like --schedule',
        parseSchedule,
      ),
    );
}

/** What was given of a way's controls. */
export interface GivenControls {
  readonly limit: GivenLimit | undefined;
  readonly schedule: GivenSchedule | undefined;
}

/** The zone of hours that are given without one. */
export interface ZoneOfHours {
  /** The one that is named. */
  readonly named: string | undefined;
  /** That of this machine. */
  readonly machine: string;
}

/** Of what is set already, what has a zone. */
interface SetControls {
  readonly schedule?: { readonly timeZone: string } | null | undefined;
  readonly limit: RateLimit | null;
}

/**
 * What the options change, as it travels; undefined when nothing was given. Hours are of the zone that is
 * named, else of the one that is set already, else of this machine's.
 *
 * @param set what is set until now; null: nothing
 */
export function toControlsPatch(
  { limit, schedule }: GivenControls,
  { named, machine }: ZoneOfHours,
  set: SetControls | null,
) {
  if (limit === undefined && schedule === undefined) return undefined;
  const ofLimit = set?.limit?.kind === 'hourly' ? set.limit.timeZone : undefined;
  const ofSchedule = set?.schedule?.timeZone;
  const limitZone = named ?? ofLimit ?? ofSchedule ?? machine;
  const timeZone = named ?? ofSchedule ?? ofLimit ?? machine;
  const patch: TransferControlsPatch = {
    ...(limit !== undefined && { limit: zoned(limit, limitZone) }),
    ...(schedule !== undefined && {
      schedule: schedule === none ? none : { timeZone, hours: schedule },
    }),
  };
  return toTransferControlsPatchMessage(patch);
}

/**
 * What says of which zone the hours are that were given.
 *
 * @param machineZone undefined: it is asked of the machine
 * @throws UsageError when one is named and no hours are given
 */
export function zoneOfHours(
  named: string | undefined,
  given: readonly GivenControls[],
  machineZone: string | undefined,
): ZoneOfHours {
  if (named !== undefined && !given.some(hasHours)) {
    throw new UsageError('--time-zone: expected a limit or a schedule by hours with it');
  }
  const machine = machineZone ?? new Intl.DateTimeFormat().resolvedOptions().timeZone;
  return { named, machine };
}

/** Whether hours were given without their zone: then it matters which is set already. */
export function needsZone(named: string | undefined, given: readonly GivenControls[]): boolean {
  return named === undefined && given.some(hasHours);
}

/** Whether a time zone matters for what was given. */
function hasHours({ limit, schedule }: GivenControls): boolean {
  const isHourly = limit !== undefined && limit !== none && limit.kind === 'hourly';
  return isHourly || (schedule?.length === hoursOfWeek && schedule !== none);
}

function zoned(limit: GivenLimit, timeZone: string): RateLimit | typeof none {
  return limit !== none && limit.kind === 'hourly' ? { ...limit, timeZone } : limit;
}

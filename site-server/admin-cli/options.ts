import {
  addressForm,
  parseAddress,
  parseDistributionPointId,
} from '../../shared/domain/distribution-point.ts';
import { parseObjectName } from '../../shared/domain/object-name.ts';
import { parsePackageId } from '../../shared/domain/package.ts';
import { fromIdentityUri } from '../../shared/domain/peer-identity.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';
import { parseSiteCode } from '../../shared/domain/site.ts';
import { refusedWord } from './command-failure.ts';

/** How a text becomes a value; undefined when it cannot. */
type Parse<T> = (text: string) => T | undefined;

/** An option with one value. Given twice, or with a value that cannot be, it is refused. */
export function option<T>(
  name: string,
  describe: string,
  accepts: { parse: Parse<T>; expected: string },
) {
  const coerce = (given: unknown): T => parsed(name, single(name, given), accepts);
  return { type: 'string', requiresArg: true, describe, coerce } as const;
}

/** An option that may be given several times. */
export function repeatedOption<T>(
  name: string,
  describe: string,
  accepts: { parse: Parse<T>; expected: string },
) {
  const coerce = (given: readonly string[]): T[] =>
    given.map((text) => parsed(name, text, accepts));
  return { type: 'string', array: true, requiresArg: true, describe, coerce } as const;
}

/** An option with one of a few words as its value. */
export function wordOption<W extends string>(name: string, describe: string, words: readonly W[]) {
  const parse = (text: string) => words.find((word) => word === text);
  const expected = `one of ${words.join(', ')}`;
  return { ...option(name, describe, { parse, expected }), choices: words } as const;
}

/** An option that is on or off. */
export function flag(describe: string) {
  return { type: 'boolean', default: false, describe } as const;
}

/** A flag that excludes other options: absent unless it is given, since the parser takes a default for given. */
export function exclusiveFlag(describe: string) {
  return { type: 'boolean', describe } as const;
}

/** A word of the command line that must stand there. */
export function positional<T>(
  name: string,
  describe: string,
  accepts: { parse: Parse<T>; expected: string },
) {
  return { ...optionalPositional(name, describe, accepts), demandOption: true } as const;
}

/** A word of the command line that may stand there. */
export function optionalPositional<T>(
  name: string,
  describe: string,
  accepts: { parse: Parse<T>; expected: string },
) {
  const coerce = (given: unknown): T => parsed(`<${name}>`, String(given), accepts);
  return { type: 'string', describe, coerce } as const;
}

/** Words of the command line of which there may be any number. */
export function parsedWords<T>(
  name: string,
  given: readonly string[],
  accepts: { parse: Parse<T>; expected: string },
): T[] {
  return given.map((text) => parsed(`<${name}>`, String(text), accepts));
}

/** Words of the command line of which at least one must stand there, each once. */
export function repeatedPositional<T>(
  name: string,
  describe: string,
  accepts: { parse: Parse<T>; expected: string },
) {
  const coerce = (given: readonly unknown[]): T[] => {
    const values = given.map((one) => parsed(`<${name}>`, String(one), accepts));
    const twice = values.find((value, index) => values.indexOf(value) < index);
    if (twice === undefined) return values;
    throw refusedWord(`<${name}>`, { expected: 'each of them once', actual: `${twice} twice` });
  };
  return { type: 'string', array: true, describe, coerce, demandOption: true } as const;
}

/** Any text, the empty one too. */
export const anyText = { parse: (text: string) => text, expected: 'a text' };
/** Text with something in it. */
export const someText = {
  parse: (text: string) => (text.trim() === '' ? undefined : text),
  expected: 'a text that is not empty',
};
/** A package ID. */
export const packageIdText = {
  parse: parsePackageId,
  expected: 'a package ID such as PS100001',
};
/** The name of a distribution point. */
export const distributionPointIdText = {
  parse: parseDistributionPointId,
  expected: 'a distribution point: 1 to 63 letters, digits, dots and hyphens',
};
/** The name of a group. */
export const groupNameText = {
  parse: parseObjectName,
  expected: 'the name of a group: 1 to 63 letters, digits, dots and hyphens',
};
/** The name of an administrator or a client. */
export const personNameText = {
  parse: (text: string) =>
    fromIdentityUri(`waybill://client/${text}`) === undefined ? undefined : text,
  expected: 'a name: 1 to 63 letters, digits, dots, hyphens, underscores and @',
};
/** The name of a send request: a serial and the site's code. */
export const sendRequestText = {
  parse: (text: string) => (/^[0-9A-F]{8,16}[A-Z0-9]{3}$/.test(text) ? text : undefined),
  expected: 'a send request such as 0000002ACS1',
};
/** A site code. */
export const siteCodeText = { parse: parseSiteCode, expected: 'a site code such as PS1' };
/** Where an agent listens. */
export const addressText = { parse: parseAddress, expected: addressForm };
/** An absolute path on the site server, which may run another system than this machine. */
export const sitePathText = {
  parse: (text: string) => (/^(\/|[A-Za-z]:[\\/]|\\\\)/.test(text) ? text : undefined),
  expected: 'an absolute path on the site server',
};
/** How many rows or lines to answer with, at most. */
export const countText = wholeNumberText(requestLimits.listCountMax);
/** Packages a pull DP fetches at once; admin.proto says how many it may be told. */
export const packagesMaxText = wholeNumberText(50);
/** A DP's place in the queue; 0 for "auto": it tunes itself. */
export const pinnedPriorityText = {
  parse: (text: string) => (text === 'auto' ? 0 : wholeNumberText(400).parse(text)),
  expected: 'a whole number from 1 to 400, or auto',
};
/** A version of a package. */
export const versionText = wholeNumberText(2 ** 31);
/** The number of a status message; Configuration Manager's have at most five digits. */
export const messageIdText = wholeNumberText(99_999);

/** For what only the site itself can say or do. */
export const siteToAskOption = option(
  'site',
  'Ask this site of the hierarchy instead',
  siteCodeText,
);
/** For rows of DPs. */
export const groupOption = option('group', 'Only DPs of this group', groupNameText);
/** For rows of several sites. */
export const siteOption = option('site', 'Only of this site', siteCodeText);

const unitMs: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A moment: how long ago, or a date. It is told the time now, gives Unix milliseconds. */
export const momentText = {
  parse: (text: string): ((nowMs: number) => number) | undefined => {
    const agoMs = parseDuration(text);
    if (agoMs !== undefined) return (nowMs) => Math.max(0, nowMs - agoMs);
    const dateMs = parseDate(text);
    return dateMs === undefined ? undefined : () => dateMs;
  },
  expected: 'how long ago, such as 30m, 2h or 7d, or a date such as 2026-03-14T09:00',
};

/** A length of time, in milliseconds. */
export const durationText = {
  parse: (text: string): number | undefined => parseDuration(text) || undefined,
  expected: 'how long, such as 30s, 10m or 2h',
};

function parseDuration(text: string): number | undefined {
  const match = /^([0-9]{1,6})([smhd])$/.exec(text);
  const ms = unitMs[match?.[2] ?? ''];
  return match && ms !== undefined ? Number(match[1]) * ms : undefined;
}

function parseDate(text: string): number | undefined {
  if (!/^\d{4}-\d{2}-\d{2}([T ]|$)/.test(text)) return undefined;
  // A date alone would be read as midnight in Greenwich.
  const timeMs = Date.parse(text.length === 10 ? `${text}T00:00` : text);
  return Number.isNaN(timeMs) || timeMs < 0 ? undefined : timeMs;
}

/** A whole number from 1. */
export function wholeNumberText(max: number) {
  const parse = (text: string) => {
    const isCount = /^[1-9][0-9]{0,15}$/.test(text) && Number(text) <= max;
    return isCount ? Number(text) : undefined;
  };
  return { parse, expected: `a whole number from 1 to ${max}` };
}

function single(name: string, given: unknown): string {
  if (typeof given === 'string') return given;
  const actual = Array.isArray(given) ? `${given.length}` : 'none';
  throw refusedWord(`--${name}`, { expected: 'one value', actual });
}

function parsed<T>(
  name: string,
  text: string,
  { parse, expected }: { parse: Parse<T>; expected: string },
): T {
  const value = parse(text);
  if (value !== undefined) return value;
  const shown = name.startsWith('<') ? name : `--${name}`;
  throw refusedWord(shown, { expected, actual: JSON.stringify(text) });
}

/**
 * What an administrator has set for a component of a site, above its configuration file: the row of the
 * replicated table "component settings", one for each setting, so that two who change different ones keep
 * both. No row: as the site's configuration says.
 */
export interface ComponentSetting {
  readonly siteCode: string;
  /** As in docs/settings.md. */
  readonly settingName: string;
  /** Within the range that stands there; in milliseconds where it is a time. */
  readonly value: number;
}

/** How a setting is written: a number, or a length of time. */
export type SettingUnit = 'count' | 'ms';

/** What a setting is. */
export interface SettingDefinition {
  readonly unit: SettingUnit;
  readonly min: number;
  readonly max: number;
  /** What it does, in a sentence. */
  readonly description: string;
}

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

const count = (min: number, max: number, description: string) =>
  ({ unit: 'count', min, max, description }) as const;
const time = (min: number, max: number, description: string) =>
  ({ unit: 'ms', min, max, description }) as const;

/** The register of all settings, by name: docs/settings.md is made of it. */
export const settingDefinitions = {
  'packages-at-once': count(1, 50, 'Packages processed and sent to DPs at once.'),
  'dps-per-package': count(1, 999, 'DPs one package is sent to at once.'),
  'notifications-at-once': count(1, 200, 'Pull DPs notified at once.'),
  'jobs-per-pull-dp': count(1, 1_000, 'Jobs one pull DP has at once; further ones wait.'),
  'job-retry-count': count(1, 1_000, 'Tries in a row that move nothing before a job has failed.'),
  'job-retry-first-delay': time(
    100,
    dayMs,
    'Wait after the first try that failed; doubles from try to try.',
  ),
  'job-retry-longest-delay': time(1_000, 7 * dayMs, 'Longest wait between two tries of a job.'),
  'no-source-delay': time(
    1_000,
    7 * dayMs,
    'How long a job of a pull DP waits for a source, when none gets the content before.',
  ),
  'no-source-retry-count': count(
    1,
    1_000,
    'Looks for a source in a row before a job of a pull DP has failed.',
  ),
  'pull-poll-delay': time(
    1_000,
    7 * dayMs,
    'How long nothing is heard of a job before its pull DP is asked, and asked again.',
  ),
  'pull-poll-count': count(1, 1_000, 'Questions to a pull DP before a job has failed.'),
  'sends-at-once': count(1, 50, 'Package files sent to other sites at once.'),
  'sends-per-site': count(1, 50, 'Package files sent to one site at once.'),
  'send-retry-first-delay': time(
    100,
    dayMs,
    'Wait after the first try to send that failed; from the second on it doubles.',
  ),
  'send-retry-longest-delay': time(1_000, 7 * dayMs, 'Longest wait between two tries to send.'),
  'despools-at-once': count(1, 50, 'Packages of other sites unpacked at once.'),
  'despool-retry-first-delay': time(100, dayMs, 'First wait for room to unpack; doubles.'),
  'despool-retry-longest-delay': time(1_000, 7 * dayMs, 'Longest wait for room to unpack.'),
  'metadata-delay': time(
    1_000,
    dayMs,
    'How long content waits for the metadata of its package before it looks by itself.',
  ),
  'serve-kilobytes-per-second': count(
    1,
    1_000_000_000,
    'How fast the site serves content to who fetches it there: pull DPs that fall back to it, clients. The most is no limit.',
  ),
  'alarm-no-progress': time(
    1_000,
    7 * dayMs,
    'How long a job or a send request makes no progress before a status message says so.',
  ),
  'alarm-dp-away': time(
    1_000,
    7 * dayMs,
    'How long a DP for which jobs wait is away before a status message says so.',
  ),
  'alarm-site-away': time(
    1_000,
    7 * dayMs,
    'How long a neighbour site is not connected before a status message says so.',
  ),
} as const satisfies Record<string, SettingDefinition>;

export type SettingName = keyof typeof settingDefinitions;

export const settingNames = Object.keys(settingDefinitions) as SettingName[];

/** Of each pair the first is not above the second. */
export const settingOrder: readonly (readonly [SettingName, SettingName])[] = [
  ['job-retry-first-delay', 'job-retry-longest-delay'],
  ['send-retry-first-delay', 'send-retry-longest-delay'],
  ['despool-retry-first-delay', 'despool-retry-longest-delay'],
];

export function settingDefinitionOf(name: SettingName): SettingDefinition {
  return settingDefinitions[name];
}

/** The name itself when there is such a setting. */
export function parseSettingName(text: string): SettingName | undefined {
  return Object.hasOwn(settingDefinitions, text) ? (text as SettingName) : undefined;
}

/** Whether a setting may have this value; one that comes from a newer program may not be known here. */
export function isSettingValue(name: SettingName, value: number): boolean {
  const { min, max } = settingDefinitions[name];
  return Number.isSafeInteger(value) && value >= min && value <= max;
}

const timeUnits: readonly (readonly [string, number])[] = [
  ['d', dayMs],
  ['h', 60 * minuteMs],
  ['m', minuteMs],
  ['s', 1_000],
  ['ms', 1],
];

/** A value as it is written: `5`, or `30s`; undefined when it is not so, or out of range. */
export function parseSettingValue(name: SettingName, text: string): number | undefined {
  const match = /^([0-9]{1,12})(ms|[smhd])?$/.exec(text);
  if (!match) return undefined;
  const isTime = settingDefinitions[name].unit === 'ms';
  const unit = timeUnits.find(([letters]) => letters === match[2]);
  if (isTime !== (unit !== undefined)) return undefined;
  const value = Number(match[1]) * (unit?.[1] ?? 1);
  return isSettingValue(name, value) ? value : undefined;
}

/** A value as `parseSettingValue` reads it, in the largest unit that is exact. */
export function toSettingText(name: SettingName, value: number): string {
  if (settingDefinitions[name].unit === 'count') return `${value}`;
  const [letters, ms] = timeUnits.find(([, unitMs]) => value >= unitMs && value % unitMs === 0) ?? [
    'ms',
    1,
  ];
  return `${value / ms}${letters}`;
}

/** What a value must be, in words. */
export function expectedSetting(name: SettingName): string {
  const { unit, min, max } = settingDefinitions[name];
  const range = `${toSettingText(name, min)} to ${toSettingText(name, max)}`;
  return unit === 'count' ? `a whole number from ${range}` : `a time from ${range}, such as 30s`;
}

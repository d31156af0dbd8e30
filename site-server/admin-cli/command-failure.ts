import { WaybillError } from '../../shared/domain/errors.ts';
import { type RefusedValue, toRefusalSentence } from '../../shared/domain/refusal-sentence.ts';
import { toVisibleText } from '../../shared/runtime/visible-text.ts';
import { toRefusalText } from './refusal-text.ts';

/** Exit codes of `waybill`, the whole list. */
export const exitCodes = { done: 0, failed: 1, usage: 2 } as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** The administrator asked in a way that cannot be; nothing was sent. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/**
 * What an option or a word was given that it cannot be.
 *
 * @param name as the administrator knows it: `--scope`, `<jobs>`; empty: what was said as a whole
 */
export function refusedWord(name: string, refused: RefusedValue): UsageError {
  return new UsageError(toRefusalSentence(name, refused));
}

/** Codes of failures that only this program has; docs/cli.md explains each. */
export const commandFailureCodes = [
  'PACKAGE_FAILED',
  'PACKAGE_DELETED',
  'TARGETS_FAILED',
  'NOT_CONFIRMED',
  'DP_UNREACHABLE',
  'SITE_ADDRESS_UNKNOWN',
  'ROUTE_UNKNOWN',
  'INTERRUPTED',
  'OUT_REFUSED',
  'NO_ROOM',
  'TIMED_OUT',
  'AUDIT_TRAIL_BROKEN',
] as const;

/** Codes of site servers (docs/errors.md) that are told with more than these say. */
type ToldAnew = 'SITE_UNKNOWN' | 'SOURCE_MISSING' | 'SOURCE_UNREADABLE';
type CommandFailureCode = (typeof commandFailureCodes)[number] | ToldAnew;

/** What was asked was accepted, and did not come to a good end. */
export class CommandFailure extends Error {
  readonly code: CommandFailureCode;
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(code: CommandFailureCode, message: string, facts: Readonly<Record<string, unknown>>) {
    super(message);
    this.name = 'CommandFailure';
    this.code = code;
    this.facts = facts;
  }
}

/** A failure as the administrator gets it. */
export interface FailureReport {
  readonly exitCode: ExitCode;
  readonly code: string;
  readonly message: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** What to say of an expected failure; undefined when it is a bug of ours. */
export function toFailureReport(error: unknown): FailureReport | undefined {
  if (error instanceof UsageError) {
    return { exitCode: exitCodes.usage, code: 'USAGE', message: error.message, facts: {} };
  }
  if (error instanceof CommandFailure) {
    const { code, message, facts } = error;
    return { exitCode: exitCodes.failed, code, message, facts };
  }
  if (error instanceof WaybillError) return toReportOfWaybillError(error);
  return undefined;
}

function toReportOfWaybillError(error: WaybillError): FailureReport {
  const { code, ...facts } = error.details;
  const exitCode = code === 'CONFIG_INVALID' ? exitCodes.usage : exitCodes.failed;
  return { exitCode, code, message: error.message, facts };
}

/** What the administrator wrote for a field of the wire. */
const optionsOfFields: Readonly<Record<string, string>> = {
  address: '--address',
  addresses: '--address',
  all_dps: '--all',
  base_version: '--since',
  before_job_serial: '--before',
  before_request_id: '--before',
  bytes_per_second: '--rate',
  job_serials: '<jobs>',
  older_than_ms: '--older-than',
  pinned_priority: '--priority',
  'pull.packages_max': '--packages-max',
  'pull.sources.dp_id': '--source',
  'pull.sources.rank': '--source',
  request_ids: '<requests>',
  since_ms: '--since',
  'validation.bytes_per_second': '--validate-rate',
  'validation.every_hours': '--validate-every',
  description: '--description',
  dp_id: '<dp-id>',
  dp_ids: '--dp',
  group_name: '--group',
  group_names: '--group',
  site_codes: '--site',
  changes: '<name=value>',
  link_name: '<link>',
  to_site_codes: '--to',
  own_address: '--address',
  from_site_code: '<from>',
  to_site_code: '<to>',
  kind: '--kind',
  package_id: '<package-id>',
  'properties.icon': '--icon',
  'properties.icon_name': '--icon',
  'properties.programs': '--program',
  'pull.sources': '--source',
  source_directories: '--source',
  holder: '<holder>',
  reason: '--reason',
  token_id: '<token-id>',
  valid_for_ms: '--valid-for',
  name: '<name>',
  jobs: '<jobs>',
  link: '--dp',
  'properties.name': '--name',
  'properties.version': '--version',
  'properties.manufacturer': '--manufacturer',
  'properties.language': '--language',
  'properties.description': '--description',
};

/** Fields that come from an option in some commands, and from elsewhere in others. */
const optionsIfTyped: Readonly<Record<string, { option: string; otherwise: string }>> = {
  destination_site_code: { option: '--to', otherwise: '<site-code>' },
  path: { option: '--to', otherwise: '<file>' },
  site_code: { option: '--site', otherwise: '<site-code>' },
  parent_site_code: { option: '--parent', otherwise: 'parent' },
};

/**
 * The report as one sentence for a person. Only our own configuration's has several lines.
 *
 * @param args what the administrator typed
 */
export function toFailureText(report: FailureReport, args: readonly string[]): string {
  const message = toRefusalText(report) ?? inWordsOfOptions(report, args);
  const lines = report.code === 'CONFIG_INVALID' ? message.split('\n') : [message];
  return `waybill: ${lines.map(toVisibleText).join('\n')}`;
}

/** Whom a token is for, as the commands that make one name him. */
const wordsOfHolders: Readonly<Record<string, string>> = {
  admin: '<name>',
  client: '<name>',
  dp: '<dp-id>',
  site: '<site-code>',
};

/** A request that is refused is told by the option it came from; `--json` names the field. */
function inWordsOfOptions(
  { code, message, facts }: FailureReport,
  args: readonly string[],
): string {
  const field = code === 'REQUEST_INVALID' ? String(facts.field) : '';
  const name = wordOfField(field, args);
  return name && message.startsWith(`${field}:`) ? name + message.slice(field.length) : message;
}

/** One of several is told like all of them: which one it is, what came says. */
function wordOfField(field: string, args: readonly string[]): string | undefined {
  const whole = field.replace(/\[\d+\]$/, '');
  if (whole === 'identity_uri') {
    return wordsOfHolders[args.find((arg) => Object.hasOwn(wordsOfHolders, arg)) ?? ''];
  }
  if (whole === 'dp_ids' && isOfMembers(args)) return '<dp-id>';
  return optionsOfFields[whole] ?? optionIfTyped(whole, args);
}

/** `group join` and `group leave` name distribution points without an option. */
function isOfMembers(args: readonly string[]): boolean {
  return args.includes('group') && (args.includes('join') || args.includes('leave'));
}

function optionIfTyped(field: string, args: readonly string[]): string | undefined {
  const one = optionsIfTyped[field];
  const isTyped = args.some((arg) => arg.split('=')[0] === one?.option);
  return isTyped ? one?.option : one?.otherwise;
}

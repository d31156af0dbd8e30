/**
 * The fields of a request that name what it is about, as the audit trail may show them; nested
 * messages that hold such fields. Anything else (content, icons, command lines) stays out.
 */
const namedFields = [
  'packageId',
  'dpId',
  'dpIds',
  'allDps',
  'failedOnly',
  'contentId',
  'jobSerial',
  'jobSerials',
  'steering',
  'requestIds',
  'destinationSiteCode',
  'beforeRequestId',
  'groupName',
  'olderThanMs',
  'lookOnly',
  'first',
  'last',
  'beforeJobSerial',
  'all',
  'sourceVersion',
  'redistribute',
  'name',
  'version',
  'sourceDirectories',
  'path',
  'baseVersion',
  'overwrite',
  'address',
  'kind',
  'siteCode',
  'siteCodes',
  'groupName',
  'groupNames',
  'identityUri',
  'validForMs',
  'tokenId',
  'drop',
  'parentSiteCode',
  'requestId',
  'finalSiteCode',
  'holder',
  'fromSiteCode',
  'toSiteCode',
  'addresses',
  'linkName',
  'names',
  'timeZone',
  'alwaysOpen',
  'bytesPerSecond',
  'noLimit',
];
const nestedFields = [
  ...['properties', 'action', 'package', 'open', 'hello', 'file', 'jobs'],
  ...['controls', 'serveControls', 'schedule', 'limit', 'dpIds', 'toSiteCodes'],
];

/** Longest value and longest summary, in UTF-16 units. */
const valueLengthMax = 200;
const summaryLengthMax = 800;

/** A description of what was asked, bounded and printable. */
export function printable(text: string): string {
  const cut = text.length <= summaryLengthMax ? text : `${text.slice(0, summaryLengthMax)}…`;
  return cut.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd');
}

/**
 * What a request asks, for the audit trail: `packageId=PS100001 dpIds=["PS1DP1"]`. Bounded,
 * printable, and without anything secret.
 */
export function summaryOf(request: unknown): string {
  // A message and the one inside it may name the same package.
  const summary = [...new Set(partsOf(request, 0))].join(' ');
  return summary.length <= summaryLengthMax ? summary : `${summary.slice(0, summaryLengthMax)}…`;
}

function partsOf(message: unknown, depth: number): string[] {
  if (typeof message !== 'object' || message === null || depth > 2) return [];
  const fields = message as Record<string, unknown>;
  const own = namedFields.flatMap((name) => toPart(name, fields[name]));
  const nested = nestedFields.flatMap((name) => partsOf(fields[name], depth + 1));
  return [...own, ...nested];
}

/** Fields that have their default are not worth a word. */
function toPart(name: string, value: unknown): string[] {
  if (!value || value === '0' || (Array.isArray(value) && value.length === 0)) return [];
  if (typeof value === 'string') return [`${name}=${shown(value)}`];
  if (typeof value === 'number' || typeof value === 'boolean') return [`${name}=${value}`];
  return Array.isArray(value) ? [`${name}=${shown(value.slice(0, 20).join(', '))}`] : [];
}

function shown(text: string): string {
  const cut = text.length <= valueLengthMax ? text : `${text.slice(0, valueLengthMax)}…`;
  if (/^[\w@:/.-]+$/.test(cut)) return cut;
  return JSON.stringify(cut.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd'));
}

/**
 * The fields of a request that name what it is about and what it sets, as the audit trail may show them;
 * nested messages that hold such fields. Anything else (content, icons, command lines) stays out.
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
  ...['manufacturer', 'language', 'description', 'priority', 'iconName', 'reason'],
  ...['evenIfUnknown', 'withPackages', 'ownAddress', 'noRepair', 'ownCopy', 'dryRun'],
  ...['unassignedPackages', 'pinnedPriority', 'everyHours', 'allowFallback', 'packagesMax'],
  ...['rank', 'value', 'blockBytes', 'delayMs', 'hours'],
];

/** Messages whose fields speak for themselves; those of the others go by the name of both. */
const carryingFields = [
  ...['properties', 'action', 'package', 'open', 'hello', 'file', 'jobs', 'targets'],
];
const nestedFields = [
  ...['controls', 'serveControls', 'schedule', 'limit', 'pulse', 'hourly', 'dpIds', 'toSiteCodes'],
  ...['pull', 'sources', 'validation', 'changes', 'programs', 'icon'],
];

/** Fields that say nothing when they are unspecified. */
const enumFields: ReadonlySet<string> = new Set(['kind', 'steering', 'priority']);

/** Lists of a value for each hour of the week; or one value. */
const hourlyFields: ReadonlySet<string> = new Set(['hours', 'bytesPerSecond']);

/** Longest value and longest summary, in UTF-16 units; most values of a list, and deepest message. */
const valueLengthMax = 200;
const hoursLengthMax = 400;
const summaryLengthMax = 800;
const listedMax = 20;
const depthMax = 3;

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
  const summary = [...new Set(partsOf(request, '', 0))].join(' ');
  return summary.length <= summaryLengthMax ? summary : `${summary.slice(0, summaryLengthMax)}…`;
}

/**
 * Whether a request only asks what a changing method would do (`look_only`, `dry_run`): each method that has
 * such a field heeds it.
 */
export function isLook(request: unknown): boolean {
  if (typeof request !== 'object' || request === null) return false;
  const { lookOnly, dryRun, jobs } = request as Record<string, unknown>;
  return lookOnly === true || dryRun === true || isLook(jobs);
}

/** @param under what the fields' names begin with, such as `controls.` */
function partsOf(message: unknown, under: string, depth: number): string[] {
  if (typeof message !== 'object' || message === null || depth > depthMax) return [];
  const fields = message as Record<string, unknown>;
  const own = namedFields.flatMap((name) => toPart(name, fields, under));
  const carried = carryingFields.flatMap((name) => partsOf(fields[name], under, depth + 1));
  const nested = nestedFields.flatMap((name) => toNested(name, fields[name], { under, depth }));
  return [...own, ...carried, ...nested];
}

/** An empty message that is there says something, too: that nothing is left of what was. */
function toNested(
  name: string,
  value: unknown,
  { under, depth }: { under: string; depth: number },
): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const path = `${under}${name}`;
  if (value instanceof Uint8Array) return [];
  if (!Array.isArray(value)) {
    const parts = partsOf(value, `${path}.`, depth + 1);
    return parts.length > 0 ? parts : [`${path}={}`];
  }
  if (typeof value[0] !== 'object') return [];
  const each = value.slice(0, listedMax).map((one) => partsOf(one, '', depth + 1).join(' '));
  return [`${path}=${shown(each.join('; ') + leftOut(value))}`];
}

/** Fields that have their default are not worth a word, unless they were set to it. */
function toPart(name: string, fields: Record<string, unknown>, under: string): string[] {
  const value = fields[name];
  const path = `${under}${name}`;
  const isSet = fields[`_${name}`] === name;
  if (!isSet && (!value || value === '0')) return [];
  if (typeof value === 'string') {
    if (enumFields.has(name) && value.endsWith('_UNSPECIFIED')) return [];
    return [`${path}=${shown(value)}`];
  }
  if (typeof value === 'number' || typeof value === 'boolean') return [`${path}=${value}`];
  return Array.isArray(value) && value.length > 0 ? toList(name, value, under) : [];
}

function toList(name: string, values: readonly unknown[], under: string): string[] {
  if (typeof values[0] === 'object') return [];
  const path = `${under}${name}`;
  if (hourlyFields.has(name)) return [`${path}=${shown(hoursText(values), hoursLengthMax)}`];
  return [`${path}=${shown(values.slice(0, listedMax).join(', ') + leftOut(values))}`];
}

function leftOut({ length }: readonly unknown[]): string {
  return length <= listedMax ? '' : `, … ${length} in all`;
}

/** What holds for how many hours of the week, from Monday on: `9 open, 8 closed, 151 open`. */
function hoursText(hours: readonly unknown[]): string {
  const runs: { readonly text: string; count: number }[] = [];
  for (const hour of hours) {
    const text = String(hour).replace('WINDOW_LEVEL_', '').toLowerCase();
    const last = runs.at(-1);
    if (last?.text === text) last.count += 1;
    else runs.push({ text, count: 1 });
  }
  return runs.map(({ text, count }) => `${count} ${text}`).join(', ');
}

function shown(text: string, lengthMax = valueLengthMax): string {
  const cut = text.length <= lengthMax ? text : `${text.slice(0, lengthMax)}…`;
  if (/^[\w@:/.-]+$/.test(cut)) return cut;
  return JSON.stringify(cut.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd'));
}

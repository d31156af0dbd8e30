import type { Tone } from '../../shared/runtime/text-style.ts';
import { type Command, command } from './command.ts';
import { CommandFailure } from './command-failure.ts';
import { toControlFacts, toControlPictures, toLimitCell, toScheduleCell } from './control-view.ts';
import {
  type DistributionPointRecord,
  dpIdPositional,
  requireDistributionPoint,
  toDistributionPointRecord,
  toSourceText,
} from './distribution-point-record.ts';
import { siteOption, siteToAskOption } from './options.ts';
import type { Session } from './session.ts';
import { requireSite } from './site-record.ts';
import { siteTextOf } from './status-columns.ts';
import type { Column } from './table.ts';
import { toAgeText, toByteText, toCountText, toRateText } from './units.ts';
import { toValidationText } from './validation-options.ts';

const listDistributionPoints = command({
  path: 'dp list',
  summary: 'All distribution points and how they are',
  example: 'waybill dp list',
  options: (parser) => parser.option('site', siteOption),
  run: async ({ site }, session) => {
    const { admin, output, clock } = session;
    const filter = site === undefined ? {} : { siteCode: site };
    const rows = await admin.list('listDistributionPoints', filter);
    if (rows.length === 0 && site !== undefined) await requireSite(admin, site);
    const records = rows.map(toDistributionPointRecord);
    const where = site === undefined ? 'There are no distribution points' : `Site ${site} has none`;
    output.list(records, toColumns(records, clock.nowMs()), `${where}. "waybill dp add" adds one.`);
  },
});

const showDistributionPoint = command({
  path: 'dp show',
  positionals: '<dp-id>',
  summary: 'Everything about one distribution point: where it fetches from, when and how fast',
  example: 'waybill dp show PS1DP1',
  options: (parser) => parser.positional('dp-id', dpIdPositional),
  run: async ({ dpId }, session) => {
    const record = await requireDistributionPoint(session.admin, dpId);
    const links = await session.admin.list('listLinks', {});
    const isIn = (link: { readonly dpIds: readonly string[] }) => link.dpIds.includes(dpId);
    const linkNames = links.filter(isIn).map(({ linkName }) => linkName);
    tellDistributionPoint(session, { ...record, linkNames });
  },
});

const checkDistributionPoint = command({
  path: 'dp check',
  positionals: '<dp-id>',
  summary: 'Ask a distribution point now; fails when it cannot be reached',
  example: 'waybill dp check PS1DP1',
  options: (parser) => parser.positional('dp-id', dpIdPositional).option('site', siteToAskOption),
  run: async ({ dpId, site }, connected) => {
    const session = await connected.atSite(site);
    const wire = await session.admin.ask('checkDistributionPoint', { dpId });
    tellCheck(session, toDistributionPointRecord(wire));
  },
});

/** `waybill dp list`, `waybill dp show` and `waybill dp check`. */
export const distributionPointListCommands: readonly Command[] = [
  listDistributionPoints,
  showDistributionPoint,
  checkDistributionPoint,
];

function toColumns(
  rows: readonly DistributionPointRecord[],
  nowMs: number,
): readonly Column<DistributionPointRecord>[] {
  return [
    { title: 'DP', text: (row) => row.dpId },
    { title: 'site', text: siteTextOf(rows) },
    { title: 'address', text: (row) => row.address, isWhole: true, spare: 2 },
    { title: 'kind', text: (row) => row.kind },
    { title: 'sources', text: toSourcesText, spare: 5 },
    { title: 'state', text: (row) => row.reachability, tone: toneOfDistributionPoint },
    { title: 'checked', text: (row) => toAgeText(row.checkedAtMs, nowMs), spare: 1 },
    {
      ...{
        title: 'packages',
        text: (row: DistributionPointRecord) => toCountText(row.packageCount),
      },
      ...({ align: 'right', spare: 4 } as const),
    },
    { title: 'limit', text: (row) => toLimitCell(row.controls), align: 'right', spare: 6 },
    { title: 'schedule', text: (row) => toScheduleCell(row.controls), spare: 6 },
    { title: 'free', text: toFreeText, align: 'right', spare: 3 },
    { title: 'rate', text: toMeasuredText, align: 'right', spare: 7 },
    { title: 'agent', text: (row) => row.agentVersion, spare: 9 },
    { title: 'description', text: (row) => row.description, spare: 8 },
    { title: 'reason', text: (row) => row.reason },
  ];
}

/** So many sources stand in a row. */
const listedSourceCountMax = 3;

/** As the options are written: `PS1DP1:1, PS1DP2:2, fallback`. Of a standard DP nothing. */
function toSourcesText({ kind, pull }: DistributionPointRecord): string {
  if (kind !== 'pull' || !pull) return '';
  const shown = pull.sources.slice(0, listedSourceCountMax).map(toSourceText);
  const hiddenCount = pull.sources.length - shown.length;
  if (hiddenCount > 0) shown.push(`${hiddenCount} more`);
  return [...shown, ...(pull.allowFallback ? ['fallback'] : [])].join(', ');
}

function toneOfDistributionPoint({ reachability }: DistributionPointRecord): Tone {
  if (reachability === 'reachable') return 'good';
  return reachability === 'unreachable' ? 'bad' : 'quiet';
}

/** A DP that never answered has not said how much room it has. */
function toFreeText({ freeBytes, agentVersion }: DistributionPointRecord): string {
  return agentVersion === '' ? '' : toByteText(freeBytes);
}

function toMeasuredText({ measuredBytesPerSecond: rate }: DistributionPointRecord): string {
  return rate > 0 ? toRateText(rate) : '';
}

/** `50, pinned`, `173, tuned from its rate`, `200, not tuned yet`. */
function toPriorityText({
  priority,
  isPriorityPinned,
  ...record
}: DistributionPointRecord): string {
  if (isPriorityPinned) return `${priority}, pinned`;
  const isTuned = record.measuredBytesPerSecond > 0;
  return `${priority}, ${isTuned ? 'tuned from its rate' : 'not tuned yet'}`;
}

function tellCheck({ output }: Session, record: DistributionPointRecord): void {
  const isReachable = record.reachability === 'reachable';
  output.facts(record, [
    ['DP', record.dpId],
    ['address', record.address],
    ['state', record.reachability],
    // Of an unreachable one the failure says it.
    ['reason', isReachable ? record.reason : ''],
    ['agent', record.agentVersion],
    ['free', toFreeText(record)],
    ['rate', toMeasuredText(record)],
    ['packages', toCountText(record.packageCount)],
  ]);
  if (isReachable) return;
  const { dpId, address, reason, reachability } = record;
  const state = `Distribution point ${dpId} at ${address} is ${reachability}`;
  const message = reason === '' ? state : `${state}: ${reason}`;
  throw new CommandFailure('DP_UNREACHABLE', message, { dpId, address, reason });
}

function tellDistributionPoint(
  { output, clock }: Session,
  record: DistributionPointRecord & { readonly linkNames: readonly string[] },
): void {
  output.facts(record, [
    ['DP', record.dpId],
    ['site', record.siteCode],
    ['address', record.address],
    ['kind', record.kind],
    ['description', record.description],
    ['state', record.reachability],
    ['reason', record.reason],
    ['checked', toAgeText(record.checkedAtMs, clock.nowMs())],
    ['agent', record.agentVersion],
    ['free', toFreeText(record)],
    ['rate', toMeasuredText(record)],
    ['priority', toPriorityText(record)],
    ['packages', toCountText(record.packageCount)],
    ['groups', record.groupNames.join(', ')],
    ['link', record.linkNames.join(', ')],
    ...toPullFacts(record),
    ['validated', toValidationText(record.validation)],
    ...toControlFacts(record.controls),
    ...toControlFacts(record.serveControls, 'serve '),
  ]);
  const pictures = [
    ...toControlPictures(record.controls),
    ...toControlPictures(record.serveControls, 'serve '),
  ];
  for (const line of pictures) output.sentence(line);
}

/** Also of a standard DP that was told: it is kept for when it becomes a pull DP. */
function toPullFacts({ kind, pull }: DistributionPointRecord): (readonly [string, string])[] {
  if (!pull) return kind === 'pull' ? [['sources', 'none']] : [];
  const unused = kind === 'pull' ? '' : ' (kept, not used by a standard DP)';
  const sources = pull.sources.map(
    ({ dpId, rank }) => ['source', `${dpId}, rank ${rank}${unused}`] as const,
  );
  const fallback = pull.allowFallback ? 'any DP of the site, then the site server' : 'no';
  return [
    ...(sources.length > 0 ? sources : [['sources', `none${unused}`] as const]),
    ['fallback', `${fallback}${unused}`],
    ['packages at once', `${pull.packagesMax}${unused}`],
  ];
}

import type { Tone } from '../../shared/runtime/text-style.ts';
import { type Command, command } from './command.ts';
import { CommandFailure, UsageError } from './command-failure.ts';
import {
  type DistributionPointRecord,
  toDistributionPointRecord,
} from './distribution-point-record.ts';
import { addressText, anyText, distributionPointIdText, option, positional } from './options.ts';
import type { Session } from './session.ts';
import type { Column } from './table.ts';
import { toAgeText, toByteText, toCountText, toRateText } from './units.ts';

const dpIdPositional = positional('dp-id', 'Distribution point', distributionPointIdText);
const addressOption = option('address', "host:port of the DP's agent", addressText);
const descriptionOption = option('description', 'Free text', anyText);

const addDistributionPoint = command({
  path: 'dp add',
  positionals: '<dp-id>',
  summary: 'Add a distribution point to the site',
  example: 'waybill dp add PS1DP1 --address dp1.example.org:8531',
  options: (parser) =>
    parser
      .positional('dp-id', dpIdPositional)
      .option('address', { ...addressOption, demandOption: true as const })
      .option('description', descriptionOption),
  run: async ({ dpId, address, description }, { admin, output }) => {
    const kind = 'DISTRIBUTION_POINT_KIND_STANDARD' as const;
    const settings = { dpId, address, kind, description: description ?? '' };
    const record = toDistributionPointRecord(await admin.ask('addDistributionPoint', settings));
    output.record(record);
    output.sentence(
      `Distribution point ${record.dpId} at ${record.address} is added. Next: waybill dp check ${dpId}`,
    );
  },
});

const setDistributionPoint = command({
  path: 'dp set',
  positionals: '<dp-id>',
  summary: 'Change the address or the description of a distribution point',
  example: 'waybill dp set PS1DP1 --description "Second floor"',
  options: (parser) =>
    parser
      .positional('dp-id', dpIdPositional)
      .option('address', addressOption)
      .option('description', descriptionOption),
  run: async ({ dpId, address, description }, { admin, output }) => {
    if (address === undefined && description === undefined) {
      throw new UsageError('expected something to set: --address or --description');
    }
    const settings = {
      dpId,
      address: address ?? '',
      ...(description === undefined ? {} : { description }),
    };
    const record = toDistributionPointRecord(await admin.ask('setDistributionPoint', settings));
    output.record(record);
    output.sentence(`Distribution point ${record.dpId} is changed.`);
  },
});

const deleteDistributionPoint = command({
  path: 'dp delete',
  positionals: '<dp-id>',
  summary: 'Take a distribution point out of the site; it keeps its files',
  example: 'waybill dp delete PS1DP1',
  options: (parser) => parser.positional('dp-id', dpIdPositional),
  run: async ({ dpId }, { admin, output }) => {
    const record = toDistributionPointRecord(await admin.ask('deleteDistributionPoint', { dpId }));
    output.record(record);
    output.sentence(`Distribution point ${record.dpId} is no longer part of the site.`);
  },
});

const listDistributionPoints = command({
  path: 'dp list',
  summary: 'All distribution points and how they are',
  example: 'waybill dp list',
  options: (parser) => parser,
  run: async (_args, { admin, output, clock }) => {
    const rows = await admin.list('listDistributionPoints', {});
    output.list(
      rows.map(toDistributionPointRecord),
      toColumns(clock.nowMs()),
      'There are no distribution points. "waybill dp add" adds one.',
    );
  },
});

const checkDistributionPoint = command({
  path: 'dp check',
  positionals: '<dp-id>',
  summary: 'Ask a distribution point now; fails when it cannot be reached',
  example: 'waybill dp check PS1DP1',
  options: (parser) => parser.positional('dp-id', dpIdPositional),
  run: async ({ dpId }, session) => {
    const wire = await session.admin.ask('checkDistributionPoint', { dpId });
    tellCheck(session, toDistributionPointRecord(wire));
  },
});

/** `waybill dp …`. */
export const distributionPointCommands: readonly Command[] = [
  addDistributionPoint,
  setDistributionPoint,
  deleteDistributionPoint,
  listDistributionPoints,
  checkDistributionPoint,
];

function toColumns(nowMs: number): readonly Column<DistributionPointRecord>[] {
  return [
    { title: 'DP', text: (row) => row.dpId },
    { title: 'address', text: (row) => row.address },
    { title: 'kind', text: (row) => row.kind },
    { title: 'state', text: (row) => row.reachability, tone: toneOfDistributionPoint },
    { title: 'checked', text: (row) => toAgeText(row.checkedAtMs, nowMs) },
    { title: 'packages', text: (row) => toCountText(row.packageCount), align: 'right' },
    { title: 'free', text: toFreeText, align: 'right' },
    { title: 'rate', text: toMeasuredText, align: 'right' },
    { title: 'agent', text: (row) => row.agentVersion },
    { title: 'description', text: (row) => row.description },
    { title: 'reason', text: (row) => row.reason },
  ];
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

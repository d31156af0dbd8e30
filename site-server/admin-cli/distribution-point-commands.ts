import type { Argv } from 'yargs';
import type { PullSettings } from '../../shared/domain/pull-source.ts';
import type { Admin } from './admin.ts';
import {
  type OtherWarnings,
  type ScheduledWay,
  tellWarnings,
  withWarnings,
} from './closed-ways.ts';
import { type Command, command, type GlobalArguments } from './command.ts';
import { UsageError } from './command-failure.ts';
import { confirmDeletion, type Deletion } from './confirm-deletion.ts';
import {
  controlOptions,
  type GivenLimit,
  type GivenSchedule,
  needsZone,
  serveControlOptions,
  toControlsPatch,
  zoneOfHours,
} from './control-options.ts';
import { toControlsSentence } from './control-view.ts';
import {
  type DistributionPointRecord,
  dpIdPositional,
  requireDistributionPoint,
  toDistributionPointRecord,
} from './distribution-point-record.ts';
import { makeToken, makeTokenIfEnrolled, tellToken, validForOption } from './enrollment-view.ts';
import {
  addressText,
  anyText,
  flag,
  option,
  pinnedPriorityText,
  siteCodeText,
  siteToAskOption,
} from './options.ts';
import { whereItCounts } from './owner-site.ts';
import {
  type GivenPullSettings,
  givenPullSettings,
  mergedPullSettings,
  pullOptions,
  wireKinds,
} from './pull-options.ts';
import type { Session } from './session.ts';
import { sharedAddressWarnings } from './shared-address.ts';
import { toCountOf } from './units.ts';
import { givenValidation, validationOptions } from './validation-options.ts';

const addressOption = option('address', "host:port of the DP's agent", addressText);
const descriptionOption = option('description', 'Free text', anyText);
const priorityOption = option(
  'priority',
  'Place in the queue, 1 to 400, the lower the sooner; auto: by its measured rate',
  pinnedPriorityText,
);

const addDistributionPoint = command({
  path: 'dp add',
  positionals: '<dp-id>',
  summary: 'Add a distribution point to the site, or to another one',
  example: 'waybill dp add PS1DP3 --address dp3:8531 --kind pull --source PS1DP1',
  options: (parser) =>
    settingOptions(
      parser
        .positional('dp-id', dpIdPositional)
        .option('address', { ...addressOption, demandOption: true as const })
        .option('description', descriptionOption)
        .option('site', option('site', 'The site it is of; the one that is asked', siteCodeText))
        .option('valid-for', validForOption),
    ),
  run: async (args, session) => {
    const { admin } = session;
    const { dpId, address, description = '', kind = 'standard' } = args;
    const controls = givenControlPatches(args, session, undefined);
    const given = givenPullSettings(dpId, args);
    if (given && kind === 'standard') {
      throw new UsageError('--source, --allow-fallback and --packages-max need --kind pull');
    }
    const pull = given && mergedPullSettings(given, undefined);
    if (hasNoSource({ kind, pull })) throw new UsageError(sourceNeeded);
    const site = args.site === undefined ? {} : { siteCode: args.site };
    const settings = { dpId, address, kind: wireKinds[kind], description, ...site };
    const validation = givenValidation(args, null);
    const all = { ...settings, ...(pull && { pull }), ...controls, ...validation };
    const record = toDistributionPointRecord(await admin.ask('addDistributionPoint', all));
    const ways = scheduledWays(record, args);
    const shared = sharedAddressOf(record, args);
    const shown = await withWarnings(session, record, ways, shared);
    const token = { at: args.site, validForMs: args.validFor };
    // It is shown once and never again: nothing else comes between.
    const made = await makeTokenIfEnrolled(session, { kind: 'dp', dpId }, token);
    tellAdded(session, shown, {
      made,
      site: args.site,
      more: toControlSentences(record, controls),
    });
    await tellWarnings(session, ways, shared);
  },
});

/** With a site that enrolls, the one command for the new machine; else what is next here. */
function tellAdded(
  session: Session,
  record: DistributionPointRecord,
  {
    made,
    site,
    more,
  }: {
    readonly made: Awaited<ReturnType<typeof makeTokenIfEnrolled>>;
    readonly site: string | undefined;
    /** What else holds of it, in sentences. */
    readonly more: readonly string[];
  },
): void {
  const { output } = session;
  const { dpId, address } = record;
  const at = site === undefined ? '' : ` --site ${site}`;
  const token = made !== undefined && 'token' in made ? made : undefined;
  output.record(token ? { ...record, enrollment: token } : record);
  const next = made ? '' : ` Next: waybill dp check ${dpId}${at}`;
  output.sentence(`Distribution point ${dpId} at ${address} is added.${next}`);
  for (const line of more) output.sentence(line);
  if (token) tellToken(session, token);
  else if (made && 'failure' in made) {
    output.note(`no token was made: ${made.failure}. Later: waybill dp enroll ${dpId}${at}`);
  }
}

const enrollDistributionPoint = command({
  path: 'dp enroll',
  positionals: '<dp-id>',
  summary:
    'Print a new command with which the machine of a distribution point gets its certificate',
  example: 'waybill dp enroll PS1DP1 --valid-for 2h',
  options: (parser) =>
    parser
      .positional('dp-id', dpIdPositional)
      .option('valid-for', validForOption)
      .option('site', siteToAskOption),
  run: async ({ dpId, validFor, site }, session) => {
    const made = await makeToken(await session.atSite(site), { kind: 'dp', dpId }, validFor);
    session.output.record(made);
    tellToken(session, made);
  },
});

const setDistributionPoint = command({
  path: 'dp set',
  positionals: '<dp-id>',
  summary: 'Change a distribution point: its address, its kind, when and how fast it is sent to',
  example: 'waybill dp set PS1DP1 --limit 10MB/s --schedule "sat-sun open, else closed"',
  options: (parser) =>
    settingOptions(
      parser
        .positional('dp-id', dpIdPositional)
        .option('address', addressOption)
        .option('description', descriptionOption)
        .option('priority', priorityOption),
    ),
  run: async (args, session) => {
    const { admin, output } = session;
    const { dpId, address, description, kind, priority } = args;
    const given = givenPullSettings(dpId, args);
    const isSetNeeded = needsZone(args.timeZone, [ownOf(args), serveOf(args)]);
    const before = isSetNeeded ? await requireDistributionPoint(admin, dpId) : undefined;
    const controls = givenControlPatches(args, session, before);
    const { validateEvery, validateRate } = args;
    const patches = [...Object.values(controls), validateEvery, validateRate];
    const others = [address, description, kind, priority, given];
    if ([...others, ...patches].every((value) => value === undefined)) {
      throw new UsageError(
        'expected something to set: --address, --description, --kind, --priority, where it fetches from, when and how fast, or --validate-every',
      );
    }
    const isRateOnly = validateRate !== undefined && validateEvery === undefined;
    const present = isRateOnly ? (await requireDistributionPoint(admin, dpId)).validation : null;
    const settings = {
      dpId,
      address: address ?? '',
      ...(description === undefined ? {} : { description }),
      ...(kind === undefined ? {} : { kind: wireKinds[kind] }),
      ...(priority === undefined ? {} : { pinnedPriority: priority }),
      ...(await checkedPullSettings(admin, { dpId, kind, given })),
      ...controls,
      ...givenValidation(args, present),
    };
    const set = (at: Session) => at.admin.ask('setDistributionPoint', settings);
    const record = toDistributionPointRecord(await whereItCounts(session, set));
    const ways = scheduledWays(record, args);
    const shared = sharedAddressOf(record, args);
    output.record(await withWarnings(session, record, ways, shared));
    output.sentence(`Distribution point ${record.dpId} is changed.`);
    for (const line of toControlSentences(record, controls)) output.sentence(line);
    if (hasNoSource(record)) output.sentence(sourceHint(record));
    if (given && record.kind === 'standard') output.sentence(keptHint(record));
    await tellWarnings(session, ways, shared);
  },
});

const deleteDistributionPoint = command({
  path: 'dp delete',
  positionals: '<dp-id>',
  summary: 'Take a distribution point out of the site; it keeps its files',
  example: 'waybill dp delete PS1DP1 --yes',
  options: (parser) =>
    parser.positional('dp-id', dpIdPositional).option('yes', { ...flag('Do not ask'), alias: 'y' }),
  run: async ({ dpId, yes }, session) => {
    const { admin, output } = session;
    if (!yes) await confirmDeletion(session, deletionEffect(dpId), () => deletionOf(admin, dpId));
    const before = await admin.list('listDistributionPoints', {});
    const ask = (at: Session) => at.admin.ask('deleteDistributionPoint', { dpId });
    const record = toDistributionPointRecord(await whereItCounts(session, ask));
    output.record(record);
    output.sentence(
      `Distribution point ${record.dpId} is no longer part of site ${record.siteCode}.`,
    );
    for (const left of leftWithoutSource(before.map(toDistributionPointRecord), dpId)) {
      output.sentence(`It was the only source of ${left}: waybill dp set ${left} --source DP`);
    }
  },
});

function deletionEffect(dpId: string): string {
  return `dp delete takes ${dpId} out of its site, with all that is assigned to it`;
}

/** @throws DISTRIBUTION_POINT_UNKNOWN */
async function deletionOf(admin: Admin, dpId: string): Promise<Deletion> {
  const { siteCode, packageCount } = await requireDistributionPoint(admin, dpId);
  const packages = packageCount === 0 ? '' : `, with ${toCountOf(packageCount, 'package')}`;
  return {
    name: dpId,
    question: `Take distribution point ${dpId} out of site ${siteCode}${packages}? It keeps its files. Type its name to confirm: `,
    refusal: `Distribution point ${dpId} was not deleted`,
    facts: { dpId },
  };
}

/** `waybill dp add`, `waybill dp enroll`, `waybill dp set` and `waybill dp delete`. */
export const distributionPointCommands: readonly Command[] = [
  addDistributionPoint,
  enrollDistributionPoint,
  setDistributionPoint,
  deleteDistributionPoint,
];

function settingOptions<A extends GlobalArguments>(parser: Argv<A>) {
  return validationOptions(serveControlOptions(controlOptions(pullOptions(parser))));
}

/** What to look for when an address was given. */
function sharedAddressOf(
  record: DistributionPointRecord,
  { address }: { readonly address?: string | undefined },
): OtherWarnings | undefined {
  return address === undefined ? undefined : (asking) => sharedAddressWarnings(asking, record);
}

/** What of both controls was given. */
interface ControlArguments {
  readonly limit?: GivenLimit | undefined;
  readonly schedule?: GivenSchedule | undefined;
  readonly serveLimit?: GivenLimit | undefined;
  readonly serveSchedule?: GivenSchedule | undefined;
  readonly timeZone?: string | undefined;
}

/**
 * What of both controls is to change; what is not given is absent.
 *
 * @param before the DP as it is, where the zone of its hours matters
 * @throws UsageError
 */
function givenControlPatches(
  args: ControlArguments,
  { timeZone: machineZone }: Pick<Session, 'timeZone'>,
  before: DistributionPointRecord | undefined,
) {
  const [own, serve] = [ownOf(args), serveOf(args)];
  const zone = zoneOfHours(args.timeZone, [own, serve], machineZone);
  const controls = toControlsPatch(own, zone, before?.controls ?? null);
  const serveControls = toControlsPatch(serve, zone, before?.serveControls ?? null);
  return { ...(controls && { controls }), ...(serveControls && { serveControls }) };
}

function ownOf({ limit, schedule }: ControlArguments) {
  return { limit, schedule };
}

function serveOf({ serveLimit: limit, serveSchedule: schedule }: ControlArguments) {
  return { limit, schedule };
}

/** The ways whose schedule was given. */
function scheduledWays(
  { dpId, controls, serveControls }: DistributionPointRecord,
  { schedule, serveSchedule }: ControlArguments,
): ScheduledWay[] {
  const own = { schedule: controls?.schedule, effect: `packages for ${dpId} will wait` };
  const effect = `nothing will be fetched from ${dpId}`;
  const serve = { schedule: serveControls?.schedule, effect };
  return [...(schedule ? [own] : []), ...(serveSchedule ? [serve] : [])];
}

/** What holds from now on, of the controls that were changed. */
function toControlSentences(
  { kind, controls, serveControls }: DistributionPointRecord,
  changed: ReturnType<typeof givenControlPatches>,
): string[] {
  const what = kind === 'pull' ? 'It fetches' : 'It is sent to';
  return [
    ...(changed.controls ? [`${what} ${toControlsSentence(controls)}.`] : []),
    ...(changed.serveControls ? [`It serves others ${toControlsSentence(serveControls)}.`] : []),
  ];
}

const sourceNeeded =
  'a pull DP needs something to fetch from: expected --source DP, or --allow-fallback';

/**
 * The wire replaces them as a whole; what was not said stays as it is.
 *
 * @throws UsageError when a pull DP would have nothing to fetch from
 */
async function checkedPullSettings(
  admin: Admin,
  wanted: {
    dpId: string;
    kind: 'standard' | 'pull' | undefined;
    given: GivenPullSettings | undefined;
  },
): Promise<{ pull?: ReturnType<typeof mergedPullSettings> }> {
  const { dpId, given } = wanted;
  if (!given && wanted.kind !== 'pull') return {};
  const present = await requireDistributionPoint(admin, dpId);
  const pull = given && mergedPullSettings(given, present.pull ?? undefined);
  const becoming = { kind: wanted.kind ?? present.kind, pull: pull ?? present.pull };
  if (hasNoSource(becoming)) throw new UsageError(sourceNeeded);
  return pull ? { pull } : {};
}

function hasNoSource({
  kind,
  pull,
}: {
  readonly kind: string;
  readonly pull: Pick<PullSettings, 'sources' | 'allowFallback'> | null | undefined;
}): boolean {
  if (kind !== 'pull') return false;
  return !pull || (pull.sources.length === 0 && !pull.allowFallback);
}

/** Pull DPs that fetch from this one and from nowhere else. */
function leftWithoutSource(all: readonly DistributionPointRecord[], dpId: string): string[] {
  const isLeft = ({ kind, pull }: DistributionPointRecord) => {
    if (kind !== 'pull' || !pull || pull.allowFallback) return false;
    return pull.sources.length > 0 && pull.sources.every((source) => source.dpId === dpId);
  };
  return all.filter(isLeft).map((one) => one.dpId);
}

function sourceHint({ dpId }: DistributionPointRecord): string {
  return `It has no source to fetch from: waybill dp set ${dpId} --source DP, or --allow-fallback`;
}

function keptHint({ dpId }: DistributionPointRecord): string {
  return `Where it fetches from is kept until it is a pull DP: waybill dp set ${dpId} --kind pull`;
}

import type { Argv } from 'yargs';
import { WaybillError } from '../../shared/domain/errors.ts';
import { parseObjectName } from '../../shared/domain/object-name.ts';
import type { Link__Output } from '../../shared/rpc/generated/waybill/v1/Link.ts';
import type { Admin } from './admin.ts';
import { tellWarnings, withWarnings } from './closed-ways.ts';
import { type Command, command, type GlobalArguments } from './command.ts';
import { UsageError } from './command-failure.ts';
import {
  controlOptions,
  needsZone,
  none,
  toControlsPatch,
  zoneOfHours,
} from './control-options.ts';
import {
  toControlFacts,
  toControlPictures,
  toControlsRecord,
  toControlsSentence,
  toLimitCell,
  toScheduleCell,
} from './control-view.ts';
import {
  anyText,
  distributionPointIdText,
  option,
  positional,
  repeatedOption,
  siteCodeText,
} from './options.ts';
import type { Column } from './table.ts';

const linkNameText = {
  parse: parseObjectName,
  expected: 'a name: 1 to 63 letters, digits, dots and hyphens',
};

const listLinks = command({
  path: 'link list',
  isDefault: true,
  summary: 'The lines that several ways share, with their limits',
  example: 'waybill link list',
  options: (parser) => parser,
  run: async (_args, { admin, output }) => {
    const links = (await admin.list('listLinks', {})).map(toLinkRecord);
    output.list(links, columns, 'There are no links. "waybill link set" makes one.');
  },
});

const showLink = command({
  path: 'link show',
  positionals: '<link>',
  summary: 'What is in a link, when and how fast content may go over it',
  example: 'waybill link show madrid-line',
  options: namePositional,
  run: async ({ link }, { admin, output }) => {
    const record = await requireLink(admin, link);
    output.facts(record, [
      ['link', record.linkName],
      ['from', record.siteCode],
      ['DPs', record.dpIds.join(', ')],
      ['to sites', record.toSiteCodes.join(', ')],
      ['description', record.description],
      ...toControlFacts(record.controls),
    ]);
    for (const line of toControlPictures(record.controls)) output.sentence(line);
  },
});

const setLink = command({
  path: 'link set',
  positionals: '<link>',
  summary: 'Make or change a link: ways from one site that share a line, its limit and schedule',
  example: 'waybill link set madrid-line --dp PS1DP1 --dp PS1DP2 --to PS2 --limit 20MB/s',
  options: (parser) =>
    controlOptions(
      namePositional(parser)
        .option(
          'dp',
          repeatedOption('dp', 'A standard DP in it; repeatable, replaces all; or none', dpOrNone),
        )
        .option(
          'to',
          repeatedOption(
            'to',
            'A site sent to over it; repeatable, replaces all; or none',
            siteOrNone,
          ),
        )
        .option('site', option('site', 'The site from which all of it leaves', siteCodeText))
        .option('description', option('description', 'Free text', anyText)),
    ),
  run: async (args, { admin, output, timeZone }) => {
    const { link: linkName, site, description, dp, to } = args;
    const given = { limit: args.limit, schedule: args.schedule };
    const zone = zoneOfHours(args.timeZone, [given], timeZone);
    const isSetNeeded = needsZone(args.timeZone, [given]);
    const set = isSetNeeded ? await setControlsOf(admin, linkName) : null;
    const controls = toControlsPatch(given, zone, set);
    if ([site, description, dp, to, controls].every((value) => value === undefined)) {
      throw new UsageError(
        'expected something to set: --dp, --to, --limit, --schedule or --description',
      );
    }
    const settings = {
      linkName,
      ...(site !== undefined && { siteCode: site }),
      ...(description !== undefined && { description }),
      ...(dp && { dpIds: { names: namesOf('dp', dp) } }),
      ...(to && { toSiteCodes: { names: namesOf('to', to) } }),
      ...(controls && { controls }),
    };
    const record = toLinkRecord(await admin.ask('setLink', settings));
    const effect = `packages over link ${linkName} will wait`;
    const ways = args.schedule ? [{ schedule: record.controls?.schedule, effect }] : [];
    output.record(await withWarnings({ admin, output }, record, ways));
    const members = [...record.dpIds, ...record.toSiteCodes.map((code) => `site ${code}`)];
    output.sentence(
      `Link ${linkName} from site ${record.siteCode} to ${members.join(', ')} is set, ${toControlsSentence(record.controls)}.`,
    );
    await tellWarnings({ admin, output }, ways);
  },
});

const deleteLink = command({
  path: 'link delete',
  positionals: '<link>',
  summary: 'Let what is in a link obey only its own limits again',
  example: 'waybill link delete madrid-line',
  options: namePositional,
  run: async ({ link }, { admin, output }) => {
    output.record(toLinkRecord(await admin.ask('deleteLink', { linkName: link })));
    output.sentence(`Link ${link} is deleted; what was in it obeys only its own limits.`);
  },
});

/** `waybill link …`. */
export const linkCommands: readonly Command[] = [listLinks, showLink, setLink, deleteLink];

type LinkRecord = ReturnType<typeof toLinkRecord>;

/** A link, as `--json` shows it. */
function toLinkRecord(wire: Link__Output) {
  const { linkName, siteCode, description, dpIds, toSiteCodes, controls } = wire;
  const members = { dpIds, toSiteCodes };
  return { linkName, siteCode, description, ...members, controls: toControlsRecord(controls) };
}

const columns: readonly Column<LinkRecord>[] = [
  { title: 'link', text: (row) => row.linkName },
  { title: 'from', text: (row) => row.siteCode },
  { title: 'DPs', text: (row) => row.dpIds.join(', ') },
  { title: 'to sites', text: (row) => row.toSiteCodes.join(', ') },
  { title: 'limit', text: (row) => toLimitCell(row.controls), align: 'right' },
  { title: 'schedule', text: (row) => toScheduleCell(row.controls) },
  { title: 'description', text: (row) => row.description },
];

const dpOrNone = orNone(distributionPointIdText);
const siteOrNone = orNone(siteCodeText);

function orNone({
  parse,
  expected,
}: {
  readonly parse: (text: string) => string | undefined;
  readonly expected: string;
}) {
  return {
    parse: (text: string) => (text === none ? none : parse(text)),
    expected: `${expected}, or ${none}`,
  };
}

function namesOf(name: string, given: readonly string[]): string[] {
  if (!given.includes(none)) return [...given];
  if (given.length === 1) return [];
  throw new UsageError(`--${name}: expected "${none}" or names, not both`);
}

function namePositional(parser: Argv<GlobalArguments>) {
  return parser.positional('link', positional('link', 'Name of the link', linkNameText));
}

/** What is set for a link; null where nothing is, or it is new. */
async function setControlsOf(admin: Admin, linkName: string) {
  const links = (await admin.list('listLinks', {})).map(toLinkRecord);
  return links.find((one) => one.linkName === linkName)?.controls ?? null;
}

/** @throws LINK_UNKNOWN */
async function requireLink(admin: Admin, linkName: string): Promise<LinkRecord> {
  const wire = (await admin.list('listLinks', {})).find((one) => one.linkName === linkName);
  if (wire) return toLinkRecord(wire);
  throw new WaybillError({ code: 'LINK_UNKNOWN', linkName });
}

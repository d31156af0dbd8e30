import type { Argv } from 'yargs';
import { SiteTree } from '../../shared/domain/site-tree.ts';
import type { Admin } from './admin.ts';
import { tellWarnings, withWarnings } from './closed-ways.ts';
import { type Command, command, type GlobalArguments } from './command.ts';
import { CommandFailure, UsageError } from './command-failure.ts';
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
  toControlsSentence,
  toLimitCell,
  toScheduleCell,
} from './control-view.ts';
import { lookAfterwards } from './look-afterwards.ts';
import { addressText, positional, repeatedOption, siteCodeText } from './options.ts';
import { requireSite, toRouteRecord, toSiteRecord } from './site-record.ts';
import type { Column } from './table.ts';

const listRoutes = command({
  path: 'route list',
  isDefault: true,
  summary: 'The ways between sites that somebody has set',
  example: 'waybill route list',
  options: (parser) => parser,
  run: async (_args, { admin, output }) => {
    const routes = (await admin.list('listRoutes', {})).map(toRouteRecord);
    output.list(routes, columns, 'No route is set: each site is reached at its own address.');
  },
});

const showRoute = command({
  path: 'route show',
  positionals: '<from> <to>',
  summary: 'What is set for the way from one site to another',
  example: 'waybill route show PS1 PS2',
  options: betweenSites,
  run: async ({ from, to }, { admin, output }) => {
    await requireSite(admin, from);
    await requireSite(admin, to);
    const routes = (await admin.list('listRoutes', {})).map(toRouteRecord);
    const isAsked = (one: RouteRecord) => one.fromSiteCode === from && one.toSiteCode === to;
    const none = { fromSiteCode: from, toSiteCode: to, addresses: [], controls: null };
    const record = routes.find(isAsked) ?? none;
    output.facts(record, [
      ['from', from],
      ['to', to],
      ['addresses', toAddressesText(record)],
      ...toControlFacts(record.controls),
    ]);
    for (const line of toControlPictures(record.controls)) output.sentence(line);
  },
});

const setRoute = command({
  path: 'route set',
  positionals: '<from> <to>',
  summary: 'Say where, when and how fast one site sends to another; what is not given stays',
  example: 'waybill route set CS1 PS2 --address 10.0.0.7:8530 --limit 5MB/s',
  options: (parser) =>
    controlOptions(
      betweenSites(parser).option(
        'address',
        repeatedOption(
          'address',
          'host:port; repeatable, tried in order, replaces all; or none: its own address',
          addressOrNone,
        ),
      ),
    ),
  run: async (args, { admin, output, timeZone }) => {
    const { from, to, address } = args;
    const given = { limit: args.limit, schedule: args.schedule };
    const zone = zoneOfHours(args.timeZone, [given], timeZone);
    const isSetNeeded = needsZone(args.timeZone, [given]);
    const set = isSetNeeded ? await setControlsOf(admin, from, to) : null;
    const controls = toControlsPatch(given, zone, set);
    if (address === undefined && controls === undefined) {
      throw new UsageError('expected something to set: --address, --limit or --schedule');
    }
    const route = {
      ...{ fromSiteCode: from, toSiteCode: to },
      ...(address && toAddresses(address)),
      ...(controls && { controls }),
    };
    const record = toRouteRecord(await admin.ask('setRoute', route));
    const effect = `packages from ${from} to ${to} will wait`;
    const ways = args.schedule ? [{ schedule: record.controls?.schedule, effect }] : [];
    output.record(await withWarnings({ admin, output }, record, ways));
    output.sentence(`Site ${from} reaches site ${to} at ${toAddressesText(record, ', then ')}.`);
    if (!controls || output.json) return;
    output.sentence(`It sends there ${toControlsSentence(record.controls)}.`);
    await tellWarnings({ admin, output }, ways);
    const way = `by which site what it sends to ${to} goes`;
    const by =
      record.controls && (await lookAfterwards(output, way, () => neighbourBetween(admin, record)));
    if (by) {
      output.sentence(
        `But what it sends to ${to} goes by site ${by}: limit the way from ${from} to ${by}, or name an address of ${to}.`,
      );
    }
  },
});

const deleteRoute = command({
  path: 'route delete',
  positionals: '<from> <to>',
  summary: 'Let one site reach another at its own address again, with no limits',
  example: 'waybill route delete CS1 PS2',
  options: betweenSites,
  run: async ({ from, to }, { admin, output }) => {
    const route = { fromSiteCode: from, toSiteCode: to, addresses: [] };
    const routes = await admin.list('listRoutes', {});
    if (!routes.some((one) => one.fromSiteCode === from && one.toSiteCode === to)) {
      for (const siteCode of [from, to]) await requireSite(admin, siteCode);
      const message = `No route is set from site ${from} to site ${to}. "waybill route list" shows those there are`;
      throw new CommandFailure('ROUTE_UNKNOWN', message, { fromSiteCode: from, toSiteCode: to });
    }
    output.record(toRouteRecord(await admin.ask('setRoute', route)));
    output.sentence(`Site ${from} reaches site ${to} at its own address again.`);
  },
});

/** `waybill route …`. */
export const routeCommands: readonly Command[] = [listRoutes, showRoute, setRoute, deleteRoute];

type RouteRecord = ReturnType<typeof toRouteRecord>;

const columns: readonly Column<RouteRecord>[] = [
  { title: 'from', text: (row) => row.fromSiteCode },
  { title: 'to', text: (row) => row.toSiteCode },
  { title: 'addresses', text: (row) => toAddressesText(row) },
  { title: 'limit', text: (row) => toLimitCell(row.controls), align: 'right' },
  { title: 'schedule', text: (row) => toScheduleCell(row.controls) },
];

const addressOrNone = {
  parse: (text: string) => (text === none ? none : addressText.parse(text)),
  expected: `${addressText.expected}, or ${none}`,
};

/** What is set for the way; null where nothing is. */
async function setControlsOf(admin: Admin, from: string, to: string) {
  const routes = (await admin.list('listRoutes', {})).map(toRouteRecord);
  const isAsked = (one: RouteRecord) => one.fromSiteCode === from && one.toSiteCode === to;
  return routes.find(isAsked)?.controls ?? null;
}

/** The site by which content goes; undefined when it goes straight there. */
async function neighbourBetween(
  admin: Admin,
  { fromSiteCode, toSiteCode, addresses }: RouteRecord,
): Promise<string | undefined> {
  if (addresses.length > 0) return undefined;
  const sites = (await admin.list('listSites', {})).map(toSiteRecord);
  // A kind that this program is too old to know has no place it could tell.
  const known = sites.flatMap(({ kind, ...site }) =>
    kind === 'unspecified' ? [] : [{ ...site, kind }],
  );
  const neighbour = new SiteTree(known).neighbourTowards(fromSiteCode, toSiteCode);
  return neighbour === toSiteCode ? undefined : neighbour;
}

function toAddresses(given: readonly string[]) {
  if (!given.includes(none)) return { addresses: [...given] };
  if (given.length === 1) return { ownAddress: true };
  throw new UsageError(`--address: expected "${none}" or addresses, not both`);
}

function toAddressesText({ addresses }: Pick<RouteRecord, 'addresses'>, between = ', '): string {
  return addresses.length > 0 ? addresses.join(between) : 'its own address';
}

function betweenSites(parser: Argv<GlobalArguments>) {
  return parser
    .positional('from', positional('from', 'Site that sends', siteCodeText))
    .positional('to', positional('to', 'Site that is reached', siteCodeText));
}

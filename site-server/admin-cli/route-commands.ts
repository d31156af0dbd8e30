import type { Argv } from 'yargs';
import { type Command, command, type GlobalArguments } from './command.ts';
import { addressText, positional, repeatedOption, siteCodeText } from './options.ts';
import { toRouteRecord } from './site-record.ts';
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

const setRoute = command({
  path: 'route set',
  positionals: '<from> <to>',
  summary: 'Say at which addresses one site reaches another; the first is tried first',
  example: 'waybill route set CS1 PS2 --address 10.0.0.7:8530',
  options: (parser) =>
    betweenSites(parser).option('address', {
      ...repeatedOption('address', 'host:port; repeatable, tried in order', addressText),
      demandOption: true as const,
    }),
  run: async ({ from, to, address }, { admin, output }) => {
    const route = { fromSiteCode: from, toSiteCode: to, addresses: address };
    const record = toRouteRecord(await admin.ask('setRoute', route));
    output.record(record);
    output.sentence(`Site ${from} reaches site ${to} at ${record.addresses.join(', then ')}.`);
  },
});

const deleteRoute = command({
  path: 'route delete',
  positionals: '<from> <to>',
  summary: 'Let one site reach another at its own address again',
  example: 'waybill route delete CS1 PS2',
  options: (parser) => betweenSites(parser),
  run: async ({ from, to }, { admin, output }) => {
    const route = { fromSiteCode: from, toSiteCode: to, addresses: [] };
    output.record(toRouteRecord(await admin.ask('setRoute', route)));
    output.sentence(`Site ${from} reaches site ${to} at its own address again.`);
  },
});

/** `waybill route …`. */
export const routeCommands: readonly Command[] = [listRoutes, setRoute, deleteRoute];

const columns: readonly Column<ReturnType<typeof toRouteRecord>>[] = [
  { title: 'from', text: (row) => row.fromSiteCode },
  { title: 'to', text: (row) => row.toSiteCode },
  { title: 'addresses', text: (row) => row.addresses.join(', ') },
];

function betweenSites(parser: Argv<GlobalArguments>) {
  return parser
    .positional('from', positional('from', 'Site that sends', siteCodeText))
    .positional('to', positional('to', 'Site that is reached', siteCodeText));
}

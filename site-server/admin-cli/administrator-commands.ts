import { WaybillError } from '../../shared/domain/errors.ts';
import { parseObjectName } from '../../shared/domain/object-name.ts';
import {
  type AdminRole,
  type AdminScope,
  adminRoles,
  fromIdentityUri,
  type PeerIdentity,
  scopePartsMax,
} from '../../shared/domain/peer-identity.ts';
import { parseSiteCode } from '../../shared/domain/site.ts';
import type { AdministratorRecord__Output } from '../../shared/rpc/generated/waybill/v1/AdministratorRecord.ts';
import { toTimeText } from '../../shared/runtime/time-text.ts';
import { type Command, command } from './command.ts';
import { refusedWord } from './command-failure.ts';
import { confirmDeletion } from './confirm-deletion.ts';
import { makeToken, tellToken, validForOption } from './enrollment-view.ts';
import {
  flag,
  personNameText,
  positional,
  repeatedOption,
  siteToAskOption,
  wordOption,
} from './options.ts';
import type { Session } from './session.ts';
import type { Column } from './table.ts';
import { toCount } from './wire-values.ts';

type AdminIdentity = Extract<PeerIdentity, { kind: 'admin' }>;

const namePositional = positional('name', 'Name of the administrator', personNameText);

/** One part of a scope. */
const scopeText = {
  parse: (text: string): { readonly site: string } | { readonly group: string } | undefined => {
    const [kind, name = ''] = text.split('=', 2);
    const site = kind === 'site' ? parseSiteCode(name) : undefined;
    if (site !== undefined) return { site };
    const group = kind === 'group' ? parseObjectName(name) : undefined;
    return group === undefined ? undefined : { group };
  },
  expected: 'site=CODE or group=NAME',
};

const addAdministrator = command({
  path: 'admin add',
  positionals: '<name>',
  summary: 'Make somebody an administrator, and print the command he enrolls with',
  example: 'waybill admin add bob --role operator --scope site=PS1 --scope group=Lab',
  options: (parser) =>
    parser
      .positional('name', namePositional)
      .option('role', {
        ...wordOption('role', 'What he may do', adminRoles),
        demandOption: true as const,
      })
      .option(
        'scope',
        repeatedOption(
          'scope',
          'He changes only this: site=CODE, group=NAME; repeatable',
          scopeText,
        ),
      )
      .option('valid-for', validForOption)
      .option('site', siteToAskOption),
  run: async ({ name, role, scope, validFor, site }, session) => {
    const identity = toIdentity(name, role, scope ?? []);
    const there = await session.atSite(site);
    const made = await makeToken(there, identity, validFor);
    session.output.record(made);
    session.output.sentence(`Administrator ${name} is added as ${made.identity}.`);
    tellToken(session, made);
  },
});

const enrollAdministrator = command({
  path: 'admin enroll',
  positionals: '<name>',
  summary: 'Print a new command with which an administrator gets his certificate',
  example: 'waybill admin enroll bob',
  options: (parser) =>
    parser
      .positional('name', namePositional)
      .option('valid-for', validForOption)
      .option('site', siteToAskOption),
  run: async ({ name, validFor, site }, session) => {
    const there = await session.atSite(site);
    const record = await requireAdministrator(there, name);
    const made = await makeToken(there, identityOf(record), validFor);
    session.output.record(made);
    tellToken(session, made);
  },
});

const listAdministrators = command({
  path: 'admin list',
  isDefault: true,
  summary: 'The administrators whom the site that is asked vouches for',
  example: 'waybill admin list',
  options: (parser) => parser.option('site', siteToAskOption),
  run: async ({ site }, session) => {
    const { admin, output, timeZone } = await session.atSite(site);
    const rows = (await admin.list('listAdministrators', {})).map(toRecord);
    output.list(
      rows,
      columnsFor(timeZone),
      'There are no administrators. "waybill admin add" adds one.',
    );
  },
});

const deleteAdministrator = command({
  path: 'admin delete',
  positionals: '<name>',
  summary: 'Take an administrator out: his certificate is revoked everywhere',
  example: 'waybill admin delete bob --yes',
  options: (parser) =>
    parser
      .positional('name', namePositional)
      .option('yes', { ...flag('Do not ask'), alias: 'y' })
      .option('site', siteToAskOption),
  run: async ({ name, yes, site }, session) => {
    const there = await session.atSite(site);
    if (!yes) {
      await confirmDeletion(
        session,
        `admin delete revokes the certificate of ${name}`,
        async () => {
          const { identity } = await requireAdministrator(there, name);
          return {
            name,
            question: `Revoke the certificate of administrator ${name} (${identity})? Type the name to confirm: `,
            refusal: `Administrator ${name} was not deleted`,
            facts: { name },
          };
        },
      );
    }
    const record = toRecord(await there.admin.ask('deleteAdministrator', { name }));
    session.output.record(record);
    session.output.sentence(`Administrator ${name} is no longer one.`);
  },
});

/** `waybill admin …`. */
export const administratorCommands: readonly Command[] = [
  addAdministrator,
  enrollAdministrator,
  listAdministrators,
  deleteAdministrator,
];

type ScopePart = NonNullable<ReturnType<typeof scopeText.parse>>;

/** @throws UsageError */
function toIdentity(name: string, role: AdminRole, parts: readonly ScopePart[]): AdminIdentity {
  if (parts.length > scopePartsMax) {
    const expected = `at most ${scopePartsMax} of them`;
    throw refusedWord('--scope', { expected, actual: `${parts.length}` });
  }
  const siteCodes = parts.flatMap((part) => ('site' in part ? [part.site] : []));
  const groupNames = parts.flatMap((part) => ('group' in part ? [part.group] : []));
  const scope: AdminScope | undefined = parts.length > 0 ? { siteCodes, groupNames } : undefined;
  return { kind: 'admin', role, name, ...(scope && { scope }) };
}

type AdministratorView = ReturnType<typeof toRecord>;

function toRecord(wire: AdministratorRecord__Output) {
  return {
    name: wire.name,
    identity: wire.identityUri,
    createdAtMs: toCount(wire.createdAtMs, 'created_at_ms'),
    createdBy: wire.createdBy,
    enrolledAtMs: toCount(wire.enrolledAtMs, 'enrolled_at_ms'),
    revokedAtMs: toCount(wire.revokedAtMs, 'revoked_at_ms'),
  };
}

async function requireAdministrator(
  { admin }: Pick<Session, 'admin'>,
  name: string,
): Promise<AdministratorView> {
  const all = (await admin.list('listAdministrators', {})).map(toRecord);
  const found = all.find((one) => one.name === name);
  if (found) return found;
  throw new WaybillError({ code: 'ADMINISTRATOR_UNKNOWN', name });
}

/** As the site has it. */
function identityOf({ name, identity: uri }: AdministratorView): AdminIdentity {
  const identity = fromIdentityUri(uri);
  if (identity?.kind === 'admin') return identity;
  throw new WaybillError({ code: 'ADMINISTRATOR_UNKNOWN', name });
}

function toRoleCell({ identity }: AdministratorView): string {
  const known = fromIdentityUri(identity);
  return known?.kind === 'admin' ? known.role : '';
}

function toScopeCell({ identity }: AdministratorView): string {
  const known = fromIdentityUri(identity);
  if (known?.kind !== 'admin') return '';
  const { role, scope } = known;
  if (role === 'read-only') return 'nothing';
  if (!scope) return 'everything';
  const sites = scope.siteCodes.map((code) => `site ${code}`);
  return [...sites, ...scope.groupNames.map((name) => `group ${name}`)].join(', ');
}

function columnsFor(timeZone: string | undefined): readonly Column<AdministratorView>[] {
  const timeOf = (timeMs: number, otherwise: string) =>
    timeMs === 0 ? otherwise : toTimeText(timeMs, timeZone);
  return [
    { title: 'administrator', text: (row) => row.name },
    { title: 'role', text: toRoleCell },
    { title: 'changes', text: toScopeCell },
    { title: 'enrolled', text: (row) => timeOf(row.enrolledAtMs, 'not yet') },
    { title: 'revoked', text: (row) => timeOf(row.revokedAtMs, ''), tone: () => 'bad' },
  ];
}

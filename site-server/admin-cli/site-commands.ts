import type { SiteKind } from '../../shared/domain/site.ts';
import type { Site__Output } from '../../shared/rpc/generated/waybill/v1/Site.ts';
import { toTimeText } from '../../shared/runtime/time-text.ts';
import { type Command, command } from './command.ts';
import { UsageError } from './command-failure.ts';
import { confirmDeletion, type Deletion } from './confirm-deletion.ts';
import { makeToken, makeTokenIfEnrolled, tellToken, validForOption } from './enrollment-view.ts';
import {
  addressText,
  anyText,
  flag,
  option,
  optionalPositional,
  positional,
  siteCodeText,
  siteToAskOption,
  wordOption,
} from './options.ts';
import type { Session } from './session.ts';
import {
  requireSite,
  type SiteRecord,
  toneOfReplication,
  toReasonTexts,
  toReplicationCell,
  toReplicationText,
  toSiteRecord,
} from './site-record.ts';
import type { Column } from './table.ts';
import { toAgeText, toCountText } from './units.ts';
import { toCount, toWord } from './wire-values.ts';

const kinds = ['central-administration', 'primary', 'secondary'] as const;

const wireKinds = {
  'central-administration': 'SITE_KIND_CENTRAL_ADMINISTRATION',
  primary: 'SITE_KIND_PRIMARY',
  secondary: 'SITE_KIND_SECONDARY',
} as const satisfies Record<SiteKind, string>;

const sitePositional = positional('site-code', 'Site', siteCodeText);
const kindOption = wordOption('kind', 'What the site is', kinds);
const parentOption = option('parent', 'The site above it; none at the top', siteCodeText);
const addressOption = option('address', 'host:port of its server', addressText);
const descriptionOption = option('description', 'Free text', anyText);

const showSite = command({
  path: 'site show',
  positionals: '[site-code]',
  isDefault: true,
  summary: 'The site that answers: its code, kind and version; or another one',
  example: 'waybill site show PS2',
  options: (parser) =>
    parser.positional('site-code', optionalPositional('site-code', 'Another site', siteCodeText)),
  run: async ({ siteCode }, session) => {
    if (siteCode === undefined) return tellAnsweringSite(session);
    tellSite(session, await requireSite(session.admin, siteCode));
  },
});

const listSites = command({
  path: 'site list',
  summary:
    'All sites of the hierarchy, and how it stands with the neighbours of the one that answers',
  example: 'waybill site list',
  options: (parser) => parser,
  run: async (_args, { admin, output, clock }) => {
    const rows = (await admin.list('listSites', {})).map(toSiteRecord);
    output.list(rows, toColumns(rows, clock.nowMs()), 'There are no sites.');
    for (const line of rows.flatMap(toReasonTexts)) output.sentence(line);
  },
});

const addSite = command({
  path: 'site add',
  positionals: '<site-code>',
  summary: 'Make a site known to the hierarchy, so that its server may join',
  example: 'waybill site add PS2 --kind primary --parent CS1 --address ps2:8530',
  options: (parser) =>
    parser
      .positional('site-code', sitePositional)
      .option('kind', { ...kindOption, demandOption: true as const })
      .option('parent', parentOption)
      .option('address', { ...addressOption, demandOption: true as const })
      .option('description', descriptionOption)
      .option('valid-for', validForOption),
  run: async (args, session) => {
    const { admin, output } = session;
    const { siteCode, kind, parent = '', address, description = '' } = args;
    const settings = { siteCode, kind: wireKinds[kind], address, description };
    const wire = await admin.ask('addSite', { ...settings, parentSiteCode: parent });
    const record = toSiteRecord(wire);
    const token = { at: await topOf(session), validForMs: args.validFor };
    const made = await makeTokenIfEnrolled(session, { kind: 'site', siteCode }, token);
    const isMade = made !== undefined && 'token' in made;
    output.record(isMade ? { ...record, enrollment: made } : record);
    const known = `Site ${record.siteCode} is known to the hierarchy.`;
    if (isMade) {
      output.sentence(known);
      tellToken(session, made);
      return;
    }
    if (made)
      output.note(`no token was made: ${made.failure}. Later: waybill site enroll ${siteCode}`);
    const next =
      parent === '' ? '' : ` Its server joins once its configuration names parent ${parent}.`;
    output.sentence(`${known}${next}`);
  },
});

const enrollSite = command({
  path: 'site enroll',
  positionals: '<site-code>',
  summary: 'Print a new command with which the machine of a site gets its authority',
  example: 'waybill site enroll PS2 --valid-for 2h',
  options: (parser) =>
    parser.positional('site-code', sitePositional).option('valid-for', validForOption),
  run: async ({ siteCode, validFor }, session) => {
    const top = await session.atSite(await topOf(session));
    const made = await makeToken(top, { kind: 'site', siteCode }, validFor);
    session.output.record(made);
    tellToken(session, made);
  },
});

/** The site whose root signs all sites; undefined: the one that is asked. */
async function topOf({ admin }: Session): Promise<string | undefined> {
  const { parentSiteCode } = await admin.ask('getSite', {});
  if (parentSiteCode === '') return undefined;
  const all = await admin.list('listSites', {});
  return all.find((site) => site.parentSiteCode === '')?.siteCode;
}

const setSite = command({
  path: 'site set',
  positionals: '<site-code>',
  summary: 'Change what is said of a site',
  example: 'waybill site set PS2 --address ps2.example.org:8530',
  options: (parser) =>
    parser
      .positional('site-code', sitePositional)
      .option('kind', kindOption)
      .option('parent', parentOption)
      .option('address', addressOption)
      .option('description', descriptionOption),
  run: async (args, { admin, output }) => {
    const { siteCode, kind, parent, address, description } = args;
    if ([kind, parent, address, description].every((value) => value === undefined)) {
      throw new UsageError(
        'expected something to set: --kind, --parent, --address or --description',
      );
    }
    const wire = await admin.ask('setSite', {
      siteCode,
      parentSiteCode: parent ?? '',
      address: address ?? '',
      ...(kind && { kind: wireKinds[kind] }),
      ...(description !== undefined && { description }),
    });
    const record = toSiteRecord(wire);
    output.record(record);
    output.sentence(`Site ${record.siteCode} is changed.`);
  },
});

const deleteSite = command({
  path: 'site delete',
  positionals: '<site-code>',
  summary: 'Take a site out of the hierarchy, with its DPs and all that was assigned to them',
  example: 'waybill site delete PS2 --yes',
  options: (parser) =>
    parser
      .positional('site-code', sitePositional)
      .option('force', flag('Delete its packages everywhere, too: it will never come back'))
      .option('yes', { ...flag('Do not ask'), alias: 'y' }),
  run: async ({ siteCode, force, yes }, session) => {
    if (!yes) {
      const effect = `site delete takes ${siteCode} out of the hierarchy with ${goingWith(force)}`;
      await confirmDeletion(session, effect, async () => deletionOf(siteCode, force));
    }
    const { admin, output } = session;
    const request = { siteCode, ...(force && { withPackages: true }) };
    const record = toSiteRecord(await admin.ask('deleteSite', request));
    output.record(record);
    output.sentence(`Site ${record.siteCode} is no longer part of the hierarchy.`);
  },
});

function goingWith(force: boolean): string {
  return force ? 'its DPs and its packages' : 'its DPs';
}

function deletionOf(siteCode: string, force: boolean): Deletion {
  return {
    name: siteCode,
    question: `Take site ${siteCode} out of the hierarchy with ${goingWith(force)}? Type its code to confirm: `,
    refusal: `Site ${siteCode} was not deleted`,
    facts: { siteCode },
  };
}

const rotateKey = command({
  path: 'site rotate-key',
  summary: 'Make a new signing key for a site; what the older one signed stays good for a while',
  example: 'waybill site rotate-key --site PS2',
  options: (parser) => parser.option('site', siteToAskOption),
  run: async ({ site }, session) => {
    const { admin, output } = await session.atSite(site);
    const record = toSiteRecord(await admin.ask('rotateSigningKey', {}));
    output.record(record);
    const [newest = 'none'] = record.signingKeyIds;
    output.sentence(`Site ${record.siteCode} signs with key ${newest} from now on.`);
  },
});

/** `waybill site …`. */
export const siteCommands: readonly Command[] = [
  showSite,
  listSites,
  addSite,
  enrollSite,
  setSite,
  deleteSite,
  rotateKey,
];

/** What is the same for all sites, or long, stands elsewhere: a row fits 80 columns. */
function toColumns(rows: readonly SiteRecord[], nowMs: number): readonly Column<SiteRecord>[] {
  const versions = new Set(rows.map((row) => row.agentVersion).filter((one) => one !== ''));
  return [
    { title: 'site', text: (row) => row.siteCode },
    { title: 'kind', text: ({ kind }) => kind.split('-')[0] ?? kind },
    { title: 'parent', text: (row) => row.parentSiteCode },
    { title: 'address', text: (row) => row.address },
    { title: 'DPs', text: (row) => toCountText(row.distributionPointCount), align: 'right' },
    { title: 'replication', text: toReplicationCell, tone: toneOfReplication },
    { title: 'heard', text: (row) => toHeardText(row, nowMs) },
    { title: 'version', text: (row) => (versions.size > 1 ? row.agentVersion : '') },
  ];
}

function toKindText({ kind }: SiteRecord): string {
  return kind.replaceAll('-', ' ');
}

function toHeardText({ replication }: SiteRecord, nowMs: number): string {
  return replication && replication.heardAtMs > 0 ? toAgeText(replication.heardAtMs, nowMs) : '';
}

function tellSite({ output, clock }: Session, record: SiteRecord): void {
  output.facts(record, [
    ['site', record.siteCode],
    ['kind', toKindText(record)],
    ['parent', record.parentSiteCode],
    ['address', record.address],
    ['description', record.description],
    ['version', record.agentVersion],
    ['DPs', toCountText(record.distributionPointCount)],
    ['replication', toReplicationText(record)],
    ['heard', toHeardText(record, clock.nowMs())],
    ...record.signingKeyIds.map((id) => ['signing key', id] as const),
  ]);
}

async function tellAnsweringSite(session: Session): Promise<void> {
  const { admin, output, clock, timeZone, serverAddress } = session;
  const record = toAnsweringSite(await admin.ask('getSite', {}));
  const started = toTimeText(record.startedAtMs, timeZone);
  output.facts(record, [
    ['site', record.siteCode],
    ['kind', record.kind.replaceAll('-', ' ')],
    ['parent', record.parentSiteCode],
    ['address', serverAddress],
    ['version', record.agentVersion],
    ['started', `${started} (${toAgeText(record.startedAtMs, clock.nowMs())})`],
  ]);
}

function toAnsweringSite(wire: Site__Output) {
  return {
    siteCode: wire.siteCode,
    kind: toWord('SITE_KIND_', wire.kind),
    parentSiteCode: wire.parentSiteCode,
    agentVersion: wire.agentVersion,
    startedAtMs: toCount(wire.startedAtMs, 'started_at_ms'),
  };
}

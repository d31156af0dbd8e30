import type { Setting__Output } from '../../shared/rpc/generated/waybill/v1/Setting.ts';
import { type Command, command } from './command.ts';
import { UsageError } from './command-failure.ts';
import {
  exclusiveFlag,
  option,
  repeatedPositional,
  siteCodeText,
  siteToAskOption,
} from './options.ts';
import type { Session } from './session.ts';
import type { Column } from './table.ts';

/** A setting, as `--json` shows it. */
type SettingRecord = ReturnType<typeof toSettingRecord>;

const ofSiteOption = option('site', 'Of this site; of the one that is asked', siteCodeText);

/** NAME=VALUE; what they may be, the site server knows. */
const assignmentText = {
  parse: (text: string) => {
    const at = text.indexOf('=');
    const [name, value] = [text.slice(0, at), text.slice(at + 1)];
    return at > 0 && value !== '' ? { name, value } : undefined;
  },
  expected: 'NAME=VALUE such as packages-at-once=5',
};
const nameText = {
  parse: (text: string) => (text !== '' && !text.includes('=') ? text : undefined),
  expected: 'the name of a setting such as packages-at-once',
};

const showSettings = command({
  path: 'settings show',
  isDefault: true,
  summary: 'What the components of a site are set to, and what else they may be',
  example: 'waybill settings show --site PS1',
  options: (parser) => parser.option('site', siteToAskOption),
  run: async ({ site }, connected) => {
    const { admin, output } = await connected.atSite(site);
    const rows = (await admin.list('listSettings', {})).map(toSettingRecord);
    output.list(rows, columns, 'There are no settings.');
  },
});

const setSettings = command({
  path: 'settings set',
  positionals: '<assignment..>',
  summary: 'Set limits and delays of a site; they act at once',
  example: 'waybill settings set --site PS1 packages-at-once=5',
  options: (parser) =>
    parser
      .positional('assignment', repeatedPositional('assignment', 'NAME=VALUE', assignmentText))
      .option('site', ofSiteOption),
  run: async ({ assignment, site }, session) => {
    await change(session, { site, changes: assignment });
  },
});

const resetSettings = command({
  path: 'settings reset',
  positionals: '[name..]',
  summary: 'Let settings be as the configuration of the site says again',
  example: 'waybill settings reset --site PS1 packages-at-once',
  options: (parser) =>
    parser
      .positional('name', {
        ...repeatedPositional('name', 'Settings', nameText),
        demandOption: false as const,
      })
      .option('all', exclusiveFlag('All settings'))
      .option('site', ofSiteOption),
  run: async ({ name = [], all = false, site }, session) => {
    if (all === name.length > 0) throw new UsageError('expected names of settings, or --all');
    const known = all ? await session.admin.list('listSettings', {}) : [];
    const names = all ? known.map((row) => row.name) : name;
    const changes = names.map((one) => ({ name: one, value: '' }));
    await change(session, { site, changes, isTold: all ? wasSet(known) : () => true });
  },
});

/** `waybill settings …`. */
export const settingCommands: readonly Command[] = [showSettings, setSettings, resetSettings];

const columns: readonly Column<SettingRecord>[] = [
  { title: 'setting', text: (row) => row.name, isWhole: true },
  { title: 'value', text: (row) => row.value, align: 'right' },
  { title: 'configured', text: toConfiguredText, align: 'right' },
  { title: 'range', text: (row) => `${row.min} to ${row.max}`, align: 'right', spare: 1 },
  { title: 'what', text: (row) => row.description, spare: 2 },
];

function toConfiguredText({ isSet, configured }: SettingRecord): string {
  return isSet ? (configured ?? '') : '';
}

/** A setting as it came from the site server. */
function toSettingRecord(wire: Setting__Output) {
  const configured = wire.configuredValue === '' ? null : wire.configuredValue;
  return {
    name: wire.name,
    siteCode: wire.siteCode,
    /** What holds now; of a setting of another site that is not set, only that site knows. */
    value: wire.setValue || (configured ?? ''),
    isSet: wire.setValue !== '',
    configured,
    min: wire.minValue,
    max: wire.maxValue,
    description: wire.description,
  };
}

/** What of another site was set nobody knows here: all of its settings may have been. */
function wasSet(known: readonly Setting__Output[]): (record: SettingRecord) => boolean {
  const before = new Map(known.map((row) => [`${row.siteCode} ${row.name}`, row.setValue !== '']));
  return ({ siteCode, name }) => before.get(`${siteCode} ${name}`) ?? true;
}

async function change(
  { admin, output }: Session,
  wanted: {
    readonly site: string | undefined;
    readonly changes: readonly { readonly name: string; readonly value: string }[];
    /** Of which settings it is said what they are now. @default all */
    readonly isTold?: (record: SettingRecord) => boolean;
  },
): Promise<void> {
  const siteCode = wanted.site ?? '';
  const answer = await admin.ask('setSettings', { siteCode, changes: [...wanted.changes] });
  const records = answer.settings.map(toSettingRecord);
  output.record(records);
  const told = records.filter(wanted.isTold ?? (() => true));
  for (const record of told) output.sentence(toSentence(record));
  if (told.length === 0) output.sentence('No setting was set: all are as configured.');
}

function toSentence({ name, siteCode, isSet, value }: SettingRecord): string {
  if (isSet) return `At site ${siteCode}, ${name} is ${value}.`;
  const what = value === '' ? '' : `, ${value}`;
  return `At site ${siteCode}, ${name} is as configured there${what}.`;
}

import type { Argv } from 'yargs';
import type { GroupRecord__Output } from '../../shared/rpc/generated/waybill/v1/GroupRecord.ts';
import { type Command, command, type GlobalArguments } from './command.ts';
import { UsageError } from './command-failure.ts';
import {
  anyText,
  distributionPointIdText,
  flag,
  groupNameText,
  option,
  positional,
  repeatedOption,
  repeatedPositional,
} from './options.ts';
import type { Session } from './session.ts';
import type { Column } from './table.ts';
import { toCountOf, toCountText } from './units.ts';

/** A group, as `--json` shows it. */
type GroupRecord = ReturnType<typeof toGroupRecord>;

const descriptionOption = option('description', 'Free text', anyText);

const listGroups = command({
  path: 'group list',
  isDefault: true,
  summary: 'All groups of distribution points',
  example: 'waybill group list',
  options: (parser) => parser,
  run: async (_args, { admin, output }) => {
    const groups = (await admin.list('listGroups', {})).map(toGroupRecord);
    output.list(groups, columns, 'There are no groups. "waybill group add" makes one.');
  },
});

const showGroup = command({
  path: 'group show',
  positionals: '<group>',
  summary: 'Who is in a group, and which packages it has',
  example: 'waybill group show Offices',
  options: (parser) => ofGroup(parser),
  run: async ({ group: groupName }, { admin, output }) => {
    const [wire] = await admin.list('listGroups', { groupName });
    if (!wire) return;
    const record = toGroupRecord(wire);
    output.facts(record, [
      ['group', record.groupName],
      ['description', record.description],
      ['DPs', record.dpIds.join(', ') || 'none'],
      ['packages', record.packageIds.join(', ') || 'none'],
    ]);
  },
});

const addGroup = command({
  path: 'group add',
  positionals: '<group>',
  summary: 'Make a group of distribution points, of whatever sites',
  example: 'waybill group add Offices --dp PS1DP1 --dp PS2DP1',
  options: (parser) =>
    ofGroup(parser)
      .option('dp', repeatedOption('dp', 'Who is in it; repeatable', distributionPointIdText))
      .option('description', descriptionOption),
  run: async ({ group: groupName, dp: dpIds = [], description = '' }, { admin, output }) => {
    const wire = await admin.ask('addGroup', { groupName, description, dpIds });
    const record = toGroupRecord(wire);
    output.record(record);
    const next = dpIds.length === 0 ? `. Next: waybill group join ${groupName} DP` : '';
    const count = toCountOf(record.dpIds.length, 'distribution point');
    output.sentence(`Group ${groupName} is made, with ${count}${next || '.'}`);
  },
});

const setGroup = command({
  path: 'group set',
  positionals: '<group>',
  summary: 'Change what is said of a group',
  example: 'waybill group set Offices --description "Offices in the north"',
  options: (parser) => ofGroup(parser).option('description', descriptionOption),
  run: async ({ group: groupName, description }, { admin, output }) => {
    if (description === undefined) {
      const others = '"waybill group join" and "waybill group leave" change who is in it';
      throw new UsageError(`expected something to set: --description; ${others}`);
    }
    output.record(toGroupRecord(await admin.ask('setGroup', { groupName, description })));
    output.sentence(`Group ${groupName} is changed.`);
  },
});

const deleteGroup = command({
  path: 'group delete',
  positionals: '<group>',
  summary: 'Delete a group; its distribution points keep what they have',
  example: 'waybill group delete Offices',
  options: (parser) => ofGroup(parser),
  run: async ({ group: groupName }, { admin, output }) => {
    output.record(toGroupRecord(await admin.ask('deleteGroup', { groupName })));
    output.sentence(`Group ${groupName} is deleted; its DPs keep what they have.`);
  },
});

const joinGroup = command({
  path: 'group join',
  positionals: '<group> <dp-id..>',
  summary: 'Bring distribution points into a group: they get what it has',
  example: 'waybill group join Offices PS1DP3 PS2DP2',
  options: (parser) => membersOf(parser),
  run: async ({ group: groupName, dpId: dpIds }, session) => {
    // All of them: that there is no such group is the site's to say, with whether this administrator may ask.
    const groups = await session.admin.list('listGroups', {});
    const before = groups.find((group) => group.groupName === groupName);
    const record = toGroupRecord(await session.admin.ask('joinGroup', { groupName, dpIds }));
    session.output.record(record);
    const isInAlready = (dpId: string) => before?.dpIds.includes(dpId) === true;
    tellJoined(session, record, {
      already: dpIds.filter(isInAlready),
      joined: dpIds.filter((dpId) => !isInAlready(dpId)),
    });
  },
});

const leaveGroup = command({
  path: 'group leave',
  positionals: '<group> <dp-id..>',
  summary: 'Take distribution points out of a group; they keep what they have',
  example: 'waybill group leave Offices PS1DP3 --drop',
  options: (parser) =>
    membersOf(parser).option('drop', flag('Take the packages of the group off them')),
  run: async ({ group: groupName, dpId: dpIds, drop }, session) => {
    const wire = await session.admin.ask('leaveGroup', { groupName, dpIds, drop });
    session.output.record(toGroupRecord(wire));
    tellLeft(session, { groupName, dpIds, drop });
  },
});

/** `waybill group …`. */
export const groupCommands: readonly Command[] = [
  listGroups,
  showGroup,
  addGroup,
  setGroup,
  deleteGroup,
  joinGroup,
  leaveGroup,
];

const columns: readonly Column<GroupRecord>[] = [
  { title: 'group', text: (row) => row.groupName },
  { title: 'DPs', text: (row) => toCountText(row.dpIds.length), align: 'right' },
  { title: 'packages', text: (row) => toCountText(row.packageIds.length), align: 'right' },
  { title: 'description', text: (row) => row.description },
];

/** A group as it came from the site server. */
export function toGroupRecord({ groupName, description, dpIds, packageIds }: GroupRecord__Output) {
  return { groupName, description, dpIds, packageIds };
}

function ofGroup(parser: Argv<GlobalArguments>) {
  return parser.positional('group', positional('group', 'Group', groupNameText));
}

function membersOf(parser: Argv<GlobalArguments>) {
  const dpIds = repeatedPositional('dp-id', 'Distribution points', distributionPointIdText);
  return ofGroup(parser).positional('dp-id', dpIds);
}

function tellJoined(
  { output }: Session,
  record: GroupRecord,
  { already, joined }: { already: readonly string[]; joined: readonly string[] },
): void {
  const { groupName, packageIds } = record;
  if (already.length > 0) output.sentence(`${toNames(already)} in group ${groupName} already.`);
  if (joined.length === 0) return;
  const gets = packageIds.length > 0 ? `, and ${getsWhat(joined, record)}` : '';
  output.sentence(`${toNames(joined)} in group ${groupName}${gets}.`);
}

function tellLeft(
  { output }: Session,
  { groupName, dpIds, drop }: { groupName: string; dpIds: readonly string[]; drop: boolean },
): void {
  const have = dpIds.length === 1 ? 'it has' : 'they have';
  const what = drop
    ? 'the packages of the group leave, but for those of another of their groups'
    : `what ${have} stays`;
  output.sentence(`${toNames(dpIds)} no longer in group ${groupName}; ${what}.`);
}

function toNames(dpIds: readonly string[]): string {
  return `${dpIds.join(', ')} ${dpIds.length === 1 ? 'is' : 'are'}`;
}

function getsWhat(dpIds: readonly string[], { packageIds }: GroupRecord): string {
  const gets = dpIds.length === 1 ? 'gets' : 'get';
  return `${gets} its ${toCountOf(packageIds.length, 'package')}`;
}

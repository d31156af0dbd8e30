import type { Argv } from 'yargs';
import { closedTargetWarnings, tellWarnings, withWarnings } from './closed-ways.ts';
import { type Command, command, type GlobalArguments } from './command.ts';
import { UsageError } from './command-failure.ts';
import {
  distributionPointIdText,
  flag,
  groupNameText,
  repeatedOption,
  siteCodeText,
} from './options.ts';
import { previewDistribution } from './package-preview.ts';
import { toPackageRecord } from './package-record.ts';
import { packageIdPositional } from './package-request.ts';
import { type PackageStatusRecord, toPackageStatusRecord } from './package-status-record.ts';
import { updateHint } from './package-wait.ts';
import type { Session } from './session.ts';
import { type TargetRequest, TargetSites } from './target-sites.ts';
import { whenDoneAtSites } from './target-sites-wait.ts';
import type { TargetsGoal } from './targets-view.ts';

/** What the three commands do differently. */
interface TargetAction {
  readonly method: 'distributePackage' | 'redistributePackage' | 'removePackage';
  readonly goal: TargetsGoal;
  /** It happens also to what is there already. */
  readonly isRepair?: boolean;
  /** Such as "goes to". */
  readonly accepted: string;
  /** Such as "is on". */
  readonly done: string;
  /** Why nothing happens. */
  readonly nothing: string;
  /** What the groups are told, such as "is given to". */
  readonly ofGroups?: string;
}

/** States on the way to a goal: an earlier request is awaited as well. */
const underWayTo: Readonly<Record<TargetsGoal, ReadonlySet<PackageStatusRecord['state']>>> = {
  installed: new Set(['install-pending', 'install-retrying', 'content-updating']),
  removed: new Set(['removal-pending', 'removal-retrying']),
};

interface TargetArguments {
  readonly packageId: string;
  readonly dp: string[] | undefined;
  readonly site: string[] | undefined;
  readonly group: string[] | undefined;
  readonly all: boolean;
  readonly wait: boolean;
}

const distributePackage = command({
  path: 'package distribute',
  positionals: '<package-id>',
  summary: 'Send a package to distribution points',
  example: 'waybill package distribute PS100001 --dp PS1DP1 --dp PS1DP2 --wait',
  options: (parser) =>
    targetOptions(parser, 'All DPs of the site; of the whole hierarchy when it has none').option(
      'preview',
      flag('Say what would travel and how long that takes; do nothing'),
    ),
  run: (args, session) =>
    args.preview
      ? preview(args, session)
      : act(args, session, {
          method: 'distributePackage',
          goal: 'installed',
          accepted: 'goes to',
          done: 'is on, verified:',
          nothing: 'they all have it, or are about to',
          ofGroups: 'is given to',
        }),
});

const redistributePackage = command({
  path: 'package redistribute',
  positionals: '<package-id>',
  summary: 'Send every file of the same version again, to repair a library',
  example: 'waybill package redistribute PS100001 --dp PS1DP1 --wait',
  options: (parser) => targetOptions(parser, 'All DPs that have it'),
  run: (args, session) =>
    act(args, session, {
      method: 'redistributePackage',
      isRepair: true,
      goal: 'installed',
      accepted: 'is sent again to',
      done: 'was sent again, verified, to',
      nothing: 'none of them has it',
    }),
});

const removePackage = command({
  path: 'package remove',
  positionals: '<package-id>',
  summary: 'Take a package off distribution points',
  example: 'waybill package remove PS100001 --dp PS1DP2',
  options: (parser) => targetOptions(parser, 'All DPs that have it'),
  run: (args, session) =>
    act(args, session, {
      method: 'removePackage',
      goal: 'removed',
      accepted: 'is being removed from',
      done: 'is removed from',
      nothing: 'none of them has it',
      ofGroups: 'is taken off',
    }),
});

/** `waybill package …` for what is on which distribution point. */
export const packageTargetCommands: readonly Command[] = [
  distributePackage,
  redistributePackage,
  removePackage,
];

/** The options that say which DPs are meant. */
export function targetOptions(parser: Argv<GlobalArguments>, allDescribe: string) {
  return parser
    .positional('package-id', packageIdPositional)
    .option('dp', repeatedOption('dp', 'Distribution point; repeatable', distributionPointIdText))
    .option('site', repeatedOption('site', 'All DPs of this site; repeatable', siteCodeText))
    .option('group', repeatedOption('group', 'The DPs of this group; repeatable', groupNameText))
    .option('all', flag(allDescribe))
    .option('wait', flag('Wait until it is done, with progress'));
}

async function preview(args: TargetArguments, session: Session): Promise<void> {
  const { packageId, all, wait } = args;
  if (wait) throw new UsageError('--preview and --wait exclude each other: nothing would happen');
  const { requested, sites, groups } = requireTargets(args);
  const names = { dpIds: requested, siteCodes: sites, groupNames: groups };
  return previewDistribution(session, { packageId, all, ...names });
}

/** @throws UsageError */
function requireTargets({ all, dp = [], site = [], group = [] }: TargetArguments) {
  const requested = [...new Set(dp)];
  const sites = [...new Set(site)];
  const groups = [...new Set(group)];
  if (all !== requested.length + sites.length + groups.length > 0) {
    return { requested, sites, groups };
  }
  throw new UsageError('expected either --dp, --site or --group (once or several times) or --all');
}

async function act(args: TargetArguments, session: Session, action: TargetAction): Promise<void> {
  const { packageId, all, wait } = args;
  const { requested, sites, groups } = requireTargets(args);
  const { goal, isRepair = false } = action;
  const members = await membersOf(session, groups);
  const isMeant = await meantTargets(session, { all, requested, sites, members });
  const asked = { packageId, goal, isRepair, isMeant };
  const places = wait ? await TargetSites.look(session, asked) : undefined;
  const ofSites = sites.length > 0 ? { siteCodes: sites } : {};
  const ofGroups = groups.length > 0 ? { groupNames: groups } : {};
  const request = { packageId, dpIds: requested, allDps: all, ...ofSites, ...ofGroups };
  const lacking = goal === 'removed' ? await lackingOf(session, packageId, groups) : [];
  const accepted = await session.admin.ask(action.method, request);
  const told = groups.filter((group) => !lacking.includes(group));
  if (lacking.length > 0) {
    const verb = lacking.length > 1 ? 'do' : 'does';
    session.output.sentence(`Package ${packageId}: ${groupsText(lacking)} ${verb} not have it.`);
  }
  if (told.length > 0 && action.ofGroups) {
    session.output.sentence(`Package ${packageId} ${action.ofGroups} ${groupsText(told)}.`);
  }
  const underWay = places?.underWay(underWayTo[goal]) ?? [];
  const dpIds = [...new Set([...accepted.dpIds, ...underWay])];
  if (!places || dpIds.length === 0) {
    const isNobody = groups.length > 0 && members.size + requested.length + sites.length === 0;
    const hasGroups = told.length > 0;
    const meant = { ...action, isMeant, isNobody, hasGroups, hasLacking: lacking.length > 0 };
    return await tellAccepted(session, { packageId, dpIds }, meant);
  }
  const status = await whenDoneAtSites(session, places, { packageId, goal, dpIds });
  session.output.record({ packageId, dpIds, status });
  session.output.sentence(`Package ${packageId} ${action.done} ${dpIds.join(', ')}.`);
}

/** Which DPs are of what was asked for; with `--all`, of the site that answers, unless it has no DPs. */
export async function meantTargets(
  { admin }: Session,
  asked: { all: boolean; requested: string[]; sites: string[]; members: ReadonlySet<string> },
): Promise<TargetRequest['isMeant']> {
  const { all, requested, sites, members } = asked;
  const site = all ? await admin.ask('getSite', {}) : undefined;
  const isWhole = site?.kind === 'SITE_KIND_CENTRAL_ADMINISTRATION';
  return ({ dpId, siteCode }) => {
    if (site) return isWhole || siteCode === site.siteCode;
    return requested.includes(dpId) || sites.includes(siteCode) || members.has(dpId);
  };
}

/** The DPs of these groups. @throws GROUP_UNKNOWN */
export async function membersOf(
  { admin }: Session,
  groups: readonly string[],
): Promise<ReadonlySet<string>> {
  const members = new Set<string>();
  for (const groupName of groups) {
    const [group] = await admin.list('listGroups', { groupName });
    for (const dpId of group?.dpIds ?? []) members.add(dpId);
  }
  return members;
}

/** Of these groups those that do not have the package: what their DPs have, they have otherwise. */
async function lackingOf(
  { admin }: Session,
  packageId: string,
  groups: readonly string[],
): Promise<string[]> {
  const lacking: string[] = [];
  for (const groupName of groups) {
    const [group] = await admin.list('listGroups', { groupName });
    if (!group?.packageIds.includes(packageId)) lacking.push(groupName);
  }
  return lacking;
}

function groupsText(groups: readonly string[]): string {
  return `${groups.length > 1 ? 'groups' : 'group'} ${groups.join(', ')}`;
}

async function tellAccepted(
  session: Session,
  accepted: { packageId: string; dpIds: string[] },
  action: Meant,
): Promise<void> {
  const { output } = session;
  const { packageId, dpIds } = accepted;
  const isSent = action.goal === 'installed' && dpIds.length > 0;
  const warnings = isSent ? closedTargetWarnings(packageId, dpIds) : undefined;
  output.record(await withWarnings(session, { packageId, dpIds, status: [] }, [], warnings));
  if (dpIds.length === 0) {
    output.sentence(`Package ${packageId}: ${await toNothingText(session, packageId, action)}.`);
    return;
  }
  output.sentence(`Package ${packageId} ${action.accepted} ${dpIds.join(', ')}.`);
  if (action.goal === 'installed') await tellUnpublished(session, packageId);
  await tellWarnings(session, [], warnings);
}

/** A command, and what it is about. */
interface Meant extends TargetAction, Pick<TargetRequest, 'isMeant'> {
  /** Groups were told; of a removal, those that had the package. */
  readonly hasGroups: boolean;
  /** It was to be taken off groups that do not have it, which has been said. */
  readonly hasLacking: boolean;
  /** Only groups are named, and nobody is in them. */
  readonly isNobody: boolean;
}

/** Why nothing happens on any DP. */
async function toNothingText(session: Session, packageId: string, action: Meant): Promise<string> {
  if (action.isNobody) {
    const joining = action.goal === 'installed' && action.ofGroups ? '; who joins gets it' : '';
    return `no distribution point is in the group yet${joining}`;
  }
  if (action.goal !== 'removed') return `nothing to do, ${action.nothing}`;
  const { admin } = session;
  const rows = (await admin.list('listPackageStatus', { packageId })).map(toPackageStatusRecord);
  const meant = rows.filter((row) => row.dpId !== '' && action.isMeant(row));
  const isLeaving = ({ state }: PackageStatusRecord) => underWayTo.removed.has(state);
  const leaving = meant.filter(isLeaving).map(({ dpId }) => dpId);
  const staying = meant.filter((row) => !isLeaving(row)).map(({ dpId }) => dpId);
  if (leaving.length > 0) return `removal is on its way from ${leaving.join(', ')}`;
  if (action.hasLacking && !action.hasGroups) return 'nothing to do';
  if (staying.length === 0 || !action.hasGroups) return `nothing to do, ${action.nothing}`;
  return `it stays on ${staying.join(', ')}, since another of their groups has it`;
}

/** Nothing is on its way when nothing was ever published. */
async function tellUnpublished({ admin, output }: Session, packageId: string): Promise<void> {
  const { state, sourceVersion, reason } = toPackageRecord(
    await admin.ask('getPackage', { packageId }),
  );
  if (state !== 'failed' || sourceVersion > 0) return;
  output.sentence(
    `It waits, since nothing of it is published: ${reason}. ${updateHint(packageId)}.`,
  );
}

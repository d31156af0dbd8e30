import type { Argv } from 'yargs';
import type { AdminRequest } from './admin-channel.ts';
import type { GlobalArguments } from './command.ts';
import { UsageError } from './command-failure.ts';
import {
  distributionPointIdText,
  durationText,
  flag,
  groupNameText,
  option,
  packageIdText,
  parsedWords,
  repeatedOption,
  siteCodeText,
  wholeNumberText,
} from './options.ts';
import type { Session } from './session.ts';
import { toSiteRecord } from './site-record.ts';

/** Which jobs a command means, as it was typed. */
export interface JobArguments {
  readonly jobs: readonly number[] | undefined;
  readonly package: string | undefined;
  readonly dp: string | undefined;
  readonly group: string | undefined;
  readonly failed: boolean;
  readonly olderThan: number | undefined;
  readonly all: boolean;
  readonly site: string[] | undefined;
  readonly allSites: boolean;
}

/** The number of a job; larger ones there are none. */
const jobSerialText = wholeNumberText(Number.MAX_SAFE_INTEGER);

/** The options that say which jobs are meant. */
export function selectionOptions(parser: Argv<GlobalArguments>) {
  return parser
    .positional('jobs', {
      type: 'string',
      array: true,
      describe: 'Jobs by their numbers, as "waybill jobs" shows them',
      coerce: (given: readonly string[]) => parsedWords('jobs', given, jobSerialText),
    })
    .option('package', option('package', 'Jobs of this package', packageIdText))
    .option('dp', option('dp', 'Jobs for this distribution point', distributionPointIdText))
    .option('group', option('group', 'Jobs for the DPs of this group', groupNameText))
    .option('failed', flag('Only jobs whose last try failed'))
    .option('older-than', option('older-than', 'Only jobs made longer ago', durationText))
    .option('all', flag('Every open job'))
    .option('site', repeatedOption('site', 'At this site; repeatable', siteCodeText))
    .option('all-sites', flag('At every site with distribution points'));
}

/** A job's number as the value of an option. */
export function jobSerialOption(name: string, describe: string) {
  return option(name, describe, jobSerialText);
}

/** The selection as it is asked for. @throws UsageError when it says nothing, or two things */
export function toJobSelection(args: JobArguments): AdminRequest<'cancelJobs'> {
  const { package: packageId = '', dp: dpId = '', group: groupName = '', failed, all } = args;
  const olderThanMs = args.olderThan ?? 0;
  const hasCondition = packageId + dpId + groupName !== '' || failed || olderThanMs > 0;
  const { jobs = [] } = args;
  if (jobs.length > 0 === (hasCondition || all)) {
    const ways = '--package, --dp, --group, --failed, --older-than or --all';
    throw new UsageError(`expected either jobs by number, or ${ways}`);
  }
  if (all && hasCondition) {
    throw new UsageError('expected --all, or what the jobs have in common, not both');
  }
  if (jobs.length > 0) return { jobSerials: [...jobs] };
  return { packageId, dpId, groupName, failedOnly: failed, olderThanMs, all };
}

/**
 * The sites at which a command is said: those that were named; else that of the named DP; where the
 * connected one has no DPs of its own, or a group is meant, every site that has some; else that one.
 *
 * @throws UsageError, SITE_UNKNOWN, CommandFailure SITE_ADDRESS_UNKNOWN
 */
export async function siteCodesFor(session: Session, args: JobArguments): Promise<string[]> {
  const { admin } = session;
  const { site = [], allSites, dp, group, jobs = [] } = args;
  if (allSites && site.length > 0) throw new UsageError('expected --site or --all-sites, not both');
  if (site.length > 0) return [...new Set(site)];
  const { siteCode: own } = await admin.ask('getSite', {});
  if (allSites) return sitesWithPoints(session);
  if (dp !== undefined) {
    const points = await admin.list('listDistributionPoints', {});
    return [points.find(({ dpId }) => dpId === dp)?.siteCode ?? own];
  }
  // Numbers are those of one site.
  if (jobs.length > 0) return [own];
  const withPoints = await sitesWithPoints(session);
  const isMeantWide = group !== undefined || !withPoints.includes(own);
  return isMeantWide && withPoints.length > 0 ? withPoints : [own];
}

/** The sites that have DPs, by code. */
export async function sitesWithPoints({ admin }: Session): Promise<string[]> {
  const sites = (await admin.list('listSites', {})).map(toSiteRecord);
  const found = sites.filter(({ distributionPointCount }) => distributionPointCount > 0);
  return found.map(({ siteCode }) => siteCode).sort();
}

import { toDurationText } from '../../shared/runtime/duration-text.ts';
import { toTimeText } from '../../shared/runtime/time-text.ts';
import { type Command, command } from './command.ts';
import { UsageError } from './command-failure.ts';
import {
  type JobRecord,
  toJobRecord,
  toNextTryText,
  toneOfJob,
  toProgress,
  toReasonText,
  toStateText,
} from './job-record.ts';
import { sitesWithPoints } from './job-selection.ts';
import { watchJobs } from './job-watch.ts';
import { atEachSite, type JobOfSite, throwFailures } from './jobs-at-sites.ts';
import {
  countText,
  distributionPointIdText,
  flag,
  option,
  packageIdText,
  siteToAskOption,
} from './options.ts';
import { percentOf } from './progress.ts';
import type { Session } from './session.ts';
import type { Column } from './table.ts';
import { toByteText, toRateText, toWaitText } from './units.ts';

const packageOption = option('package', 'Only this package', packageIdText);
const dpOption = option('dp', 'Only this distribution point', distributionPointIdText);

const listJobs = command({
  path: 'jobs list',
  isDefault: true,
  summary: 'Open jobs in queue order, or those that ended',
  example: 'waybill jobs --history --package PS100001',
  options: (parser) =>
    parser
      .option('history', flag('Ended jobs, newest first'))
      .option('package', packageOption)
      .option('dp', dpOption)
      .option('limit', option('limit', 'At most so many', countText))
      .option('site', siteToAskOption)
      .option('all-sites', flag('Of every site that has DPs: each is asked itself')),
  run: async (args, session) => {
    const { package: packageId = '', dp: dpId = '', history, limit = 0, site, allSites } = args;
    if (allSites && site !== undefined) {
      throw new UsageError('expected --site or --all-sites, not both');
    }
    const request = { packageId, dpId, history, limit };
    const ask = async ({ admin }: Session) =>
      (await admin.list('listJobs', request)).map(toJobRecord);
    if (allSites) return listAll(session, history, ask);
    const there = await session.atSite(site);
    const jobs = await ask(there);
    const columns = columnsFor(there, history);
    const empty = history ? 'No job has ended yet.' : 'No job is open.';
    const isWide = site === undefined && jobs.length === 0 && (await isWithoutPoints(there));
    there.output.list(jobs, columns, isWide ? `${empty} ${allSitesHint}` : empty);
  },
});

const allSitesHint =
  'Jobs are those of the site that is asked, which has no DPs: "waybill jobs --all-sites" asks the others.';

/** Each site knows its own jobs only. @throws CommandFailure TARGETS_FAILED of sites that cannot be asked */
async function listAll(
  session: Session,
  history: boolean,
  ask: (session: Session) => Promise<JobRecord[]>,
): Promise<void> {
  const siteCodes = await sitesWithPoints(session);
  const { jobs, failures } = await atEachSite(session, siteCodes, ask);
  const columns: readonly Column<JobOfSite>[] = [
    { title: 'site', text: (job: JobOfSite) => job.siteCode },
    ...columnsFor(session, history),
  ];
  const empty = history ? 'No job has ended yet.' : 'No job is open at any site.';
  if (jobs.length > 0 || failures.length === 0) session.output.list(jobs, columns, empty);
  throwFailures(session, siteCodes, failures);
}

async function isWithoutPoints({ admin }: Session): Promise<boolean> {
  const { kind } = await admin.ask('getSite', {});
  return kind === 'SITE_KIND_CENTRAL_ADMINISTRATION';
}

function columnsFor({ clock, timeZone }: Session, history: boolean): readonly Column<JobRecord>[] {
  return history ? historyColumns(timeZone) : openColumns(clock.nowMs());
}

const watchJobsCommand = command({
  path: 'jobs watch',
  summary: 'Jobs as they go, until Ctrl-C: bars on a terminal, a line for each change elsewhere',
  example: 'waybill jobs watch --dp PS1DP1',
  options: (parser) =>
    parser.option('package', packageOption).option('dp', dpOption).option('site', siteToAskOption),
  run: async ({ package: packageId = '', dp: dpId = '', site }, session) =>
    watchJobs(await session.atSite(site), { packageId, dpId }),
});

/** `waybill jobs …`. */
export const jobCommands: readonly Command[] = [listJobs, watchJobsCommand];

const namingColumns: readonly Column<JobRecord>[] = [
  { title: 'job', text: (job) => String(job.jobSerial), align: 'right' },
  { title: 'package', text: (job) => job.packageId },
  { title: 'version', text: (job) => String(job.sourceVersion), align: 'right', spare: 4 },
  { title: 'to', text: (job) => job.dpId },
  { title: 'action', text: (job) => job.action, spare: 1 },
  { title: 'state', text: toStateText, tone: toneOfJob },
];

function openColumns(nowMs: number): readonly Column<JobRecord>[] {
  return [
    {
      title: 'place',
      text: (job) => (job.queuePlace ? String(job.queuePlace) : ''),
      align: 'right',
    },
    ...namingColumns,
    { title: 'priority', text: (job) => job.priority, spare: 5 },
    { title: 'done', text: toPercentText, align: 'right' },
    {
      ...{ title: 'left', text: (job: JobRecord) => toByteText(job.remainingBytes) },
      ...({ align: 'right', spare: 3 } as const),
    },
    { title: 'rate', text: toJobRateText, align: 'right', spare: 2 },
    { title: 'ETA', text: (job) => (job.etaMs ? toWaitText(job.etaMs) : ''), align: 'right' },
    { title: 'tries', text: (job) => String(job.tryCount), align: 'right', spare: 6 },
    { title: 'next try', text: (job) => toNextTryText(job, nowMs), spare: 2 },
    { title: 'why it waits', text: toReasonText },
  ];
}

function historyColumns(timeZone: string | undefined): readonly Column<JobRecord>[] {
  return [
    ...namingColumns,
    { title: 'ended', text: (job) => toTimeText(job.endedAtMs, timeZone) },
    { title: 'took', text: toTookText, align: 'right', spare: 3 },
    { title: 'size', text: (job) => toByteText(job.totalBytes), align: 'right', spare: 5 },
    { title: 'sent', text: (job) => toByteText(job.bytesSent), align: 'right', spare: 2 },
    { title: 'tries', text: (job) => String(job.tryCount), align: 'right', spare: 6 },
    { title: 'reason', text: (job) => job.reason },
  ];
}

function toPercentText(job: JobRecord): string {
  return job.totalBytes === 0 ? '' : `${percentOf(toProgress(job))} %`;
}

function toJobRateText({ bytesPerSecond }: JobRecord): string {
  return bytesPerSecond > 0 ? toRateText(bytesPerSecond) : '';
}

function toTookText({ startedAtMs, endedAtMs }: JobRecord): string {
  return startedAtMs > 0 && endedAtMs > 0 ? toDurationText(endedAtMs - startedAtMs) : '';
}

import { toDurationText } from '../../shared/runtime/duration-text.ts';
import { toTimeText } from '../../shared/runtime/time-text.ts';
import { type Command, command } from './command.ts';
import {
  type JobRecord,
  toJobRecord,
  toNextTryText,
  toneOfJob,
  toProgress,
  toReasonText,
  toStateText,
} from './job-record.ts';
import { watchJobs } from './job-watch.ts';
import {
  countText,
  distributionPointIdText,
  flag,
  option,
  packageIdText,
  siteToAskOption,
} from './options.ts';
import { percentOf } from './progress.ts';
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
      .option('site', siteToAskOption),
  run: async (args, session) => {
    const { admin, output, clock, timeZone } = await session.atSite(args.site);
    const { package: packageId = '', dp: dpId = '', history, limit = 0 } = args;
    const jobs = (await admin.list('listJobs', { packageId, dpId, history, limit })).map(
      toJobRecord,
    );
    const columns = history ? historyColumns(timeZone) : openColumns(clock.nowMs());
    output.list(jobs, columns, history ? 'No job has ended yet.' : 'No job is open.');
  },
});

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

import type { AdminRequest } from './admin-channel.ts';
import { type Command, command } from './command.ts';
import { UsageError } from './command-failure.ts';
import { confirmDeletion } from './confirm-deletion.ts';
import { type JobRecord, toJobRecord, toneOfJob, toReasonText, toStateText } from './job-record.ts';
import {
  type JobArguments,
  jobSerialOption,
  selectionOptions,
  siteCodesFor,
  toJobSelection,
} from './job-selection.ts';
import { atEachSite, type JobOfSite, throwFailures } from './jobs-at-sites.ts';
import { exclusiveFlag, flag } from './options.ts';
import type { Session } from './session.ts';
import type { Column } from './table.ts';
import { toCountOf, toCountText } from './units.ts';

type Selection = AdminRequest<'cancelJobs'>;

/** A job as a command leaves it. */
type SteeredJob = JobRecord & {
  /** Of `jobs move`: whether it has another place than before. */
  readonly moved?: boolean;
};

/** One of the five commands. */
interface SteeringAction {
  readonly ask: (session: Session, selection: Selection) => Promise<SteeredJob[]>;
  /** Such as "suspended". */
  readonly done: string;
  /** That no job is meant. */
  readonly nothing: string;
}

const suspendJobs = command({
  path: 'jobs suspend',
  positionals: '[jobs..]',
  summary: 'Stop jobs until they are resumed; what has arrived stays',
  example: 'waybill jobs suspend --dp PS1DP1',
  options: selectionOptions,
  run: (args, session) =>
    steer(args, session, {
      ask: asking('suspendJobs'),
      done: 'suspended. "waybill jobs resume" lets them go on',
      nothing: 'No open job is meant that is not suspended already.',
    }),
});

const resumeJobs = command({
  path: 'jobs resume',
  positionals: '[jobs..]',
  summary: 'Let suspended jobs go on where they were',
  example: 'waybill jobs resume --package PS100001',
  options: selectionOptions,
  run: (args, session) =>
    steer(args, session, {
      ask: asking('resumeJobs'),
      done: 'resumed',
      nothing: 'No suspended job is meant.',
    }),
});

const runJobs = command({
  path: 'jobs run',
  positionals: '[jobs..]',
  summary: 'Try jobs now: whatever the schedule says, and before their next try is due',
  example: 'waybill jobs run 17',
  options: selectionOptions,
  run: (args, session) =>
    steer(args, session, {
      ask: asking('runJobs'),
      done: 'due now',
      nothing: 'No open job is meant. "waybill retry" runs those that have failed again.',
    }),
});

const moveJobs = command({
  path: 'jobs move',
  positionals: '[jobs..]',
  summary: 'Put jobs first, last or before another one, among those of the same priorities',
  example: 'waybill jobs move 17 --first',
  options: (parser) =>
    selectionOptions(parser)
      .option('first', exclusiveFlag('Before all others'))
      .option('last', exclusiveFlag('Behind all others'))
      .option('before', jobSerialOption('before', 'Before this job')),
  run: (args, session) => {
    const place = toPlace(args);
    const ask = async ({ admin }: Session, jobs: Selection) => {
      const list = async (selection: Selection) =>
        (await admin.list('moveJobs', { jobs: selection, ...place })).map(toJobRecord);
      const before = await list({ ...jobs, lookOnly: true });
      return withMoved(before, await list(jobs));
    };
    return steer(args, session, { ask, done: 'moved', nothing: 'No open job is meant.' });
  },
});

const cancelJobs = command({
  path: 'jobs cancel',
  positionals: '[jobs..]',
  summary: 'End jobs for good; a DP that does not answer is told when it does',
  example: 'waybill jobs cancel --package PS100001 --yes',
  options: (parser) =>
    selectionOptions(parser).option('yes', { ...flag('Do not ask'), alias: 'y' }),
  run: async (args, session) => {
    if (!args.yes) await confirmCancel(args, session);
    await steer(args, session, {
      ask: asking('cancelJobs'),
      done: 'cancelled',
      nothing: 'No open job is meant.',
    });
  },
});

/** `waybill jobs …` that change something. */
export const jobSteeringCommands: readonly Command[] = [
  moveJobs,
  suspendJobs,
  resumeJobs,
  runJobs,
  cancelJobs,
];

function asking(method: 'suspendJobs' | 'resumeJobs' | 'runJobs' | 'cancelJobs') {
  return async ({ admin }: Session, selection: Selection) =>
    (await admin.list(method, selection)).map(toJobRecord);
}

async function steer(args: JobArguments, session: Session, action: SteeringAction): Promise<void> {
  const selection = toJobSelection(args);
  const siteCodes = await siteCodesFor(session, args);
  const ask = (at: Session) => action.ask(at, selection);
  const { jobs, failures } = await atEachSite(session, siteCodes, ask);
  tell(session, jobs, { ...action, hasFailures: failures.length > 0 });
  throwFailures(session, siteCodes, failures);
}

function tell(
  { output }: Session,
  jobs: readonly JobOfSite[],
  action: SteeringAction & { readonly hasFailures: boolean },
): void {
  // An empty list would say that nothing was meant.
  if (jobs.length === 0 && action.hasFailures) return;
  output.list(jobs, columnsOf(jobs), action.nothing);
  if (jobs.length === 0) return;
  const unconfirmed = jobs.filter((job) => job.unconfirmed);
  const staying = jobs.filter(({ moved }: SteeredJob) => moved === false);
  const doneCount = jobs.length - staying.length;
  output.line('');
  if (doneCount > 0) output.sentence(`${toCountOf(doneCount, 'job')} ${action.done}.`);
  if (staying.length > 0) output.sentence(toStayingText(staying));
  if (unconfirmed.length === 0) return;
  const dpIds = [...new Set(unconfirmed.map(({ dpId }) => dpId))];
  const count = toCountText(unconfirmed.length);
  output.sentence(
    `${count} of them unconfirmed: ${dpIds.join(', ')} did not answer, and is told when it does.`,
  );
}

/** Which jobs are where they were; one that does not wait has no place to tell it by. */
function withMoved(before: readonly JobRecord[], jobs: readonly JobRecord[]): SteeredJob[] {
  const places = new Map(before.map((job) => [job.jobSerial, job.queuePlace]));
  return jobs.map((job) => {
    const { jobSerial, queuePlace } = job;
    return { ...job, moved: queuePlace === 0 || places.get(jobSerial) !== queuePlace };
  });
}

function toStayingText(staying: readonly JobOfSite[]): string {
  const [job] = staying;
  const what =
    job && staying.length === 1
      ? `Job ${job.jobSerial} stays at place ${job.queuePlace}`
      : `${toCountOf(staying.length, 'job')} stay where they were`;
  return `${what}: jobs are moved only among those of the same priorities.`;
}

function columnsOf(jobs: readonly JobOfSite[]): readonly Column<JobOfSite>[] {
  const isOfSeveral = new Set(jobs.map(({ siteCode }) => siteCode)).size > 1;
  return [
    ...(isOfSeveral ? [{ title: 'site', text: (job: JobOfSite) => job.siteCode }] : []),
    { title: 'job', text: (job) => String(job.jobSerial), align: 'right' },
    { title: 'package', text: (job) => job.packageId },
    { title: 'to', text: (job) => job.dpId },
    { title: 'state', text: toStateText, tone: toneOfJob },
    {
      title: 'place',
      text: (job) => (job.queuePlace ? String(job.queuePlace) : ''),
      align: 'right',
    },
    { title: 'reason', text: toReasonText },
  ];
}

function toPlace(args: {
  readonly first: boolean | undefined;
  readonly last: boolean | undefined;
  readonly before: number | undefined;
}) {
  const { first = false, last = false, before } = args;
  if (Number(first) + Number(last) + Number(before !== undefined) !== 1) {
    throw new UsageError('expected one of --first, --last and --before');
  }
  if (before !== undefined) return { beforeJobSerial: before };
  return first ? { first: true } : { last: true };
}

/** Several at once are asked about. @throws UsageError, CommandFailure NOT_CONFIRMED */
async function confirmCancel(args: JobArguments, session: Session): Promise<void> {
  const selection = { ...toJobSelection(args), lookOnly: true };
  const siteCodes = await siteCodesFor(session, args);
  const look = asking('cancelJobs');
  // Who cannot be asked what is meant says so once more when it is cancelled.
  const { jobs } = await atEachSite(session, siteCodes, (at) => look(at, selection));
  if (jobs.length <= 1) return;
  const what = `${toCountText(jobs.length)} jobs`;
  await confirmDeletion(session, `this cancels ${what}`, async () => ({
    name: 'yes',
    question: `Cancel ${what}? Type yes to confirm: `,
    refusal: 'Nothing was cancelled.',
    facts: { jobs: String(jobs.length) },
  }));
}

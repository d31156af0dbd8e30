import type { AdminRequest } from './admin-channel.ts';
import { type Command, command } from './command.ts';
import { CommandFailure, UsageError } from './command-failure.ts';
import { confirmDeletion } from './confirm-deletion.ts';
import { type JobRecord, toJobRecord, toneOfJob, toReasonText, toStateText } from './job-record.ts';
import {
  type JobArguments,
  jobSerialOption,
  selectionOptions,
  siteCodesFor,
  toJobSelection,
} from './job-selection.ts';
import { exclusiveFlag, flag } from './options.ts';
import type { Session } from './session.ts';
import type { Column } from './table.ts';
import { toCountOf, toCountText } from './units.ts';

/** A job, and the site whose job it is. */
type SteeredJob = JobRecord & { readonly siteCode: string };

type Selection = AdminRequest<'cancelJobs'>;

/** One of the five commands. */
interface SteeringAction {
  readonly ask: (session: Session, selection: Selection) => Promise<JobRecord[]>;
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
    const ask = async ({ admin }: Session, jobs: Selection) =>
      (await admin.list('moveJobs', { jobs, ...place })).map(toJobRecord);
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
  const { jobs, failures } = await atEach(session, siteCodes, (at) => action.ask(at, selection));
  tell(session, jobs, { ...action, hasFailures: failures.length > 0 });
  const [first, ...others] = failures;
  if (!first) return;
  // Of several sites each one was asked, whatever another one said.
  for (const failure of others) session.output.note(toSiteText(failure));
  if (siteCodes.length === 1) throw first.error;
  const facts = {
    failures: failures.map((one) => ({ siteCode: one.siteCode, reason: toReason(one) })),
  };
  throw new CommandFailure('TARGETS_FAILED', toSiteText(first), facts);
}

interface SiteFailure {
  readonly siteCode: string;
  readonly error: unknown;
}

interface SiteAnswer {
  readonly jobs: SteeredJob[];
  readonly failures: SiteFailure[];
}

/** No site waits for the answer of another one; what they say comes in the order of the sites. */
async function atEach(
  session: Session,
  siteCodes: readonly string[],
  work: (session: Session) => Promise<JobRecord[]>,
): Promise<SiteAnswer> {
  const answers: Promise<SiteAnswer>[] = [];
  for (const siteCode of siteCodes) {
    const at = session.atSite(siteCode);
    answers.push(
      at.then(work).then(
        (found) => ({ jobs: found.map((job) => ({ ...job, siteCode })), failures: [] }),
        (error) => ({ jobs: [], failures: [{ siteCode, error }] }),
      ),
    );
    // The connected site says where each one is: not of all at once.
    await at.catch(() => {});
  }
  const answered = await Promise.all(answers);
  const failures = answered.flatMap((one) => one.failures);
  if (failures[0] && session.signal.aborted) throw failures[0].error;
  return { jobs: answered.flatMap((one) => one.jobs), failures };
}

function toSiteText(failure: SiteFailure): string {
  return `Site ${failure.siteCode}: ${toReason(failure)}`;
}

function toReason({ error }: SiteFailure): string {
  return error instanceof Error ? error.message : String(error);
}

function tell(
  { output }: Session,
  jobs: readonly SteeredJob[],
  action: SteeringAction & { readonly hasFailures: boolean },
): void {
  // An empty list would say that nothing was meant.
  if (jobs.length === 0 && action.hasFailures) return;
  output.list(jobs, columnsOf(jobs), action.nothing);
  if (jobs.length === 0) return;
  const unconfirmed = jobs.filter((job) => job.unconfirmed);
  output.line('');
  output.sentence(`${toCountOf(jobs.length, 'job')} ${action.done}.`);
  if (unconfirmed.length === 0) return;
  const dpIds = [...new Set(unconfirmed.map(({ dpId }) => dpId))];
  const count = toCountText(unconfirmed.length);
  output.sentence(
    `${count} of them unconfirmed: ${dpIds.join(', ')} did not answer, and is told when it does.`,
  );
}

function columnsOf(jobs: readonly SteeredJob[]): readonly Column<SteeredJob>[] {
  const isOfSeveral = new Set(jobs.map(({ siteCode }) => siteCode)).size > 1;
  return [
    ...(isOfSeveral ? [{ title: 'site', text: (job: SteeredJob) => job.siteCode }] : []),
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
  const { jobs } = await atEach(session, siteCodes, (at) => look(at, selection));
  if (jobs.length <= 1) return;
  const what = `${toCountText(jobs.length)} jobs`;
  await confirmDeletion(session, `this cancels ${what}`, async () => ({
    name: 'yes',
    question: `Cancel ${what}? Type yes to confirm: `,
    refusal: 'Nothing was cancelled.',
    facts: { jobs: String(jobs.length) },
  }));
}

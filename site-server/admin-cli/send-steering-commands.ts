import type { Argv } from 'yargs';
import type { AdminRequest } from './admin-channel.ts';
import { type Command, command, type GlobalArguments } from './command.ts';
import { UsageError } from './command-failure.ts';
import { confirmDeletion } from './confirm-deletion.ts';
import { requireKnown } from './known-names.ts';
import {
  durationText,
  exclusiveFlag,
  flag,
  option,
  packageIdText,
  parsedWords,
  sendRequestText,
  siteCodeText,
  siteToAskOption,
} from './options.ts';
import { type SendRecord, toneOfSend, toSendRecord } from './send-record.ts';
import type { Session } from './session.ts';
import type { Column } from './table.ts';
import { toCountOf, toCountText } from './units.ts';

type Steering = AdminRequest<'steerSendRequests'>;

/** Which send requests a command means, as it was typed. */
interface SendArguments {
  readonly requests: readonly string[] | undefined;
  readonly package: string | undefined;
  readonly to: string | undefined;
  readonly failed: boolean;
  readonly olderThan: number | undefined;
  readonly all: boolean;
  readonly site: string | undefined;
}

const simple = [
  {
    word: 'suspend',
    steering: 'SEND_STEERING_SUSPEND',
    summary: 'Stop sending until it is resumed; what has come through stays',
    example: 'waybill send suspend --to PS2',
    done: 'suspended. "waybill send resume" lets them go on',
  },
  {
    word: 'resume',
    steering: 'SEND_STEERING_RESUME',
    summary: 'Let what is suspended go on where it was',
    example: 'waybill send resume --all',
    done: 'resumed',
  },
  {
    word: 'run',
    steering: 'SEND_STEERING_RUN',
    summary: 'Send now: whatever the schedule says, and before the next try is due',
    example: 'waybill send run 0000002ACS1',
    done: 'due now',
  },
] as const;

const simpleCommands = simple.map(({ word, steering, summary, example, done }) =>
  command({
    path: `send ${word}`,
    positionals: '[requests..]',
    ...{ summary, example },
    options: sendSelectionOptions,
    run: async (args, session) => {
      await steer(await session.atSite(args.site), { steering, ...toSelection(args) }, done);
    },
  }),
);

const moveSends = command({
  path: 'send move',
  positionals: '[requests..]',
  summary: 'Put send requests first, last or before another one of the same priority',
  example: 'waybill send move 0000002ACS1 --first',
  options: (parser) =>
    sendSelectionOptions(parser)
      .option('first', exclusiveFlag('Before all others'))
      .option('last', exclusiveFlag('Behind all others'))
      .option('before', option('before', 'Before this one', sendRequestText)),
  run: async (args, session) => {
    const { first = false, last = false, before } = args;
    if (Number(first) + Number(last) + Number(before !== undefined) !== 1) {
      throw new UsageError('expected one of --first, --last and --before');
    }
    const beforeOther = before === undefined ? {} : { beforeRequestId: before };
    const place = { ...(first && { first }), ...(last && { last }), ...beforeOther };
    const request = { steering: 'SEND_STEERING_MOVE', ...toSelection(args), ...place } as const;
    await steer(await session.atSite(args.site), request, 'moved');
  },
});

const cancelSends = command({
  path: 'send cancel',
  positionals: '[requests..]',
  summary: 'End send requests: the site gets the version only when somebody asks anew',
  example: 'waybill send cancel --package CS100001 --yes',
  options: (parser) =>
    sendSelectionOptions(parser).option('yes', { ...flag('Do not ask'), alias: 'y' }),
  run: async (args, session) => {
    const at = await session.atSite(args.site);
    const request = { steering: 'SEND_STEERING_CANCEL', ...toSelection(args) } as const;
    if (!args.yes) await confirmCancel(at, request);
    await steer(at, request, 'cancelled');
  },
});

/** `waybill send …` that change something. */
export const sendSteeringCommands: readonly Command[] = [moveSends, ...simpleCommands, cancelSends];

function sendSelectionOptions(parser: Argv<GlobalArguments>) {
  return parser
    .positional('requests', {
      type: 'string',
      array: true,
      describe: 'Send requests, as "waybill send" shows them',
      coerce: (given: readonly string[]) => parsedWords('requests', given, sendRequestText),
    })
    .option('package', option('package', 'What is sent of this package', packageIdText))
    .option('to', option('to', 'What is sent to this site', siteCodeText))
    .option('failed', flag('Only those whose last try failed'))
    .option('older-than', option('older-than', 'Only those made longer ago', durationText))
    .option('all', flag('All that is open'))
    .option('site', siteToAskOption);
}

function toSelection(args: SendArguments): Steering {
  const { package: packageId = '', to: destinationSiteCode = '', failed, all } = args;
  const { olderThan: olderThanMs = 0, requests = [] } = args;
  const hasCondition = packageId + destinationSiteCode !== '' || failed || olderThanMs > 0;
  if (requests.length > 0 === (hasCondition || all)) {
    const ways = '--package, --to, --failed, --older-than or --all';
    throw new UsageError(`expected either send requests by name, or ${ways}`);
  }
  if (all && hasCondition) {
    throw new UsageError('expected --all, or what they have in common, not both');
  }
  if (requests.length > 0) return { requestIds: [...requests] };
  return { packageId, destinationSiteCode, failedOnly: failed, olderThanMs, all };
}

async function steer(session: Session, request: Steering, done: string): Promise<void> {
  const { admin, output } = session;
  const sends = (await admin.list('steerSendRequests', request)).map(toSendRecord);
  if (sends.length === 0) {
    const { packageId = '', destinationSiteCode: siteCode = '' } = request;
    await requireKnown(session, { packageId, dpId: '', siteCode });
  }
  output.list(sends, columns, 'No open send request is meant.');
  if (sends.length === 0) return;
  output.line('');
  output.sentence(`${toCountOf(sends.length, 'send request')} ${done}.`);
}

const columns: readonly Column<SendRecord>[] = [
  { title: 'request', text: (row) => row.requestId },
  { title: 'package', text: (row) => row.packageId },
  { title: 'version', text: (row) => String(row.sourceVersion), align: 'right' },
  { title: 'for', text: (row) => row.finalSiteCode },
  { title: 'state', text: (row) => row.state, tone: toneOfSend },
  { title: 'reason', text: (row) => row.reason },
];

/** @throws UsageError, CommandFailure NOT_CONFIRMED */
async function confirmCancel(session: Session, request: Steering): Promise<void> {
  const meant = await session.admin.list('steerSendRequests', { ...request, lookOnly: true });
  if (meant.length <= 1) return;
  const what = `${toCountText(meant.length)} send requests`;
  await confirmDeletion(session, `this cancels ${what}`, async () => ({
    name: 'yes',
    question: `Cancel ${what}? Type yes to confirm: `,
    refusal: 'Nothing was cancelled.',
    facts: { requests: String(meant.length) },
  }));
}

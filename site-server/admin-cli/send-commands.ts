import { toTimeText } from '../../shared/runtime/time-text.ts';
import { type Command, command } from './command.ts';
import { endWatch, showWhile } from './display.ts';
import { requireKnown } from './known-names.ts';
import {
  countText,
  flag,
  option,
  packageIdText,
  siteCodeText,
  siteToAskOption,
} from './options.ts';
import { percentOf } from './progress.ts';
import {
  type SendRecord,
  toFormText,
  toneOfSend,
  toRetryText,
  toSendProgress,
  toSendRecord,
} from './send-record.ts';
import { SendView } from './send-view.ts';
import type { Session } from './session.ts';
import type { Column } from './table.ts';
import { toByteText, toRateText, toWaitText } from './units.ts';

const packageOption = option('package', 'Only this package', packageIdText);
const toOption = option('to', 'Only what is sent to this site', siteCodeText);

const listSends = command({
  path: 'send list',
  isDefault: true,
  summary: 'What this site sends to other sites, in the order it is sent; or what ended',
  example: 'waybill send list --to PS2',
  options: (parser) =>
    parser
      .option('history', flag('Ended ones, newest first'))
      .option('package', packageOption)
      .option('to', toOption)
      .option('limit', option('limit', 'At most so many', countText))
      .option('site', siteToAskOption),
  run: async (args, session) => {
    const { package: packageId = '', to: destinationSiteCode = '', history, limit = 0 } = args;
    const asked = await session.atSite(args.site);
    const { admin, output, clock, timeZone } = asked;
    const filter = { packageId, destinationSiteCode, history, limit };
    const requests = (await admin.list('listSendRequests', filter)).map(toSendRecord);
    // The history may tell of what is gone.
    const names = { packageId, dpId: '', siteCode: destinationSiteCode };
    if (requests.length === 0 && !history) await requireKnown(asked, names);
    const columns = history ? historyColumns(timeZone) : openColumns(clock.nowMs());
    output.list(requests, columns, history ? 'Nothing was sent yet.' : 'Nothing is being sent.');
  },
});

const watchSends = command({
  path: 'send watch',
  summary:
    'What is sent as it goes, until Ctrl-C: bars on a terminal, a line for each change elsewhere',
  example: 'waybill send watch --package CS100001',
  options: (parser) =>
    parser.option('package', packageOption).option('to', toOption).option('site', siteToAskOption),
  run: async ({ package: packageId = '', to: destinationSiteCode = '', site }, session) => {
    const asked = await session.atSite(site);
    await requireKnown(asked, { packageId, dpId: '', siteCode: destinationSiteCode });
    await watch(asked, { packageId, destinationSiteCode });
  },
});

/** `waybill send …`. */
export const sendCommands: readonly Command[] = [listSends, watchSends];

const namingColumns: readonly Column<SendRecord>[] = [
  { title: 'request', text: (row) => row.requestId },
  { title: 'package', text: (row) => row.packageId },
  { title: 'version', text: (row) => String(row.sourceVersion), align: 'right', spare: 3 },
  { title: 'as', text: toFormText, spare: 4 },
  { title: 'to', text: (row) => row.destinationSiteCode },
  { title: 'for', text: (row) => row.finalSiteCode },
  { title: 'state', text: (row) => row.state, tone: toneOfSend },
];

function openColumns(nowMs: number): readonly Column<SendRecord>[] {
  return [
    ...namingColumns,
    { title: 'priority', text: (row) => row.priority, spare: 5 },
    { title: 'done', text: toPercentText, align: 'right' },
    {
      ...{ title: 'left', text: (row: SendRecord) => toByteText(row.remainingBytes) },
      ...({ align: 'right', spare: 2 } as const),
    },
    {
      title: 'rate',
      text: (row) => (row.bytesPerSecond > 0 ? toRateText(row.bytesPerSecond) : ''),
      align: 'right',
      spare: 1,
    },
    { title: 'ETA', text: (row) => (row.etaMs ? toWaitText(row.etaMs) : ''), align: 'right' },
    { title: 'tries', text: (row) => String(row.tryCount), align: 'right', spare: 6 },
    { title: 'next try', text: (row) => toRetryText(row, nowMs), spare: 1 },
    { title: 'why it waits', text: (row) => row.reason },
  ];
}

function historyColumns(timeZone: string | undefined): readonly Column<SendRecord>[] {
  return [
    ...namingColumns,
    { title: 'ended', text: (row) => toTimeText(row.finishedAtMs, timeZone) },
    { title: 'size', text: (row) => toByteText(row.totalBytes), align: 'right', spare: 5 },
    { title: 'sent', text: (row) => toByteText(row.bytesSent), align: 'right', spare: 2 },
    { title: 'tries', text: (row) => String(row.tryCount), align: 'right', spare: 6 },
    { title: 'reason', text: (row) => row.reason },
  ];
}

function toPercentText(request: SendRecord): string {
  return request.totalBytes === 0 ? '' : `${percentOf(toSendProgress(request))} %`;
}

/** Shows them until the administrator interrupts, also over restarts of the site. */
async function watch(
  session: Session,
  filter: { packageId: string; destinationSiteCode: string },
): Promise<void> {
  const { admin, clock, output, serverAddress, timeZone } = session;
  const { siteCode } = await admin.ask('getSite', {});
  const view = new SendView({ siteCode, serverAddress, clock, timeZone, paint: output.paint });
  try {
    await showWhile(session, { view, keep: true }, async (changed) => {
      for await (const event of admin.watch('watchSendRequests', () => filter)) {
        if (event.kind === 'change') {
          const request = toSendRecord(event.item);
          output.record(request);
          view.apply(request);
        } else {
          view.setPresent(event.kind === 'back');
          const word = event.kind === 'back' ? 'is back' : 'went away; waiting for it';
          if (!output.isLive) output.note(`the site server at ${serverAddress} ${word}`);
        }
        changed();
      }
    });
  } catch (error) {
    endWatch(session, error, 'the send requests go on');
  }
}

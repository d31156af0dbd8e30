import type { Severity } from '../../shared/domain/status-message.ts';
import type { Tone } from '../../shared/runtime/text-style.ts';
import { toTimeText } from '../../shared/runtime/time-text.ts';
import { type Command, command } from './command.ts';
import { requireKnown } from './known-names.ts';
import { type StatusMessageRecord, toStatusMessageRecord } from './message-records.ts';
import {
  countText,
  distributionPointIdText,
  messageIdText,
  momentText,
  option,
  packageIdText,
  siteOption,
  wordOption,
} from './options.ts';
import { siteTextOf } from './status-columns.ts';
import type { Column } from './table.ts';

const wireSeverities = {
  information: 'SEVERITY_INFORMATION',
  warning: 'SEVERITY_WARNING',
  error: 'SEVERITY_ERROR',
} as const satisfies Record<Severity, string>;
const severities = ['information', 'warning', 'error'] as const;

const limitOption = option('limit', 'At most so many, the newest; 200 unless told', countText);
const sinceOption = option('since', 'Such as 30m, 2h, 7d or 2026-03-14', momentText);

const listMessages = command({
  path: 'messages',
  summary: 'Status messages, newest last',
  example: 'waybill messages --severity warning --since 2h',
  options: (parser) =>
    parser
      .option('package', option('package', 'About this package', packageIdText))
      .option('dp', option('dp', 'About this distribution point', distributionPointIdText))
      .option('severity', wordOption('severity', 'The lowest severity wanted', severities))
      .option('since', sinceOption)
      .option('id', option('id', 'Only messages of this number, such as 2330', messageIdText))
      .option('site', siteOption)
      .option('limit', limitOption),
  run: async (args, session) => {
    const { admin, output, clock, timeZone } = session;
    const site = args.site === undefined ? {} : { siteCode: args.site };
    const names = { packageId: args.package ?? '', dpId: args.dp ?? '', ...site };
    const messages = await admin.list('listStatusMessages', {
      ...names,
      severity: args.severity ? wireSeverities[args.severity] : 'SEVERITY_UNSPECIFIED',
      sinceMs: args.since?.(clock.nowMs()) ?? 0,
      messageId: args.id ?? 0,
      limit: args.limit ?? 0,
    });
    // Messages may tell of what is gone: only an answer without any is doubted.
    if (messages.length === 0) await requireKnown(session, names);
    const rows = messages.map(toStatusMessageRecord);
    output.list(rows, messageColumns(rows, timeZone), 'No status message is like that.');
  },
});

/** `waybill messages`. */
export const messageCommands: readonly Command[] = [listMessages];

function messageColumns(
  rows: readonly StatusMessageRecord[],
  timeZone: string | undefined,
): readonly Column<StatusMessageRecord>[] {
  return [
    { title: 'time', text: (row) => toTimeText(row.timeMs, timeZone) },
    { title: 'site', text: siteTextOf(rows) },
    { title: 'severity', text: (row) => row.severity, tone: toneOfMessage },
    { title: 'id', text: (row) => String(row.messageId), align: 'right' },
    { title: 'component', text: (row) => row.component, isWhole: true, spare: 1 },
    { title: 'text', text: (row) => row.text },
  ];
}

function toneOfMessage({ severity }: StatusMessageRecord): Tone | undefined {
  if (severity === 'error') return 'bad';
  return severity === 'warning' ? 'busy' : undefined;
}

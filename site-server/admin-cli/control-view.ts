import type {
  RateLimit,
  TransferControls,
  WindowLevel,
} from '../../shared/domain/transfer-controls.ts';
import type { TransferControls__Output } from '../../shared/rpc/generated/waybill/v1/TransferControls.ts';
import { toTransferControls } from '../../shared/transfer-arbiter/transfer-controls-message.ts';
import { levelValue, rateValue } from './control-options.ts';
import { toExactBytesText, toExactRateText } from './rate-text.ts';
import { toDayText, toWeekRulesText } from './week-rules.ts';

/** Controls, as `--json` shows them; null where none are set. */
export interface ControlsRecord {
  readonly schedule: TransferControls['schedule'] | null;
  readonly limit: RateLimit | null;
}

/** Controls as they came from the site server. @throws REQUEST_INVALID when they are none */
export function toControlsRecord(
  wire: TransferControls__Output | null | undefined,
): ControlsRecord | null {
  if (!wire) return null;
  const { schedule = null, limit = null } = toTransferControls(wire, 'controls');
  return schedule === null && limit === null ? null : { schedule, limit };
}

/** As `--limit` is given: `10 MB/s`, `pulse:1 MiB/500ms`, `mon-fri 08-18 2 MB/s, else none`. */
export function toLimitText(controls: ControlsRecord | null): string {
  const limit = controls?.limit;
  if (!limit) return '';
  if (limit.kind === 'rate') return toExactRateText(limit.bytesPerSecond);
  if (limit.kind === 'hourly') return toWeekRulesText(limit.bytesPerSecond, rateValue);
  return `pulse:${toExactBytesText(limit.blockBytes)}/${limit.delayMs}ms`;
}

/** As `--schedule` is given: `mon-fri 08-18 closed, else open`. */
export function toScheduleText(controls: ControlsRecord | null): string {
  return controls?.schedule ? toWeekRulesText(controls.schedule.hours, levelValue) : '';
}

/** A cell of a table: `10 MB/s`, `by hour`. */
export function toLimitCell(controls: ControlsRecord | null): string {
  return controls?.limit?.kind === 'hourly' ? 'by hour' : toLimitText(controls);
}

/** A cell of a table: `closed`, `by hour`. */
export function toScheduleCell(controls: ControlsRecord | null): string {
  const text = toScheduleText(controls);
  return text.includes(' ') ? 'by hour' : text;
}

/** Names and values for `show`, such as `serve limit`. */
export function toControlFacts(
  controls: ControlsRecord | null,
  prefix = '',
): (readonly [string, string])[] {
  const zoneOf = (timeZone: string | undefined) => (timeZone ? ` (${timeZone})` : '');
  const limit = controls?.limit;
  const limitZone = limit?.kind === 'hourly' ? limit.timeZone : undefined;
  return [
    [`${prefix}limit`, withText(toLimitText(controls), zoneOf(limitZone))],
    [`${prefix}schedule`, withText(toScheduleText(controls), zoneOf(controls?.schedule?.timeZone))],
  ];
}

/** How a sentence goes on: `with the limit 10 MB/s, by the schedule closed (hours of UTC)`. */
export function toControlsSentence(controls: ControlsRecord | null): string {
  const limit = toLimitText(controls);
  const schedule = toScheduleText(controls);
  const zones = new Set([
    ...(controls?.schedule ? [controls.schedule.timeZone] : []),
    ...(controls?.limit?.kind === 'hourly' ? [controls.limit.timeZone] : []),
  ]);
  const hours = zones.size > 0 ? ` (hours of ${[...zones].join(' and ')})` : '';
  const parts = [
    limit === '' ? 'with no limit' : `with the limit ${limit}`,
    schedule === '' ? 'at all hours' : `by the schedule ${schedule}`,
  ];
  return `${parts.join(', ')}${hours}`;
}

const levelSigns: Record<WindowLevel, string> = {
  open: '#',
  'medium-and-high': 'm',
  'high-only': 'h',
  closed: '.',
};
const levelWords: Record<WindowLevel, string> = {
  open: 'open',
  'medium-and-high': 'medium and high priority',
  'high-only': 'high priority only',
  closed: 'closed',
};
const rateSigns = 'abcdefghijklmnopqrstuvwxyz';

/** The weeks of hourly controls as pictures, a line a day; none where nothing goes by hours. */
export function toControlPictures(controls: ControlsRecord | null, prefix = ''): string[] {
  const { schedule = null, limit = null } = controls ?? {};
  const title = (what: string, timeZone: string) => `${prefix}${what}, ${timeZone}`;
  return [
    ...(schedule
      ? ['', title('schedule', schedule.timeZone), ...schedulePicture(schedule.hours)]
      : []),
    ...(limit?.kind === 'hourly'
      ? ['', title('limit', limit.timeZone), ...ratePicture(limit.bytesPerSecond)]
      : []),
  ];
}

function schedulePicture(hours: readonly WindowLevel[]): string[] {
  const present = (Object.keys(levelSigns) as WindowLevel[]).filter((one) => hours.includes(one));
  const legend = present.map((level) => `${levelSigns[level]} ${levelWords[level]}`);
  return picture(
    hours.map((level) => levelSigns[level]),
    legend,
  );
}

function ratePicture(rates: readonly number[]): string[] {
  const distinct = [...new Set(rates.filter((rate) => rate > 0))].sort((a, b) => a - b);
  // More than there are letters are told apart by the rules above only.
  const signOf = (rate: number) => (rate === 0 ? '#' : (rateSigns[distinct.indexOf(rate)] ?? '?'));
  const legend = distinct
    .slice(0, rateSigns.length)
    .map((rate) => `${signOf(rate)} ${toExactRateText(rate)}`);
  return picture(rates.map(signOf), rates.includes(0) ? [...legend, '# no limit'] : legend);
}

/** A gap after each quarter of a day, and what the signs mean. */
function picture(signs: readonly string[], legend: readonly string[]): string[] {
  const lines = ['     00     06     12     18'];
  for (let day = 0; day < 7; day++) {
    const quarters = [0, 6, 12, 18].map((from) => {
      return signs.slice(day * 24 + from, day * 24 + from + 6).join('');
    });
    lines.push(`${toDayText(day)}  ${quarters.join(' ')}`);
  }
  return [...lines, `     ${legend.join('   ')}`];
}

function withText(text: string, more: string): string {
  return text === '' ? '' : `${text}${more}`;
}

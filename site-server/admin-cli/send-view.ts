import type { Clock } from '../../shared/runtime/clock.ts';
import type { Paint } from '../../shared/runtime/text-style.ts';
import { toTimeText } from '../../shared/runtime/time-text.ts';
import { toVisibleText } from '../../shared/runtime/visible-text.ts';
import type { View } from './display.ts';
import { toProgressBar, toTenths } from './progress.ts';
import {
  hasSendEnded,
  type SendRecord,
  toneOfSend,
  toRetryText,
  toSendProgress,
  toSendText,
} from './send-record.ts';
import { type Column, toTableLines } from './table.ts';
import type { TerminalSize } from './text-stream.ts';
import { widthOf } from './text-width.ts';
import { toCountText, toRateText } from './units.ts';

const barWidthMax = 30;
/** So many that ended stay in sight. */
const endedCountMax = 3;

/** Requests that are sent as bars, waiting ones as a list, the last that ended below. */
export class SendView implements View {
  readonly #needs: {
    readonly siteCode: string;
    readonly serverAddress: string;
    readonly clock: Clock;
    readonly timeZone: string | undefined;
    readonly paint: Paint;
  };
  readonly #open = new Map<string, SendRecord>();
  readonly #lastTexts = new Map<string, string>();
  #ended: readonly SendRecord[] = [];
  #latest: SendRecord | undefined;
  #isPresent = true;

  constructor(needs: {
    siteCode: string;
    serverAddress: string;
    clock: Clock;
    timeZone: string | undefined;
    paint: Paint;
  }) {
    this.#needs = needs;
  }

  /** Takes a request that is new or has changed. */
  apply(request: SendRecord): void {
    if (hasSendEnded(request)) {
      this.#open.delete(request.requestId);
      this.#ended = [request, ...this.#ended].slice(0, endedCountMax);
    } else {
      this.#open.set(request.requestId, request);
    }
    this.#latest = request;
  }

  /** Whether the site server is there. What it told before is forgotten when it is back. */
  setPresent(isPresent: boolean): void {
    if (isPresent && !this.#isPresent) this.#open.clear();
    this.#isPresent = isPresent;
  }

  /** A line when something is new besides the bytes; for those, one for each tenth of the way. */
  newLines(): readonly string[] {
    const request = this.#latest;
    this.#latest = undefined;
    if (!request) return [];
    const { clock, timeZone } = this.#needs;
    const { requestId } = request;
    const text = toChangeText(request, timeZone);
    if (this.#lastTexts.get(requestId) === text) return [];
    if (hasSendEnded(request)) this.#lastTexts.delete(requestId);
    else this.#lastTexts.set(requestId, text);
    const time = toTimeText(clock.nowMs(), timeZone);
    return [toVisibleText(`${time}  ${requestId}  ${toSendText(request)}  ${text}`)];
  }

  liveLines(size: TerminalSize): readonly string[] {
    const open = [...this.#open.values()];
    const sending = open.filter(({ state }) => state === 'sending');
    const waiting = open.filter(({ state }) => state !== 'sending');
    const ended = this.#ended.map((request) => this.#endedLine(request));
    // The heading, the ended ones and the terminal's last row are always in sight.
    const room = Math.max(1, size.rows - 2 - ended.length);
    const bars = cut(this.#bars(sending, size.columns), room);
    const list = this.#waitingLines(waiting, { columns: size.columns, rows: room - bars.length });
    return [this.#headLine(sending, waiting.length), ...bars, ...list, ...ended];
  }

  #headLine(sending: readonly SendRecord[], waitingCount: number): string {
    const { siteCode, serverAddress, paint } = this.#needs;
    if (!this.#isPresent) {
      return paint('bad', `Site ${siteCode} at ${serverAddress} went away; waiting for it`);
    }
    const rate = sending.reduce((total, request) => total + request.bytesPerSecond, 0);
    const parts = [
      `Site ${toVisibleText(siteCode)}`,
      `${toCountText(sending.length)} sending`,
      `${toCountText(waitingCount)} waiting`,
      ...(rate > 0 ? [toRateText(rate)] : []),
    ];
    return paint('heading', parts.join('  '));
  }

  #bars(sending: readonly SendRecord[], columns: number): string[] {
    const names = sending.map((request) => toVisibleText(toSendText(request)));
    const nameWidth = Math.max(0, ...names.map(widthOf));
    const { paint } = this.#needs;
    return sending.map((request, index) => {
      const name = names[index] ?? '';
      const padding = ' '.repeat(nameWidth - widthOf(name));
      const options = { room: columns - nameWidth - 2, barWidthMax, paint };
      return `${name}${padding}  ${toProgressBar(toSendProgress(request), options)}`;
    });
  }

  #waitingLines(waiting: readonly SendRecord[], size: TerminalSize): string[] {
    if (waiting.length === 0 || size.rows < 2) return [];
    const { clock, paint } = this.#needs;
    const nowMs = clock.nowMs();
    const columns: readonly Column<SendRecord>[] = [
      { title: 'waiting', text: toSendText },
      { title: 'next try', text: (request) => toRetryText(request, nowMs) },
      { title: 'why', text: (request) => request.reason, tone: toneOfSend },
    ];
    return cut(toTableLines(columns, waiting, { paint }), size.rows);
  }

  #endedLine(request: SendRecord): string {
    const reason = request.reason === '' ? '' : `: ${request.reason}`;
    const text = `${toSendText(request)} is ${request.state}${reason}`;
    return this.#needs.paint(toneOfSend(request), toVisibleText(text));
  }
}

/** As many lines as there is room for, and how many more there are. */
function cut(lines: readonly string[], room: number): string[] {
  if (lines.length <= room) return [...lines];
  const shown = lines.slice(0, Math.max(0, room - 1));
  return [...shown, `… and ${toCountText(lines.length - shown.length)} more`];
}

function toChangeText(request: SendRecord, timeZone: string | undefined): string {
  const { state, reason, retryAtMs } = request;
  if (state === 'sending') return `${state} ${toTenths(toSendProgress(request))}`.trimEnd();
  const nextTry = retryAtMs > 0 && !hasSendEnded(request) ? toTimeText(retryAtMs, timeZone) : '';
  const parts = [state, reason, nextTry === '' ? '' : `next try by ${nextTry}`];
  return parts.filter((part) => part !== '').join(', ');
}

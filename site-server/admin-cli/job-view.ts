import type { Clock } from '../../shared/runtime/clock.ts';
import type { Paint } from '../../shared/runtime/text-style.ts';
import { toTimeText } from '../../shared/runtime/time-text.ts';
import { toVisibleText } from '../../shared/runtime/visible-text.ts';
import type { View } from './display.ts';
import {
  hasEnded,
  isRunning,
  isWithPullDp,
  type JobRecord,
  mayGoOnBefore,
  toHindranceText,
  toJobBar,
  toJobText,
  toNextTryText,
  toneOfJob,
  toProgress,
  toReasonText,
  toStateText,
} from './job-record.ts';
import { toTenths } from './progress.ts';
import { type Column, toTableLines } from './table.ts';
import type { TerminalSize } from './text-stream.ts';
import { widthOf } from './text-width.ts';
import { toCountText, toRateText } from './units.ts';

const barWidthMax = 30;
/** So many jobs that ended stay in sight. */
const endedCountMax = 3;

/** Running jobs as bars, waiting ones as a list, the last that ended below. */
export class JobView implements View {
  readonly #needs: {
    readonly siteCode: string;
    readonly serverAddress: string;
    readonly clock: Clock;
    readonly timeZone: string | undefined;
    readonly paint: Paint;
  };
  readonly #open = new Map<number, JobRecord>();
  /** When the job was heard of last, in monotonic milliseconds. */
  readonly #heardAtMs = new Map<number, number>();
  #ended: readonly JobRecord[] = [];
  #isPresent = true;
  #latest: JobRecord | undefined;
  readonly #lastTexts = new Map<number, string>();

  constructor(needs: {
    siteCode: string;
    serverAddress: string;
    clock: Clock;
    timeZone: string | undefined;
    paint: Paint;
  }) {
    this.#needs = needs;
  }

  /** Takes a job that is new or has changed. */
  apply(job: JobRecord): void {
    if (hasEnded(job)) {
      this.#open.delete(job.jobSerial);
      this.#heardAtMs.delete(job.jobSerial);
      this.#ended = [job, ...this.#ended].slice(0, endedCountMax);
    } else {
      this.#open.set(job.jobSerial, job);
      this.#heardAtMs.set(job.jobSerial, this.#needs.clock.monotonicMs());
    }
    this.#latest = job;
  }

  /** Whether the site server is there. What it told before is forgotten when it is back. */
  setPresent(isPresent: boolean): void {
    if (isPresent && !this.#isPresent) {
      this.#open.clear();
      this.#heardAtMs.clear();
    }
    this.#isPresent = isPresent;
  }

  /** A line when something is new besides the bytes; for those, one for each tenth of the way. */
  newLines(): readonly string[] {
    const job = this.#latest;
    this.#latest = undefined;
    if (!job) return [];
    const { clock, timeZone } = this.#needs;
    const text = toChangeText(job, timeZone);
    if (this.#lastTexts.get(job.jobSerial) === text) return [];
    if (hasEnded(job)) this.#lastTexts.delete(job.jobSerial);
    else this.#lastTexts.set(job.jobSerial, text);
    const time = toTimeText(clock.nowMs(), timeZone);
    return [toVisibleText(`${time}  job ${job.jobSerial}  ${toJobText(job)}  ${text}`)];
  }

  liveLines(size: TerminalSize): readonly string[] {
    const running = [...this.#open.values()].filter(isRunning);
    const waiting = [...this.#open.values()].filter((job) => !isRunning(job));
    waiting.sort((a, b) => placeOf(a) - placeOf(b) || a.jobSerial - b.jobSerial);
    const head = this.#headLine(running, { waitingCount: waiting.length, columns: size.columns });
    const ended = this.#ended.map((job) => this.#endedLine(job));
    // The heading, the ended ones and the terminal's last row are always in sight.
    const room = Math.max(1, size.rows - 2 - ended.length);
    const bars = cutGroups(this.#barGroups(running, size.columns), room);
    const list = this.#waitingLines(waiting, { columns: size.columns, rows: room - bars.length });
    return [head, ...bars, ...list, ...ended];
  }

  #headLine(
    running: readonly JobRecord[],
    { waitingCount, columns }: { waitingCount: number; columns: number },
  ): string {
    const { siteCode, serverAddress, clock, timeZone, paint } = this.#needs;
    if (!this.#isPresent) {
      return paint('bad', `Site ${siteCode} at ${serverAddress} went away; waiting for it`);
    }
    const moving = running.filter((job) => toHindranceText(job, this.#silentMsOf(job)) === '');
    const rate = moving.reduce((total, job) => total + job.bytesPerSecond, 0);
    const parts = [
      `Site ${toVisibleText(siteCode)}`,
      `${toCountText(running.length)} running`,
      `${toCountText(waitingCount)} waiting`,
      ...(rate > 0 ? [toRateText(rate)] : []),
      toTimeText(clock.nowMs(), timeZone),
    ];
    // On a narrow terminal first the time is left out, then the rate.
    while (parts.length > 3 && widthOf(parts.join('  ')) > columns) parts.pop();
    return paint('heading', parts.join('  '));
  }

  /** The lines of each job: its bar and, where it has no room there, what keeps the job. */
  #barGroups(running: readonly JobRecord[], columns: number): string[][] {
    const names = running.map((job) => toVisibleText(toJobText(job)));
    const nameWidth = Math.max(0, ...names.map(widthOf));
    const { paint } = this.#needs;
    const options = { room: columns - nameWidth - 2, barWidthMax, paint };
    return running.map((job, index) => {
      const name = names[index] ?? '';
      const padding = ' '.repeat(nameWidth - widthOf(name));
      const silentMs = this.#silentMsOf(job);
      const [bar, ...below] = toJobBar(job, { ...options, silentMs });
      return [`${name}${padding}  ${bar}`, ...below.map((text) => `  ${text}`)];
    });
  }

  #silentMsOf({ jobSerial }: JobRecord): number {
    const nowMs = this.#needs.clock.monotonicMs();
    return nowMs - (this.#heardAtMs.get(jobSerial) ?? nowMs);
  }

  #waitingLines(waiting: readonly JobRecord[], size: TerminalSize): string[] {
    if (waiting.length === 0 || size.rows < 2) return [];
    const nowMs = this.#needs.clock.nowMs();
    const columns: readonly Column<JobRecord>[] = [
      { title: '#', text: (job) => (job.queuePlace ? String(job.queuePlace) : ''), align: 'right' },
      { title: 'waiting', text: toJobText },
      { title: 'next try', text: (job) => toNextTryText(job, nowMs) },
      { title: 'why', text: toReasonText, tone: toneOfJob },
    ];
    const { paint } = this.#needs;
    const shown = waiting.slice(0, size.rows);
    const whole = toTableLines(columns, shown, { width: size.columns, paint });
    if (whole.length <= size.rows && shown.length === waiting.length) return whole;
    // Too little room to break lines: LiveRegion cuts what is too long.
    const lines = toTableLines(columns, shown, { paint });
    const hiddenCount = waiting.length - (size.rows - 1);
    if (hiddenCount <= 0) return lines;
    return [...lines.slice(0, size.rows - 1), `… and ${toCountText(hiddenCount + 1)} more`];
  }

  #endedLine(job: JobRecord): string {
    const reason = job.reason === '' ? '' : `: ${job.reason}`;
    const text = `${toJobText(job)} is ${job.state}${reason}`;
    return this.#needs.paint(toneOfJob(job), toVisibleText(text));
  }
}

function placeOf(job: JobRecord): number {
  return job.queuePlace || Infinity;
}

/** As many groups as there is room for, each whole, and how many more there are. */
function cutGroups(groups: readonly string[][], room: number): string[] {
  const lines = groups.flat();
  if (lines.length <= room) return lines;
  const shown: string[] = [];
  let shownCount = 0;
  for (const group of groups) {
    if (shown.length + group.length > room - 1) break;
    shown.push(...group);
    shownCount += 1;
  }
  return [...shown, `… and ${toCountText(groups.length - shownCount)} more running`];
}

function toChangeText(job: JobRecord, timeZone: string | undefined): string {
  const state = toStateText(job);
  if (isRunning(job)) {
    const done = `${state} ${toTenths(toProgress(job))}`.trimEnd();
    const reason = isWithPullDp(job) ? toReasonText(job) : '';
    return reason === '' ? done : `${done}, ${reason}`;
  }
  const nextTry = hasEnded(job) ? '' : toTimeText(job.restartAtMs, timeZone);
  const by = mayGoOnBefore(job) ? 'by ' : '';
  const parts = [state, toReasonText(job), nextTry === '' ? '' : `next try ${by}${nextTry}`];
  return parts.filter((part) => part !== '').join(', ');
}

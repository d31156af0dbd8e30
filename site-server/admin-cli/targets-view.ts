import type { Clock } from '../../shared/runtime/clock.ts';
import type { Paint } from '../../shared/runtime/text-style.ts';
import { toVisibleText } from '../../shared/runtime/visible-text.ts';
import type { View } from './display.ts';
import {
  hasEnded,
  isRunning,
  isWithPullDp,
  type JobRecord,
  toJobBar,
  toNextTryText,
  toProgress,
  toReasonText,
} from './job-record.ts';
import { type PackageStatusRecord, toneOfStatus, toStatusText } from './package-status-record.ts';
import { toTenths } from './progress.ts';
import type { TerminalSize } from './text-stream.ts';

const barWidthMax = 24;

/** What is awaited on each distribution point. */
export type TargetsGoal = 'installed' | 'removed';

/** A package on its way to, or off, distribution points. */
export interface AwaitedTargets {
  readonly packageId: string;
  readonly dpIds: readonly string[];
  readonly goal: TargetsGoal;
  /** The rows before the request: a row that is still the same says nothing yet. */
  readonly before: readonly PackageStatusRecord[];
  /** A row about an older version than this says nothing yet; absent: any will do. */
  readonly versionMin?: number;
}

/** What is known of one of the awaited distribution points. */
interface Target {
  readonly dpId: string;
  row?: PackageStatusRecord;
  job?: JobRecord;
  /** When `job` was heard of, in monotonic milliseconds. */
  heardAtMs: number;
  /** Whether a reading of all rows has shown it. */
  isListed: boolean;
  /** Whether `row` is the end. Later rows belong to later requests. */
  hasEnded: boolean;
  lastLine: string;
}

/** A package on its way to, or off, some distribution points. */
export class TargetsView implements View {
  readonly packageId: string;
  readonly #goal: AwaitedTargets['goal'];
  readonly #before: ReadonlyMap<string, PackageStatusRecord>;
  readonly #versionMin: number;
  readonly #targets: ReadonlyMap<string, Target>;
  readonly #clock: Clock;
  readonly #paint: Paint;
  #isPresent = true;
  #toldPresent = true;

  constructor(needs: { targets: AwaitedTargets; clock: Clock; paint: Paint }) {
    const { packageId, goal, before, dpIds, versionMin = 0 } = needs.targets;
    this.packageId = packageId;
    this.#goal = goal;
    this.#before = new Map(before.map((row) => [row.dpId, row]));
    this.#versionMin = versionMin;
    this.#targets = new Map(dpIds.map((dpId) => [dpId, newTarget(dpId)]));
    this.#clock = needs.clock;
    this.#paint = needs.paint;
  }

  /** Takes a row that changed. */
  applyStatus(row: PackageStatusRecord): void {
    if (this.#isUnpublishable(row)) this.#applyUnpublished(row);
    const target = this.#targets.get(row.dpId);
    if (!target || target.hasEnded || row.packageId !== this.packageId) return;
    target.row = row;
    target.hasEnded = this.#isEnd(row);
  }

  /** Takes all rows of the package: what was there and is missing now is gone. */
  applyAllStatus(rows: readonly PackageStatusRecord[]): void {
    for (const row of rows) this.applyStatus(row);
    const present = new Set(rows.map(({ dpId }) => dpId));
    for (const target of this.#targets.values()) {
      const isGone = !present.has(target.dpId) && (target.isListed || this.#goal === 'removed');
      if (isGone) this.applyStatus(goneFrom(target.dpId, this.packageId));
      target.isListed = present.has(target.dpId);
    }
  }

  /** Takes a job that changed. */
  applyJob(job: JobRecord): void {
    const target = this.#targets.get(job.dpId);
    if (!target || job.packageId !== this.packageId) return;
    if ((target.job?.jobSerial ?? 0) > job.jobSerial) return;
    target.job = job;
    target.heardAtMs = this.#clock.monotonicMs();
  }

  /** DPs that are to get something, and of which their site has said nothing. */
  get unheardIds(): string[] {
    if (this.#goal === 'removed') return [];
    const unheard = [...this.#targets.values()].filter(
      (target) => !isHeardOf(target) && !target.hasEnded,
    );
    return unheard.map(({ dpId }) => dpId);
  }

  /** Its own site does not have the DP, and says why: nothing will arrive. */
  applyRefusal(dpId: string, reason: string): void {
    const target = this.#targets.get(dpId);
    if (!target || isHeardOf(target) || target.hasEnded) return;
    target.row = { ...goneFrom(dpId, this.packageId), state: 'install-failed', reason };
    target.hasEnded = true;
  }

  /** Whether the site server is there. */
  setPresent(isPresent: boolean): void {
    this.#isPresent = isPresent;
  }

  /** Whether every distribution point has come to an end, good or bad. */
  get hasEnded(): boolean {
    return [...this.#targets.values()].every((target) => target.hasEnded);
  }

  /** The last row of each distribution point. */
  get status(): PackageStatusRecord[] {
    return [...this.#targets.values()].flatMap(({ row }) => (row ? [row] : []));
  }

  /** The distribution points that came to a bad end, with the reasons. */
  get failures(): { dpId: string; reason: string }[] {
    return this.status.flatMap(({ dpId, state, reason }) => {
      if (state.endsWith('-failed')) return [{ dpId, reason: reason || 'no reason given' }];
      const isTakenOff = state === 'removed' && this.#goal === 'installed';
      return isTakenOff ? [{ dpId, reason: 'it was taken off meanwhile' }] : [];
    });
  }

  liveLines({ columns }: TerminalSize): readonly string[] {
    const nameWidth = Math.max(...[...this.#targets.keys()].map((dpId) => dpId.length));
    const lines = [...this.#targets.values()].flatMap((target) => {
      const [first, ...below] = this.#liveTexts(target, columns - nameWidth - 2);
      const indent = ' '.repeat(nameWidth + 2);
      const name = target.dpId.padEnd(nameWidth);
      return [`${name}  ${first}`, ...below.map((text) => `${indent}${text}`)];
    });
    return this.#isPresent ? lines : [...lines, 'The site server is away; waiting for it'];
  }

  newLines(): readonly string[] {
    const lines: string[] = [];
    for (const target of this.#targets.values()) {
      const line = `${this.packageId} on ${target.dpId}: ${this.#plainText(target)}`;
      if (line !== target.lastLine) lines.push(line);
      target.lastLine = line;
    }
    if (this.#isPresent !== this.#toldPresent) {
      this.#toldPresent = this.#isPresent;
      lines.push(`The site server ${this.#isPresent ? 'is back' : 'is away; waiting for it'}`);
    }
    return lines;
  }

  /** Whether the row is an end; one that is as it was before the request is not, nor one of an older version. */
  #isEnd(row: PackageStatusRecord): boolean {
    if (row.state === 'removed') return true;
    if (row.targetVersion < this.#versionMin) return false;
    const before = this.#before.get(row.dpId);
    if (before?.changedAtMs === row.changedAtMs && before.state === row.state) return false;
    if (row.state.endsWith('-failed')) return true;
    const isInstalled = row.state === 'installed' && row.installedVersion === row.targetVersion;
    return this.#goal === 'installed' && isInstalled;
  }

  /** Nothing of it was ever published, and its source was refused: nothing will arrive. */
  #isUnpublishable({ packageId, dpId, state, installedVersion }: PackageStatusRecord): boolean {
    const isOfSite = packageId === this.packageId && dpId === '';
    const isRefused = state === 'install-failed' && installedVersion === 0;
    return this.#goal === 'installed' && isOfSite && isRefused;
  }

  #applyUnpublished({ reason: why, ...row }: PackageStatusRecord): void {
    const reason = `nothing of it is published: ${why}`;
    for (const target of this.#targets.values()) {
      if (target.hasEnded) continue;
      target.row = { ...row, dpId: target.dpId, reason };
      target.hasEnded = true;
    }
  }

  #liveTexts(target: Target, width: number): ReturnType<typeof toJobBar> {
    const { job } = target;
    if (!job || !isRunning(job) || target.hasEnded) {
      const nextTry = job && !target.hasEnded ? toNextTryText(job, this.#clock.nowMs()) : '';
      return [this.#stateText(target) + (nextTry === '' ? '' : `, next try ${nextTry}`)];
    }
    const silentMs = this.#clock.monotonicMs() - target.heardAtMs;
    return toJobBar(job, { room: width, barWidthMax, paint: this.#paint, silentMs });
  }

  /** As in a log: a line for each tenth of the way. */
  #plainText(target: Target): string {
    const { job } = target;
    if (!job || !isRunning(job) || target.hasEnded) return this.#stateText(target);
    const reason = isWithPullDp(job) ? toReasonText(job) : '';
    const doing = this.#doingText(job);
    // What earlier tries have brought says nothing of one that is only starting.
    const done = doing === 'starting' ? doing : `${doing} ${toTenths(toProgress(job))}`.trimEnd();
    return toVisibleText(reason === '' ? done : `${done}, ${reason}`);
  }

  #doingText(job: JobRecord): 'removing' | 'starting' | 'fetching' | 'sending' {
    if (this.#goal === 'removed') return 'removing';
    // Of a pull DP that is only being told, nothing is sent; of others, nothing yet.
    if (job.state === 'started') return 'starting';
    return isWithPullDp(job) ? 'fetching' : 'sending';
  }

  #stateText({ row, job, hasEnded: isOver }: Target): string {
    if (row && isOver) {
      const text = row.reason === '' ? toStatusText(row) : `${toStatusText(row)}: ${row.reason}`;
      return this.#paint(toneOfStatus(row), toVisibleText(text));
    }
    if (job?.state === 'complete') return 'done; its site is taking the result';
    const why = job && !hasEnded(job) ? toReasonText(job) : (row?.reason ?? '');
    return toVisibleText(why === '' ? 'waiting' : `waiting: ${why}`);
  }
}

function isHeardOf({ row }: Target): boolean {
  return row !== undefined && !row.isAwaited;
}

function newTarget(dpId: string): Target {
  return { dpId, heardAtMs: 0, isListed: false, hasEnded: false, lastLine: '' };
}

/** The row of a distribution point that has none any more. */
function goneFrom(dpId: string, packageId: string): PackageStatusRecord {
  const nothing = { installedVersion: 0, targetVersion: 0, percent: 0, changedAtMs: 0 };
  const empty = { reason: '', verifiedHash: '', siteCode: '', isAwaited: false };
  return { packageId, dpId, state: 'removed', ...nothing, ...empty };
}

import type { WaitingReason } from '../../shared/domain/distribution-job.ts';
import type { Job__Output } from '../../shared/rpc/generated/waybill/v1/Job.ts';
import type { Tone } from '../../shared/runtime/text-style.ts';
import { toVisibleText } from '../../shared/runtime/visible-text.ts';
import { type Progress, toProgressBar } from './progress.ts';
import { widthOf } from './text-width.ts';
import { toWaitText } from './units.ts';
import { toCount, toWord } from './wire-values.ts';

/** A distribution job, as `--json` shows it. */
export type JobRecord = ReturnType<typeof toJobRecord>;

/** A job as it came from the site server. */
export function toJobRecord(wire: Job__Output) {
  return {
    jobSerial: toCount(wire.jobSerial, 'job_serial'),
    packageId: wire.packageId,
    sourceVersion: wire.sourceVersion,
    dpId: wire.dpId,
    action: toWord('JOB_ACTION_', wire.action),
    state: toWord('JOB_STATE_', wire.state),
    waitingReason: wire.waitingReason,
    reason: wire.reason,
    priority: toWord('PRIORITY_', wire.priority),
    dpPriority: wire.dpPriority,
    queuePlace: wire.queuePlace,
    createdAtMs: toCount(wire.createdAtMs, 'created_at_ms'),
    startedAtMs: toCount(wire.startedAtMs, 'started_at_ms'),
    updatedAtMs: toCount(wire.updatedAtMs, 'updated_at_ms'),
    restartAtMs: toCount(wire.restartAtMs, 'restart_at_ms'),
    endedAtMs: toCount(wire.endedAtMs, 'ended_at_ms'),
    tryCount: wire.tryCount,
    totalBytes: toCount(wire.totalBytes, 'total_bytes'),
    remainingBytes: toCount(wire.remainingBytes, 'remaining_bytes'),
    bytesPerSecond: toCount(wire.bytesPerSecond, 'bytes_per_second'),
    etaMs: toCount(wire.etaMs, 'eta_ms'),
    bytesSent: toCount(wire.bytesSent, 'bytes_sent'),
    sendAction: wire.sendAction,
    pollCount: wire.pollCount,
    unconfirmed: wire.unconfirmed,
    ignoresWindow: wire.ignoresWindow,
  };
}

/** The job's bytes, for a bar. */
export function toProgress(job: JobRecord): Progress {
  const { totalBytes, remainingBytes, bytesPerSecond, etaMs } = job;
  return { totalBytes, doneBytes: totalBytes - remainingBytes, bytesPerSecond, etaMs };
}

/** A pull DP tells of each percent; three times as long as one takes, and never less, is silence. */
const silenceMsMin = 15_000;
const silentPercents = 3;

/**
 * A running job's bar; in words before it is known how much there is to send. What keeps a pull DP
 * from going on stands behind the bar instead of rate and ETA, or on a second line without room.
 *
 * @param options.silentMs how long nothing was heard of the job
 */
export function toJobBar(
  job: JobRecord,
  options: Parameters<typeof toProgressBar>[1] & { silentMs: number },
): readonly [bar: string] | readonly [bar: string, hindrance: string] {
  const hindrance = toVisibleText(toHindranceText(job, options.silentMs));
  if (hindrance === '') return [toBarText(job, options)];
  const bar = toBarText({ ...job, bytesPerSecond: 0, etaMs: 0 }, options);
  const line = `${bar}  ${hindrance}`;
  return widthOf(line) <= options.room ? [line] : [bar, hindrance];
}

function toBarText(job: JobRecord, options: Parameters<typeof toProgressBar>[1]): string {
  return job.totalBytes > 0 ? toProgressBar(toProgress(job), options) : toBeginningText(job);
}

/**
 * What a pull DP says keeps it, or that it says nothing: its last rate is no news by then. Empty when
 * it fetches.
 *
 * @param silentMs how long nothing was heard of the job
 */
export function toHindranceText(job: JobRecord, silentMs: number): string {
  return isWithPullDp(job) ? toReasonText(job) || toSilenceText(job, silentMs) : '';
}

function toSilenceText({ totalBytes, bytesPerSecond }: JobRecord, silentMs: number): string {
  const percentMs = bytesPerSecond > 0 ? (10 * totalBytes) / bytesPerSecond : 0;
  if (silentMs < Math.max(silenceMsMin, silentPercents * percentMs)) return '';
  return `nothing heard for ${toWaitText(silentMs)}`;
}

function toBeginningText(job: JobRecord): string {
  if (isWithPullDp(job)) return 'with the DP, which has yet to say how much it fetches';
  if (job.action === 'cancel') return 'being told that it was cancelled';
  return job.action === 'remove' ? 'being removed' : 'finding out what the DP lacks';
}

/** Whether a pull DP has the job, fetches for itself and is to say how it ended (PULL-3). */
export function isWithPullDp(job: JobRecord): boolean {
  return job.sendAction !== '' && !hasEnded(job);
}

/** The state in words: `in progress`, or `with the DP` of a job that a pull DP has. */
export function toStateText(job: JobRecord): string {
  if (job.unconfirmed) return 'cancelled, unconfirmed';
  return isWithPullDp(job) && isRunning(job) ? 'with the DP' : job.state.replaceAll('-', ' ');
}

/** Whether the job is at work now. */
export function isRunning({ state }: JobRecord): boolean {
  return state === 'started' || state === 'in-progress';
}

/** Whether the job will do nothing more. */
export function hasEnded({ state }: JobRecord): boolean {
  return state === 'complete' || state === 'failed' || state === 'cancelled';
}

/** Whether all is well, something is on its way, or somebody should look. */
export function toneOfJob(job: JobRecord): Tone {
  if (job.state === 'complete') return 'good';
  if (job.state === 'failed') return 'bad';
  return isRunning(job) && job.waitingReason === '' ? 'good' : 'busy';
}

/** `PS100001 v3 → PS1DP1`; says so when it is not a plain distribution. */
export function toJobText(job: JobRecord): string {
  const action = job.action === 'add' ? '' : ` (${job.action})`;
  const version = job.sourceVersion > 0 ? ` v${job.sourceVersion}` : '';
  return `${job.packageId}${version} → ${job.dpId}${action}`;
}

const waitingTexts: Readonly<Record<WaitingReason, string>> = {
  'window-closed': 'window closed',
  rate: 'rate',
  slot: 'slot',
  capacity: 'the DP has as many jobs as it takes',
  'no-source': 'no source has it yet',
  'content-not-here': 'content not here',
  'dp-unreachable': 'DP unreachable',
  'disk-full-at-dp': 'disk full at DP',
  'retry-at': 'waits for its next try',
  suspended: 'suspended',
};

/** Why a job waits or failed: `DP unreachable: nothing listens there`. Empty when it runs. */
export function toReasonText(job: JobRecord): string {
  const texts: Readonly<Record<string, string>> = waitingTexts;
  const waiting = texts[job.waitingReason] ?? job.waitingReason;
  return [waiting, toSentenceBehind(job)].filter((part) => part !== '').join(': ');
}

/** Sentences that say again what their waiting reason says; the part, if any, that says more. */
const sayingAgain: Readonly<Partial<Record<string, RegExp>>> = {
  capacity: /^\S+ has as many jobs as it takes, ([0-9]+);/,
  'dp-unreachable': / cannot be reached: (.+)$/,
  rate: /^The (limit of .+) holds it back$/,
  'window-closed': /^Its window (.+)$/,
  suspended: /^Suspended by an administrator(?:; (.+))?$/,
  'no-source':
    /^No source (?:of \S+ holds|gives what is missing of) package [^:]+?(?:: (.+?))?\. It goes on /,
};

/** Of a sentence only what is new: that a DP cannot be reached, and which one, is said already. */
function toSentenceBehind({ waitingReason, reason }: JobRecord): string {
  const match = sayingAgain[waitingReason]?.exec(reason);
  return match ? (match[1] ?? '') : reason;
}

/** What ends at once when the missing is there: the next try is only the latest. */
const endingAtOnce: ReadonlySet<string> = new Set<WaitingReason>([
  'capacity',
  'dp-unreachable',
  'no-source',
]);

/** Whether the job goes on before its next try when what it waits for comes. */
export function mayGoOnBefore({ waitingReason }: JobRecord): boolean {
  return endingAtOnce.has(waitingReason);
}

/**
 * When the next try is due: `in 3 min`, or `within 3 min` when it may come before; of a job that a pull DP has, when the site asks how far it
 * is: `asks in 58 min`. Empty when nothing is due.
 */
export function toNextTryText(job: JobRecord, nowMs: number): string {
  if (job.restartAtMs === 0 || hasEnded(job)) return '';
  if (job.restartAtMs <= nowMs) return isWithPullDp(job) ? 'asks now' : 'now';
  const when = toWaitText(job.restartAtMs - nowMs);
  if (isWithPullDp(job)) return `asks in ${when}`;
  return `${mayGoOnBefore(job) ? 'within' : 'in'} ${when}`;
}

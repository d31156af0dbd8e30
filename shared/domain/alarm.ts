import {
  type DistributionJob,
  heedsWindow,
  isWithPullDp,
  type WaitingReason,
} from './distribution-job.ts';
import type { SendRequest } from './send-request.ts';

/**
 * Something that has not moved for a while, or is away: the row of table "alarms". Gone when it moves
 * again, is back, or has ended.
 */
export interface Alarm {
  /** What it had done when it last moved; of what is away 0. */
  readonly mark: number;
  /** When it was first seen like this. */
  readonly sinceMs: number;
  /** Administrators were told: not again, until it moves. */
  readonly isTold: boolean;
}

/** Whether the schedules on the way of something let it go on. */
export type WindowState =
  | 'open'
  /** They will by themselves. */
  | 'closed'
  /** They never will, to its priority. */
  | 'never-open';

/** What is known of a job besides its row. */
export interface JobStandstill {
  /** Why it does not run, as the queue says; undefined when it runs. */
  readonly waitingReason: WaitingReason | undefined;
  readonly isRunning: boolean;
  /** Why no job is begun at all; empty when all is well. */
  readonly holdReason: string;
  /** Of the way to its DP; not every job heeds it. */
  readonly window: WindowState;
}

const neverOpens = 'the schedule on its way never opens to packages of its priority';

/**
 * The closed list of what jobs wait for that does not end by itself, or has somebody who is told of it
 * already. `slot` and `capacity` end when other jobs do, which have alarms of their own; a closed window
 * opens; whoever suspends a job knows; of a DP that is away is told once, and not for each of its jobs.
 */
const standstillReasons: Partial<Record<WaitingReason, string>> = {
  'no-source': 'no source gives what is missing',
  'content-not-here': 'the content is not in the library of its site',
  'disk-full-at-dp': 'the distribution point has no room for it',
  'retry-at': 'its tries fail',
};

/** Why a job that makes no progress will not go on by itself; undefined when it will. */
export function standstillOfJob(
  job: DistributionJob,
  { waitingReason, isRunning, holdReason, window }: JobStandstill,
): string | undefined {
  if (holdReason !== '') return holdReason;
  if (job.state === 'suspended') return undefined;
  if (window !== 'open' && heedsWindow(job)) return window === 'closed' ? undefined : neverOpens;
  const because = (text: string) => (job.reason === '' ? text : job.reason);
  if (isWithPullDp(job)) return because('the distribution point has said nothing of it since');
  if (isRunning) return 'it runs, and the distribution point has confirmed nothing since';
  const text = waitingReason && standstillReasons[waitingReason];
  return text && because(text);
}

/** Why a send request that makes no progress will not go on by itself; undefined when it will. */
export function standstillOfSend(request: SendRequest, window: WindowState): string | undefined {
  const { destinationSiteCode: site, finalSiteCode, file, reason, state, ignoresWindow } = request;
  if (site === '') return `no way to site ${finalSiteCode} is known`;
  if (window !== 'open' && !ignoresWindow) return window === 'closed' ? undefined : neverOpens;
  if (state === 'sending') return `it is being sent, and site ${site} has confirmed nothing since`;
  if (state === 'retrying') return reason;
  // While its package file is made all is well; when that fails, it says why.
  if (state === 'pending' && file.fileHash === '' && reason !== '') return reason;
  return undefined;
}

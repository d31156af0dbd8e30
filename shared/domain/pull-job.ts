import type { ErrorDetails } from './errors.ts';
import type { PackageVersion, Priority } from './package.ts';
import type { PullSource } from './pull-source.ts';

/** States of the job for one content of a package on a pull DP (PULL-4), as the seeds name them. */
export type PullContentState =
  | 'not-started'
  | 'downloading-signature'
  | 'signature-downloaded'
  | 'downloading'
  | 'downloaded'
  | 'si-applied'
  | 'succeeded'
  | 'failed'
  | 'cancelled';

/**
 * Numbers of the states: Configuration Manager's where one is known (1, 4, 5, 9, 13), ours for the
 * rest.
 */
export const pullContentStateNumbers = {
  'not-started': 1,
  'downloading-signature': 4,
  'signature-downloaded': 5,
  downloading: 6,
  downloaded: 9,
  'si-applied': 13,
  succeeded: 14,
  failed: 15,
  cancelled: 16,
} as const satisfies Record<PullContentState, number>;

/**
 * The moves of a content job. Any state that is not the last may go back to "not started": after a
 * crash, or when what was here is gone, the DP looks again at what it has.
 */
export const pullContentMovesFrom = {
  'not-started': ['downloading-signature', 'signature-downloaded', 'failed', 'cancelled'],
  'downloading-signature': ['signature-downloaded', 'not-started', 'failed', 'cancelled'],
  'signature-downloaded': ['downloading', 'downloaded', 'not-started', 'failed', 'cancelled'],
  downloading: ['downloaded', 'not-started', 'failed', 'cancelled'],
  downloaded: ['si-applied', 'not-started', 'failed', 'cancelled'],
  'si-applied': ['succeeded', 'not-started', 'failed', 'cancelled'],
  succeeded: ['not-started'],
  failed: [],
  cancelled: [],
} as const satisfies Record<PullContentState, readonly PullContentState[]>;

/** The state after a move; one that is not in the table is a bug and throws. */
export function pullContentMoved(from: PullContentState, to: PullContentState): PullContentState {
  const allowed: readonly PullContentState[] = pullContentMovesFrom[from];
  if (!allowed.includes(to)) throw new Error(`Pull job: no move ${from} → ${to}`);
  return to;
}

/** What of one content is to be fetched, and how far that is. */
export interface PullContentJob {
  readonly contentId: string;
  /** The older content it came from; empty when there is none. */
  readonly relatedContentId: string;
  readonly state: PullContentState;
}

export type PullAction = 'add' | 'redistribute';

/** A package a pull DP fetches, with one job for each of its contents: the row of "pull jobs". */
export interface PullJob {
  /** The site's job; fences older ones. */
  readonly jobSerial: number;
  readonly packageId: string;
  readonly action: PullAction;
  readonly priority: Priority;
  /** An administrator lets it run now, whatever the hours are in which the DP may fetch. */
  readonly ignoresWindow?: boolean;
  readonly allowFallback: boolean;
  /** Lowest rank first. */
  readonly sources: readonly PullSource[];
  /** The package info bundle, checked. */
  readonly version: PackageVersion;
  /** BLAKE3-256 of the bundle as it came, lower-case hexadecimal. */
  readonly bundleHash: string;
  readonly contents: readonly PullContentJob[];
  readonly acceptedAtMs: number;
  /** When it first had its turn; 0 before. */
  readonly startedAtMs: number;
  /** When it goes on by itself after its sources were exhausted; 0 when it does not wait. */
  readonly restartAtMs: number;
  /** Content bytes that came over the wire so far, repeats included. */
  readonly receivedBytes: number;
  /** Why it waits; absent when it does not. */
  readonly error?: ErrorDetails;
}

/** What decides when and before whom a job fetches. */
export type PullUrgency = Pick<PullJob, 'priority' | 'ignoresWindow'>;

/** The package's state: that of its content that has come least far. */
export function pullJobStateOf({ contents }: PullJob): PullContentState {
  const states = contents.map(({ state }) => state);
  const byNumber = (a: PullContentState, b: PullContentState) =>
    pullContentStateNumbers[a] - pullContentStateNumbers[b];
  return states.sort(byNumber)[0] ?? 'succeeded';
}

/** Order in which a pull DP takes its jobs: priority, then age. */
export function comparePullJobs(a: PullJob, b: PullJob): number {
  return a.priority - b.priority || a.acceptedAtMs - b.acceptedAtMs || a.jobSerial - b.jobSerial;
}

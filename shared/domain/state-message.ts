import type { ErrorDetails } from './errors.ts';

/** Topic of the state messages of pull DPs, as in Configuration Manager. */
export const pullTopicType = 902;

/** State IDs of topic 902. @see the seeds, "state messages" */
export const pullStateIds = {
  success: 1,
  warning: 2,
  failure: 4,
  started: 8,
  progress: 16,
  downloaded: 32,
  cancelled: 64,
} as const;

export type PullState = keyof typeof pullStateIds;

/** What a pull DP says of one of its jobs: what is true now (PULL-8). */
export interface StateMessage {
  readonly dpId: string;
  readonly packageId: string;
  readonly jobSerial: number;
  readonly sourceVersion: number;
  readonly place: MessagePlace;
  readonly state: PullState;
  /** 0 to 100. */
  readonly percent: number;
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Content bytes that came over the wire for the job, repeats included. */
  readonly receivedBytes: number;
  /** With `success`: what the DP computed over what it serves; else empty. */
  readonly packageHash: string;
  /** With `warning` and `failure`. */
  readonly error?: ErrorDetails;
  /** The source the error is about, as an identity URI; empty when it is about none. */
  readonly source: string;
  /** By the DP's clock. */
  readonly timeMs: number;
}

/** Where a message stands among all of its DP. An outbox that was lost begins anew, later. */
export interface MessagePlace {
  readonly outboxMadeAtMs: number;
  readonly serial: number;
}

/** Whether a message comes after what was last heard; the same one again does not. */
export function isLater(message: MessagePlace, heard: MessagePlace | undefined): boolean {
  if (!heard) return true;
  const byOutbox = message.outboxMadeAtMs - heard.outboxMadeAtMs;
  return byOutbox > 0 || (byOutbox === 0 && message.serial > heard.serial);
}

/** Whether the job is over with this message. */
export function endsJob(state: PullState): boolean {
  return state === 'success' || state === 'failure' || state === 'cancelled';
}

/** A warning that came before what was last heard, and was not taken yet. */
export type PullWarning = Pick<StateMessage, 'error' | 'source'>;

/** Most warnings kept beside what was last heard; further ones are lost. */
export const pullWarningCountMax = 16;

/** What the site last heard of a job from a pull DP: the row of table "pull DP response". */
export interface PullResponse extends StateMessage {
  /** Oldest first, those of the message itself included. */
  readonly warnings: readonly PullWarning[];
}

/** The row after one more message; what it says replaces what is there, but for the warnings. */
export function toPullResponse(
  message: StateMessage,
  before: PullResponse | undefined,
): PullResponse {
  const { error, source } = message;
  const warning = message.state === 'warning' && error ? [{ error, source }] : [];
  const warnings = [...(before?.warnings ?? []), ...warning].slice(0, pullWarningCountMax);
  return { ...message, warnings };
}

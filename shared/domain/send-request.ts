import type { Priority } from './package.ts';

/** A package file: made once for all who get it, deleted when the last send request is done. */
export interface PackageFileFacts {
  /** BLAKE3-256, lower-case hex: also its name. */
  readonly fileHash: string;
  readonly fileBytes: number;
}

/**
 * An order of Distribution Manager to bring a version of a package to another site: the row of table
 * "mini-jobs". At most one is open for a package and a site; a newer one supersedes it.
 */
export interface MiniJob {
  /** Site code and a serial, such as CS1-0000002A: unique in the hierarchy. */
  readonly jobId: string;
  readonly packageId: string;
  readonly sourceVersion: number;
  /** 0: a full package file. */
  readonly baseVersion: number;
  readonly packageHash: string;
  readonly sourceSiteCode: string;
  readonly finalSiteCode: string;
  readonly priority: Priority;
  readonly createdAtMs: number;
  /** Of a job that is forwarded: its file came with it. */
  readonly file?: PackageFileFacts;
  /** The signed package instruction of a job that is forwarded, base64 of a SignedInstruction. */
  readonly forwarded?: string;
  /** When the instruction of a job that is forwarded expires. */
  readonly expiresAtMs?: number;
}

export type SendRequestState =
  | 'pending'
  | 'sending'
  | 'retrying'
  | 'suspended'
  | 'complete'
  | 'failed'
  | 'cancelled';

/** One hop of a mini-job: the row of table "send requests", kept by the Scheduler. */
export interface SendRequest {
  /** Serial and site code, such as 0000002ACS1. */
  readonly requestId: string;
  readonly jobId: string;
  readonly packageId: string;
  readonly sourceVersion: number;
  readonly baseVersion: number;
  readonly sourceSiteCode: string;
  /** The site this hop goes to; empty while no way to the final site is known. */
  readonly destinationSiteCode: string;
  readonly finalSiteCode: string;
  readonly priority: Priority;
  /** Its hash is empty until the package file is made. */
  readonly file: PackageFileFacts;
  readonly state: SendRequestState;
  /** Why it waits, or how it failed. */
  readonly reason: string;
  readonly remainingBytes: number;
  /** Content bytes put on the wire so far, repeats included. */
  readonly bytesSent: number;
  readonly tryCount: number;
  readonly createdAtMs: number;
  readonly startedAtMs: number;
  readonly heartbeatAtMs: number;
  readonly finishedAtMs: number;
  /** When the next try is due; 0: none is. */
  readonly retryAtMs: number;
  /** Set by an administrator; lower goes first. Absent: 0. */
  readonly order?: number;
  /** An administrator lets it be sent now: its next try heeds no schedule. Gone once a try has failed. */
  readonly ignoresWindow?: true;
}

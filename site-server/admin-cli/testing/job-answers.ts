import type { Job__Output } from '../../../shared/rpc/generated/waybill/v1/Job.ts';
import type { SendRequest__Output } from '../../../shared/rpc/generated/waybill/v1/SendRequest.ts';
import { thenMs } from './fake-moment.ts';

/** A job that is a quarter done. */
export function aJob(changes: Partial<Job__Output> = {}): Job__Output {
  return {
    jobSerial: '17',
    packageId: 'PS100001',
    sourceVersion: 3,
    dpId: 'PS1DP1',
    action: 'JOB_ACTION_ADD',
    state: 'JOB_STATE_IN_PROGRESS',
    waitingReason: '',
    reason: '',
    priority: 'PRIORITY_NORMAL',
    dpPriority: 200,
    queuePlace: 0,
    createdAtMs: String(thenMs),
    startedAtMs: String(thenMs),
    updatedAtMs: String(thenMs),
    restartAtMs: '0',
    tryCount: 1,
    totalBytes: '4294967296',
    remainingBytes: '3221225472',
    bytesPerSecond: '45200000',
    etaMs: '71000',
    bytesSent: '1073741824',
    endedAtMs: '0',
    sendAction: '',
    pollCount: 0,
    unconfirmed: false,
    ignoresWindow: false,
    ...changes,
  };
}

/** A job that waits for an administrator. */
export function aSuspendedJob(changes: Partial<Job__Output> = {}): Job__Output {
  return aJob({
    state: 'JOB_STATE_SUSPENDED',
    waitingReason: 'suspended',
    reason: 'Suspended by an administrator',
    queuePlace: 2,
    ...changes,
  });
}

/** A job that waits for a DP that is down. */
export function aWaitingJob(changes: Partial<Job__Output> = {}): Job__Output {
  return aJob({
    jobSerial: '18',
    dpId: 'PS1DP2',
    state: 'JOB_STATE_PENDING_RESTART',
    waitingReason: 'dp-unreachable',
    reason: 'distribution point PS1DP2 at dp2:8531 cannot be reached: nothing listens there',
    queuePlace: 1,
    restartAtMs: String(thenMs + 300_000),
    remainingBytes: '4294967296',
    bytesPerSecond: '0',
    etaMs: '0',
    ...changes,
  });
}

/** A send request that is a quarter done. */
export function aSendRequest(changes: Partial<SendRequest__Output> = {}): SendRequest__Output {
  return {
    requestId: '0000002ACS1',
    jobId: 'CS1-0000002A',
    packageId: 'CS100001',
    sourceVersion: 3,
    baseVersion: 0,
    sourceSiteCode: 'CS1',
    destinationSiteCode: 'PS1',
    finalSiteCode: 'SS1',
    priority: 'PRIORITY_NORMAL',
    state: 'SEND_REQUEST_STATE_SENDING',
    reason: '',
    totalBytes: '4294967296',
    remainingBytes: '3221225472',
    bytesPerSecond: '45200000',
    etaMs: '71000',
    bytesSent: '1073741824',
    tryCount: 1,
    createdAtMs: String(thenMs),
    startedAtMs: String(thenMs),
    heartbeatAtMs: String(thenMs),
    finishedAtMs: '0',
    retryAtMs: '0',
    ...changes,
  };
}

/** A send request whose destination is away. */
export function aRetryingSendRequest(): SendRequest__Output {
  return aSendRequest({
    requestId: '0000002BCS1',
    destinationSiteCode: 'PS2',
    finalSiteCode: 'PS2',
    state: 'SEND_REQUEST_STATE_RETRYING',
    reason: 'site PS2 at ps2:8530 cannot be reached: nothing listens there',
    remainingBytes: '4294967296',
    bytesPerSecond: '0',
    etaMs: '0',
    bytesSent: '0',
    retryAtMs: String(thenMs + 300_000),
  });
}

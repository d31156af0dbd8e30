import type { MiniJob, PackageFileFacts, SendRequest, SendRequestState } from './send-request.ts';

/** A package file that is not made yet. */
export const noPackageFile: PackageFileFacts = { fileHash: '', fileBytes: 0 };

/** ID of mini-job number `serial` of a site, such as CS1-0000002A. */
export function toMiniJobId(siteCode: string, serial: number): string {
  return `${siteCode}-${toSerialText(serial)}`;
}

/** ID of send request number `serial` of a site, such as 0000002ACS1; sorts by serial. */
export function toSendRequestId(siteCode: string, serial: number): string {
  return `${toSerialText(serial)}${siteCode}`;
}

/** The serial number in the ID of a send request. */
export function serialOfSendRequest(requestId: string): number {
  return Number.parseInt(requestId.slice(0, 8), 16);
}

/** The request for the first hop of a job. */
export function toSendRequest(
  job: MiniJob,
  { requestId, destinationSiteCode }: { requestId: string; destinationSiteCode: string },
  nowMs: number,
): SendRequest {
  const { jobId, packageId, sourceVersion, baseVersion, sourceSiteCode, finalSiteCode } = job;
  return {
    ...{ requestId, jobId, packageId, sourceVersion, baseVersion, sourceSiteCode },
    ...{ destinationSiteCode, finalSiteCode, priority: job.priority, file: noPackageFile },
    ...{ state: 'pending', reason: '', remainingBytes: 0, bytesSent: 0, tryCount: 0 },
    // Age counts from the order: a job that was forwarded has waited already.
    ...{ createdAtMs: job.createdAtMs, startedAtMs: 0, heartbeatAtMs: nowMs },
    ...{ finishedAtMs: 0, retryAtMs: 0 },
  };
}

/** The request once its package file is there. */
export function withPackageFile(request: SendRequest, file: PackageFileFacts): SendRequest {
  // One that was sent before says why it was made anew; nothing else is worth saying any more.
  const reason = request.tryCount > 0 ? request.reason : '';
  return { ...waiting(request), reason, file, remainingBytes: file.fileBytes };
}

/** The request while its package file cannot be made, or until the next try of it. */
export function withoutPackageFile(request: SendRequest, reason: string): SendRequest {
  return { ...waiting(request), file: noPackageFile, remainingBytes: 0, reason };
}

/** The request once the way to its final site is another. */
export function withDestination(request: SendRequest, destinationSiteCode: string): SendRequest {
  // What the one receiver has of the file says nothing of the other.
  const remainingBytes = request.file.fileBytes;
  return { ...waiting(request), destinationSiteCode, remainingBytes };
}

/** The request as one that may be tried at once. */
export function waiting(request: SendRequest): SendRequest {
  return { ...request, state: 'pending', reason: '', retryAtMs: 0 };
}

/** The request while a try runs. */
export function withTryStarted(request: SendRequest, nowMs: number): SendRequest {
  // What is begun anew at once says why, for as long as it takes.
  const reason = request.state === 'pending' ? request.reason : '';
  return {
    ...waiting(request),
    reason,
    state: 'sending',
    tryCount: request.tryCount + 1,
    startedAtMs: request.startedAtMs || nowMs,
    heartbeatAtMs: nowMs,
  };
}

/** The request after a try that gave its place back: that was none. */
export function withoutTry(request: SendRequest): SendRequest {
  return { ...waiting(request), tryCount: Math.max(0, request.tryCount - 1) };
}

/** The request after a try that failed, until the next one. */
export function withRetry(
  request: SendRequest,
  retry: { readonly reason: string; readonly retryAtMs: number },
): SendRequest {
  const { ignoresWindow: _, ...rest } = request;
  return { ...rest, ...retry, state: 'retrying' };
}

/** The request until an administrator resumes it. What has come through stays at the receiver. */
export function withSuspension(request: SendRequest): SendRequest {
  return { ...request, state: 'suspended', reason: suspendedReason, retryAtMs: 0 };
}

/** The request after a move of somebody who does not know that it is suspended. */
export function stillSuspended(before: SendRequest, moved: SendRequest): SendRequest {
  // A try that is just beginning is aborted: it was none.
  if (moved.state === 'sending') return before;
  return { ...moved, state: 'suspended', reason: before.reason, retryAtMs: 0 };
}

/** The request as one that is tried now, whatever the schedule says. */
export function withRunNow(request: SendRequest): SendRequest {
  const due = request.state === 'sending' ? request : waiting(request);
  return { ...due, ignoresWindow: true };
}

const suspendedReason = 'Suspended by an administrator';

/** The request at its end. */
export function withEnd(
  request: SendRequest,
  end: { readonly state: SendRequestState; readonly reason: string },
  nowMs: number,
): SendRequest {
  const remainingBytes = end.state === 'complete' ? 0 : request.remainingBytes;
  return { ...request, ...end, remainingBytes, retryAtMs: 0, finishedAtMs: nowMs };
}

function toSerialText(serial: number): string {
  return serial.toString(16).toUpperCase().padStart(8, '0');
}

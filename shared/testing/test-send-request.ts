import type { MiniJob, SendRequest } from '../domain/send-request.ts';

/** A mini-job as Distribution Manager makes it, with what a test says of it. */
export function testMiniJob(facts: Partial<MiniJob> = {}): MiniJob {
  return {
    ...{ jobId: 'CS1-00000001', packageId: 'CS100001', sourceVersion: 1, baseVersion: 0 },
    ...{ packageHash: 'ab'.repeat(32), sourceSiteCode: 'CS1', finalSiteCode: 'PS1' },
    ...{ priority: 2, createdAtMs: 1_000, ...facts },
  };
}

/** A send request whose package file is made, with what a test says of it. */
export function testSendRequest(facts: Partial<SendRequest> = {}): SendRequest {
  return {
    ...{ requestId: '00000001CS1', jobId: 'CS1-00000001', packageId: 'CS100001' },
    ...{ sourceVersion: 1, baseVersion: 0, sourceSiteCode: 'CS1', destinationSiteCode: 'PS1' },
    ...{ finalSiteCode: 'PS1', priority: 2, file: { fileHash: 'cd'.repeat(32), fileBytes: 100 } },
    ...{ state: 'pending', reason: '', remainingBytes: 100, bytesSent: 0, tryCount: 0 },
    ...{ createdAtMs: 1_000, startedAtMs: 0, heartbeatAtMs: 0, finishedAtMs: 0, retryAtMs: 0 },
    ...facts,
  };
}

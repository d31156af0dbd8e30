import type { SendRequest__Output } from '../../shared/rpc/generated/waybill/v1/SendRequest.ts';
import type { Tone } from '../../shared/runtime/text-style.ts';
import type { Progress } from './progress.ts';
import { toWaitText } from './units.ts';
import { toCount, toWord } from './wire-values.ts';

/** A send request, as `--json` shows it. */
export type SendRecord = ReturnType<typeof toSendRecord>;

/** A send request as it came from the site server. */
export function toSendRecord(wire: SendRequest__Output) {
  return {
    requestId: wire.requestId,
    jobId: wire.jobId,
    packageId: wire.packageId,
    sourceVersion: wire.sourceVersion,
    baseVersion: wire.baseVersion,
    sourceSiteCode: wire.sourceSiteCode,
    destinationSiteCode: wire.destinationSiteCode,
    finalSiteCode: wire.finalSiteCode,
    priority: toWord('PRIORITY_', wire.priority),
    state: toWord('SEND_REQUEST_STATE_', wire.state),
    reason: wire.reason,
    totalBytes: toCount(wire.totalBytes, 'total_bytes'),
    remainingBytes: toCount(wire.remainingBytes, 'remaining_bytes'),
    bytesPerSecond: toCount(wire.bytesPerSecond, 'bytes_per_second'),
    etaMs: toCount(wire.etaMs, 'eta_ms'),
    bytesSent: toCount(wire.bytesSent, 'bytes_sent'),
    tryCount: wire.tryCount,
    createdAtMs: toCount(wire.createdAtMs, 'created_at_ms'),
    startedAtMs: toCount(wire.startedAtMs, 'started_at_ms'),
    heartbeatAtMs: toCount(wire.heartbeatAtMs, 'heartbeat_at_ms'),
    finishedAtMs: toCount(wire.finishedAtMs, 'finished_at_ms'),
    retryAtMs: toCount(wire.retryAtMs, 'retry_at_ms'),
  };
}

/** The request's bytes, for a bar. */
export function toSendProgress(request: SendRecord): Progress {
  const { totalBytes, remainingBytes, bytesPerSecond, etaMs } = request;
  return { totalBytes, doneBytes: totalBytes - remainingBytes, bytesPerSecond, etaMs };
}

/** `CS100001 v3 → PS1`; where it goes on from there, and what it is a delta to. */
export function toSendText(request: SendRecord): string {
  const { packageId, sourceVersion, destinationSiteCode, finalSiteCode } = request;
  const onward = finalSiteCode === destinationSiteCode ? '' : ` (for ${finalSiteCode})`;
  return `${packageId} v${sourceVersion} → ${destinationSiteCode}${onward}`;
}

/** `full`, or the version it is a delta to. */
export function toFormText({ baseVersion }: SendRecord): string {
  return baseVersion === 0 ? 'full' : `delta to ${baseVersion}`;
}

/** When the next try is due: `in 3 min`; empty when none is. */
export function toRetryText({ retryAtMs, state }: SendRecord, nowMs: number): string {
  if (retryAtMs === 0 || hasSendEnded({ state })) return '';
  return retryAtMs <= nowMs ? 'now' : `within ${toWaitText(retryAtMs - nowMs)}`;
}

/** Whether nothing more will come of it. */
export function hasSendEnded({ state }: Pick<SendRecord, 'state'>): boolean {
  return state === 'complete' || state === 'failed' || state === 'cancelled';
}

/** Whether all is well, something is on its way, or somebody should look. */
export function toneOfSend({ state }: SendRecord): Tone {
  if (state === 'complete' || state === 'sending') return 'good';
  return state === 'failed' ? 'bad' : 'busy';
}

import type { AuditRecord__Output } from '../../shared/rpc/generated/waybill/v1/AuditRecord.ts';
import type { StatusMessage__Output } from '../../shared/rpc/generated/waybill/v1/StatusMessage.ts';
import { toCount, toWord } from './wire-values.ts';

/** A status message, as `--json` shows it. */
export type StatusMessageRecord = ReturnType<typeof toStatusMessageRecord>;
/** A row of the audit trail, as `--json` shows it. */
export type AuditTrailRecord = ReturnType<typeof toAuditTrailRecord>;

/** A status message as it came from the site server. */
export function toStatusMessageRecord(wire: StatusMessage__Output) {
  return {
    serial: toCount(wire.serial, 'serial'),
    messageId: wire.messageId,
    severity: toWord('SEVERITY_', wire.severity),
    component: wire.component,
    siteCode: wire.siteCode,
    timeMs: toCount(wire.timeMs, 'time_ms'),
    packageId: wire.packageId,
    sourceVersion: wire.sourceVersion,
    dpId: wire.dpId,
    insertionStrings: wire.insertionStrings,
    text: wire.text,
  };
}

/** A row of the audit trail as it came from the site server. */
export function toAuditTrailRecord(wire: AuditRecord__Output) {
  return {
    serial: toCount(wire.serial, 'serial'),
    timeMs: toCount(wire.timeMs, 'time_ms'),
    caller: wire.caller,
    address: wire.address,
    method: wire.method,
    result: wire.result,
    detail: wire.detail,
  };
}

import type { AuditHead, AuditRecord } from '../../shared/domain/audit-record.ts';
import {
  parseStatusMessageId,
  type StatusMessage,
  statusMessageKind,
  toStatusText,
} from '../../shared/domain/status-message.ts';
import type { AuditFilter__Output } from '../../shared/rpc/generated/waybill/v1/AuditFilter.ts';
import type { AuditHead as AuditHeadMessage } from '../../shared/rpc/generated/waybill/v1/AuditHead.ts';
import type { AuditRecord as AuditRecordMessage } from '../../shared/rpc/generated/waybill/v1/AuditRecord.ts';
import type { AuditTrailPart as AuditTrailPartMessage } from '../../shared/rpc/generated/waybill/v1/AuditTrailPart.ts';
import type { StatusMessage as StatusMessageMessage } from '../../shared/rpc/generated/waybill/v1/StatusMessage.ts';
import type { StatusMessageFilter__Output } from '../../shared/rpc/generated/waybill/v1/StatusMessageFilter.ts';
import type { AuditQuery, TrailPart } from '../audit-trail/audit-trail.ts';
import type { StatusMessageQuery } from '../status-manager/status-manager.ts';
import { severityNames, toSeverity } from './enum-tables.ts';
import {
  requireDistributionPointId,
  requirePackageId,
  requireSiteCode,
} from './package-requests.ts';
import { checkedCount, checkedNumber } from './request-text.ts';

/** Rows of a list when the request does not say how many. */
const countDefault = 200;

/** @throws REQUEST_INVALID */
export function toStatusMessageQuery(filter: StatusMessageFilter__Output): StatusMessageQuery {
  const { packageId, dpId, messageId, siteCode } = filter;
  const severity = toSeverity(filter.severity);
  return {
    ...(packageId !== '' && { packageId: requirePackageId(packageId) }),
    ...(dpId !== '' && { dpId: requireDistributionPointId('dp_id', dpId) }),
    ...(severity && { severity }),
    ...(messageId !== 0 && { messageId }),
    ...(siteCode !== '' && { siteCode: requireSiteCode('site_code', siteCode) }),
    sinceMs: checkedNumber('since_ms', filter.sinceMs),
    countMax: checkedCount('limit', filter.limit, countDefault),
  };
}

/** @throws REQUEST_INVALID */
export function toAuditQuery(filter: AuditFilter__Output): AuditQuery {
  return {
    sinceMs: checkedNumber('since_ms', filter.sinceMs),
    refusedOnly: filter.refusedOnly,
    countMax: checkedCount('limit', filter.limit, countDefault),
  };
}

/** A status message as administrators see it, with its sentence. */
export function toStatusMessageMessage(message: StatusMessage): StatusMessageMessage {
  const { serial, messageId, siteCode, timeMs, packageId, sourceVersion, dpId } = message;
  const insertionStrings = [...message.insertionStrings];
  const facts = { serial, messageId, siteCode, timeMs, packageId, sourceVersion, dpId };
  if (parseStatusMessageId(messageId) === undefined) {
    // Written by a newer program: its sentence is not known here, its strings are.
    return { ...facts, insertionStrings, text: insertionStrings.join(', ') };
  }
  const { severity, component } = statusMessageKind(messageId);
  const text = toStatusText(message);
  return { ...facts, insertionStrings, severity: severityNames[severity], component, text };
}

/** An audit record as administrators see it. */
export function toAuditRecordMessage(record: AuditRecord): AuditRecordMessage {
  const { previousHash = '', hash = '', ...facts } = record;
  return { ...facts, previousHash: toBytes(previousHash), hash: toBytes(hash) };
}

/** Records of one part: well below the longest message, whatever they say. */
const partRecordsMax = 128;

/** A whole trail as administrators read it. */
export async function* toTrailMessages(
  parts: AsyncIterable<TrailPart>,
): AsyncGenerator<AuditTrailPartMessage> {
  let records: AuditRecordMessage[] = [];
  for await (const { anchor, record } of parts) {
    if (record) records.push(toAuditRecordMessage(record));
    if (records.length >= partRecordsMax || (anchor && records.length > 0)) {
      yield { records };
      records = [];
    }
    if (anchor) yield { anchor: { serial: anchor.serial, hash: toBytes(anchor.hash) } };
  }
  if (records.length > 0) yield { records };
}

/** What a site has told of its trail. */
export function toAuditHeadMessage({ serial, hash, toldAtMs }: AuditHead): AuditHeadMessage {
  return { serial, hash: toBytes(hash), toldAtMs };
}

function toBytes(hash: string): Buffer {
  return Buffer.from(hash, 'hex');
}

import { createHash } from 'node:crypto';
import type { AuditRecord } from '../domain/audit-record.ts';

/** An audit record before it is chained. */
export type UnchainedRecord = Omit<AuditRecord, 'previousHash' | 'hash'>;

/** An audit record that is part of the chain. */
export type ChainedRecord = UnchainedRecord & Required<Pick<AuditRecord, 'previousHash' | 'hash'>>;

/**
 * The hash of a record (docs/trust.md, 8): SHA-256, hex, over the JSON of what is listed here, so that no two
 * records have the same bytes.
 */
export function hashOfRecord(record: UnchainedRecord, previousHash: string): string {
  const { serial, timeMs, caller, address, method, result, detail } = record;
  const facts = [serial, timeMs, caller, address, method, result, detail];
  const text = JSON.stringify(['waybill audit 1', previousHash, ...facts]);
  return createHash('sha256').update(text, 'utf8').digest('hex');
}

/** The record as the next of a chain. Its texts are made such that they come over the wire unchanged. */
export function chained(record: UnchainedRecord, previousHash: string): ChainedRecord {
  const { serial, timeMs } = record;
  const texts = {
    caller: wellFormed(record.caller),
    address: wellFormed(record.address),
    method: wellFormed(record.method),
    result: wellFormed(record.result),
    detail: wellFormed(record.detail),
  };
  const made = { serial, timeMs, ...texts };
  return { ...made, previousHash, hash: hashOfRecord(made, previousHash) };
}

/** Half of a character that was cut in two has no UTF-8. */
function wellFormed(text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8');
}

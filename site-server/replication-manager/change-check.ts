import type { RowVersion } from '../../shared/domain/change-log.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { ReplicatedTable } from '../../shared/domain/replicated-tables.ts';
import { parseSiteCode } from '../../shared/domain/site.ts';
import type { StatusMessage } from '../../shared/domain/status-message.ts';
import type { ReplicatedRow__Output } from '../../shared/rpc/generated/waybill/v1/ReplicatedRow.ts';
import type { ReplicationChanges__Output } from '../../shared/rpc/generated/waybill/v1/ReplicationChanges.ts';
import type { ReplicationMessages__Output } from '../../shared/rpc/generated/waybill/v1/ReplicationMessages.ts';
import type { HybridClock } from './hybrid-clock.ts';
import {
  isKeyOf,
  parseTable,
  type RowName,
  rowIdOf,
  tableNames,
  writerOf,
} from './replicated-rows.ts';
import { numberMax, rowBytesMax, rowKeyCharsMax } from './replication-config.ts';
import { parseRow, parseStatusMessage } from './row-schemas.ts';

/** Further checks of rows by table: why a row is refused, or undefined. */
export type RowChecks = Partial<
  Record<ReplicatedTable, (key: string, value: unknown) => string | undefined>
>;

/** What rows are checked with. */
export interface CheckNeeds {
  readonly clock: Pick<HybridClock, 'aheadMs'>;
  readonly clockAheadMsMax: number;
  readonly checks: RowChecks;
}

/** A row from a message that may be applied. */
export interface CheckedRow {
  readonly name: RowName;
  /** Undefined when the row is deleted. */
  readonly value: unknown;
  readonly version: RowVersion;
}

/** A message whose every row may be applied. */
export interface CheckedChanges {
  readonly origin: string;
  readonly after: number;
  readonly through: number;
  readonly rows: readonly CheckedRow[];
  readonly isFullCopy: boolean;
  readonly isFullCopyEnd: boolean;
}

/** Status messages of one origin that may be kept. */
export interface CheckedMessages {
  readonly origin: string;
  readonly after: number;
  readonly through: number;
  readonly messages: readonly StatusMessage[];
}

const shownCharsMax = 80;
const counterMax = 2 ** 32 - 1;

/** @throws MESSAGE_INVALID, REPLICATION_ROW_REFUSED, CLOCK_AHEAD */
export function checkedChanges(
  message: ReplicationChanges__Output,
  needs: CheckNeeds,
): CheckedChanges {
  const origin = requireOrigin(message.originSiteCode);
  const { after, through } = requireRange(message);
  const rows = message.rows.map((row) => checkedRow(row, origin, needs));
  requireRising(
    rows.map(({ version }) => version.sequence),
    { after, through },
  );
  if (new Set(rows.map(({ name }) => rowIdOf(name))).size < rows.length) {
    throw invalid('rows', 'each row once', 'a row twice');
  }
  const isFullCopy = message.fullCopy;
  return {
    ...{ origin, after, through, rows, isFullCopy },
    isFullCopyEnd: isFullCopy && message.fullCopyEnds,
  };
}

/** @throws MESSAGE_INVALID, REPLICATION_ROW_REFUSED */
export function checkedMessages(message: ReplicationMessages__Output): CheckedMessages {
  const origin = requireOrigin(message.originSiteCode);
  const { after, through } = requireRange(message);
  const messages = message.messages.map((json) => {
    const parsed = parseStatusMessage(json);
    if ('refusal' in parsed) throw refused(origin, 'status message', parsed.refusal);
    if (parsed.value.siteCode !== origin) {
      throw refused(origin, 'status message', 'it is of another site');
    }
    return parsed.value;
  });
  requireRising(
    messages.map(({ serial }) => serial),
    { after, through },
  );
  return { origin, after, through, messages };
}

/** A number of the wire. @throws MESSAGE_INVALID */
export function requireCount(field: string, text: string | number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= numberMax) return value;
  throw invalid(field, 'a whole number up to 2^52', String(text));
}

/** @throws MESSAGE_INVALID */
export function requireOrigin(text: string): string {
  const siteCode = parseSiteCode(text);
  if (siteCode !== undefined) return siteCode;
  throw invalid('origin_site_code', 'a site code', text);
}

export function invalid(field: string, expected: string, actual: string): WaybillError {
  const shown = visible(actual);
  return new WaybillError({ code: 'MESSAGE_INVALID', field, expected, actual: shown });
}

function requireRange(message: { after: string; through: string }) {
  const after = requireCount('after', message.after);
  const through = requireCount('through', message.through);
  if (through >= after) return { after, through };
  throw invalid('through', `at least ${after}`, `${through}`);
}

function requireRising(numbers: readonly number[], range: { after: number; through: number }) {
  let before = range.after;
  for (const number of numbers) {
    if (number <= before || number > range.through) {
      throw invalid('sequence', `above ${before}, at most ${range.through}`, `${number}`);
    }
    before = number;
  }
}

function checkedRow(row: ReplicatedRow__Output, origin: string, needs: CheckNeeds): CheckedRow {
  const table = parseTable(row.table);
  const { key } = row;
  const shown = visible(`${row.table}/${key}`);
  const refuse = (reason: string) => refused(origin, shown, reason);
  if (!table) throw refuse(`there is no such table; expected one of ${tableNames.join(', ')}`);
  const name = { table, key };
  if (key.length > rowKeyCharsMax || !isKeyOf(name)) throw refuse('it has no key of its table');
  const writer = writerOf(name);
  if (writer !== undefined && writer !== origin) throw refuse(`only site ${writer} may write it`);
  const version = versionOf(row, origin, needs);
  if (row.deleted) {
    if (row.value !== '') throw refuse('it is deleted and has a value');
    return { name, value: undefined, version };
  }
  const byteCount = Buffer.byteLength(row.value);
  if (byteCount > rowBytesMax) throw refuse(`it has ${byteCount} bytes, at most ${rowBytesMax}`);
  const parsed = parseRow(table, key, row.value);
  if ('refusal' in parsed) throw refuse(parsed.refusal);
  const refusal = needs.checks[table]?.(key, parsed.value);
  if (refusal !== undefined) throw refuse(refusal);
  return { name, value: parsed.value, version };
}

function versionOf(row: ReplicatedRow__Output, origin: string, needs: CheckNeeds): RowVersion {
  const time = row.changedAt;
  if (!time) throw invalid('changed_at', 'a time', 'none');
  if (time.siteCode !== origin) throw invalid('changed_at.site_code', origin, time.siteCode);
  const wallMs = requireCount('changed_at.wall_ms', time.wallMs);
  const counter = requireCount('changed_at.counter', time.counter);
  if (counter > counterMax) throw invalid('changed_at.counter', '32 bits', `${counter}`);
  const { clockAheadMsMax: aheadMsMax } = needs;
  const aheadMs = needs.clock.aheadMs({ wallMs });
  if (aheadMs > aheadMsMax) {
    throw new WaybillError({ code: 'CLOCK_AHEAD', siteCode: origin, aheadMs, aheadMsMax });
  }
  const changedAt = { wallMs, counter, siteCode: origin };
  const sequence = requireCount('sequence', row.sequence);
  const { deleted: isDeleted, renumbered } = row;
  return { changedAt, sequence, isDeleted, ...(renumbered && { isRenumbered: true }) };
}

function refused(siteCode: string, row: string, reason: string): WaybillError {
  return new WaybillError({ code: 'REPLICATION_ROW_REFUSED', siteCode, row, reason });
}

/** A peer's text as a log and a terminal may have it. */
function visible(text: string): string {
  return text.slice(0, shownCharsMax).replace(/[^\x20-\x7e]/g, '\ufffd');
}

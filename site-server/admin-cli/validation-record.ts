import type { ValidationResult__Output } from '../../shared/rpc/generated/waybill/v1/ValidationResult.ts';
import type { Tone } from '../../shared/runtime/text-style.ts';
import { siteTextOf } from './status-columns.ts';
import type { Column } from './table.ts';
import { toAgeText } from './units.ts';
import { toCount, toHex, toWord } from './wire-values.ts';

/** What the last validation of a package on a DP has found, as `--json` shows it. */
export type ValidationRecord = ReturnType<typeof toValidationRecord>;

/** A result as it came from the site server. */
export function toValidationRecord(wire: ValidationResult__Output) {
  return {
    packageId: wire.packageId,
    siteCode: wire.siteCode,
    /** Empty: the library of the site itself. */
    dpId: wire.dpId,
    sourceVersion: wire.sourceVersion,
    checkedAtMs: toCount(wire.checkedAtMs, 'checked_at_ms'),
    fileCount: toCount(wire.fileCount, 'file_count'),
    damagedFiles: toCount(wire.damagedFiles, 'damaged_files'),
    missingFiles: toCount(wire.missingFiles, 'missing_files'),
    repairedFiles: toCount(wire.repairedFiles, 'repaired_files'),
    files: wire.files.map(({ path, fileHash, finding, detail }) => ({
      ...{ path, fileHash: toHex(fileHash), detail },
      finding: toWord('UNSOUND_FINDING_', finding),
    })),
    wishId: wire.wishId,
    failure: wire.failure,
  };
}

/** What is told of a wish that nobody answers: the package was taken off meanwhile. */
export function droppedRecord(packageId: string, dpId: string): ValidationRecord {
  return {
    ...{ packageId, siteCode: '', dpId, sourceVersion: 0, checkedAtMs: 0, fileCount: 0 },
    ...{ damagedFiles: 0, missingFiles: 0, repairedFiles: 0, files: [], wishId: '' },
    failure: 'the package is not meant to be there any more',
  };
}

/** Files that are not whole now. */
export function unsoundCountOf(record: ValidationRecord): number {
  return Math.max(0, record.damagedFiles + record.missingFiles - record.repairedFiles);
}

/** `whole`, `repaired`, `3 of 60 damaged or missing`, or that nothing is known. */
export function toFoundText(record: ValidationRecord): string {
  const { damagedFiles, missingFiles, fileCount, failure, checkedAtMs } = record;
  const unsoundCount = unsoundCountOf(record);
  if (unsoundCount > 0) return `${unsoundCount} of ${fileCount} damaged or missing`;
  if (checkedAtMs === 0 || failure !== '') return 'not validated';
  return damagedFiles + missingFiles > 0 ? 'repaired' : 'whole';
}

/** Columns of a table of results. */
export function validationColumns(
  rows: readonly ValidationRecord[],
  nowMs: number,
): readonly Column<ValidationRecord>[] {
  return [
    { title: 'package', text: (row) => row.packageId },
    { title: 'site', text: siteTextOf(rows) },
    { title: 'on', text: (row) => row.dpId || `site ${row.siteCode}` },
    { title: 'version', text: (row) => String(row.sourceVersion), align: 'right' },
    { title: 'found', text: toFoundText, tone: toneOf },
    { title: 'damaged', text: (row) => toFewText(row.damagedFiles), align: 'right' },
    { title: 'missing', text: (row) => toFewText(row.missingFiles), align: 'right' },
    { title: 'repaired', text: (row) => toFewText(row.repairedFiles), align: 'right' },
    { title: 'checked', text: (row) => toAgeText(row.checkedAtMs, nowMs) },
    { title: 'reason', text: (row) => row.failure },
  ];
}

function toneOf(record: ValidationRecord): Tone {
  if (unsoundCountOf(record) > 0) return 'bad';
  return record.failure === '' ? 'good' : 'busy';
}

function toFewText(count: number): string {
  return count === 0 ? '' : String(count);
}

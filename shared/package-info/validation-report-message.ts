import { alsoUsedByMax, type ValidationReport } from '../domain/content-validation.ts';
import { parsePackageId } from '../domain/package.ts';
import {
  findingDetailCharsMax,
  namedFilesMax,
  type UnsoundFile,
} from '../domain/validation-result.ts';
import type {
  UnsoundFile__Output,
  UnsoundFile as UnsoundFileMessage,
} from '../rpc/generated/waybill/v1/UnsoundFile.ts';
import type {
  ValidationReport as ReportMessage,
  ValidationReport__Output,
} from '../rpc/generated/waybill/v1/ValidationReport.ts';
import { invalidMessage, requireCount } from './package-version.ts';

const findingNames = {
  damaged: 'UNSOUND_FINDING_DAMAGED',
  missing: 'UNSOUND_FINDING_MISSING',
} as const satisfies Record<UnsoundFile['finding'], string>;

/** Longest path that is believed: as long as one of a source. */
const pathCharsMax = 4_200;

/** A report on its way to the site. */
export function toReportMessage(report: ValidationReport): ReportMessage {
  return {
    heldVersion: report.heldVersion,
    heldHash: Buffer.from(report.heldHash, 'hex'),
    fileCount: report.fileCount,
    damagedFiles: report.damagedCount,
    missingFiles: report.missingCount,
    mendedFiles: report.mendedCount,
    damagedDeltas: report.damagedDeltaCount,
    damagedManifests: report.damagedManifestCount,
    files: report.files.map(toUnsoundFileMessage),
    alsoUsedBy: [...report.alsoUsedBy],
  };
}

/** A file of a report or a result on the wire. */
export function toUnsoundFileMessage(file: UnsoundFile): UnsoundFileMessage {
  const { path, fileHash, finding, detail = '' } = file;
  return {
    path,
    fileHash: Buffer.from(fileHash, 'hex'),
    finding: findingNames[finding],
    detail,
  };
}

/** What a DP reports: bounded, whatever it says. @throws MESSAGE_INVALID */
export function requireReport(message: ValidationReport__Output): ValidationReport {
  const { files, alsoUsedBy } = message;
  requireLength('files', files, namedFilesMax);
  requireLength('also_used_by', alsoUsedBy, alsoUsedByMax);
  const count = (field: string, value: string | number) =>
    requireCount(`report.${field}`, value, { min: 0, max: Number.MAX_SAFE_INTEGER });
  const heldHash = Buffer.from(message.heldHash).toString('hex').slice(0, 64);
  return {
    heldVersion: count('held_version', message.heldVersion),
    heldHash,
    fileCount: count('file_count', message.fileCount),
    damagedCount: count('damaged_files', message.damagedFiles),
    missingCount: count('missing_files', message.missingFiles),
    mendedCount: count('mended_files', message.mendedFiles),
    damagedDeltaCount: count('damaged_deltas', message.damagedDeltas),
    damagedManifestCount: count('damaged_manifests', message.damagedManifests),
    files: files.map(requireUnsoundFile),
    alsoUsedBy: alsoUsedBy.filter((packageId) => parsePackageId(packageId) !== undefined),
  };
}

function requireUnsoundFile({ path, fileHash, finding, detail }: UnsoundFile__Output): UnsoundFile {
  const word = finding === 'UNSOUND_FINDING_MISSING' ? 'missing' : 'damaged';
  const hash = Buffer.from(fileHash).toString('hex');
  return {
    path: path.slice(0, pathCharsMax),
    fileHash: /^[0-9a-f]{64}$/.test(hash) ? hash : '',
    finding: word,
    ...(detail !== '' && { detail: detail.slice(0, findingDetailCharsMax) }),
  };
}

function requireLength(field: string, list: readonly unknown[], max: number): void {
  if (list.length > max) throw invalidMessage(field, `at most ${max}`, `${list.length}`);
}

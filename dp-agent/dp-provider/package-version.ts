import type { ContentDescriptor } from '../../shared/domain/content.ts';
import { parseContentId, parseHash } from '../../shared/domain/content.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { type PackageVersion, type Priority, parsePackageId } from '../../shared/domain/package.ts';
import type { ContentDescriptor__Output } from '../../shared/rpc/generated/waybill/v1/ContentDescriptor.ts';
import type { PackageAction__Output } from '../../shared/rpc/generated/waybill/v1/PackageAction.ts';
import type { PackageVersion__Output } from '../../shared/rpc/generated/waybill/v1/PackageVersion.ts';
import type { PackageAction } from './package-actions.ts';

/** Most entries a content may have, and most contents a package may have: docs/limits.md. */
const entryCountMax = 5_000_000;
const contentCountMax = 100;
/** Longest manifest, in bytes: five million entries of 400 bytes. */
const manifestBytesMax = 2_000_000_000;
/** Largest content, in bytes: 8 TiB. */
const contentBytesMax = 8 * 1024 ** 4;

/** The action a call names, checked. @throws MESSAGE_INVALID */
export function requireAction(action: PackageAction__Output | null | undefined): PackageAction {
  const packageId = parsePackageId(action?.packageId ?? '');
  if (packageId === undefined) {
    throw invalid('action.package_id', 'a package ID such as PS100001', action?.packageId);
  }
  const jobSerial = requireCount('action.job_serial', action?.jobSerial, Number.MAX_SAFE_INTEGER);
  return { packageId, jobSerial };
}

/** The package version a call brings, checked before anything is written. @throws MESSAGE_INVALID */
export function requirePackageVersion(
  version: PackageVersion__Output | null | undefined,
  packageId: string,
): PackageVersion {
  if (!version) throw invalid('package', 'a package version', 'nothing');
  if (version.packageId !== packageId)
    throw invalid('package.package_id', packageId, version.packageId);
  const { contents } = version;
  if (contents.length < 1 || contents.length > contentCountMax) {
    throw invalid('package.contents', `1 to ${contentCountMax} contents`, String(contents.length));
  }
  const ids = new Set(contents.map(({ contentId }) => contentId));
  if (ids.size !== contents.length) throw invalid('package.contents', 'different IDs', 'one twice');
  return {
    packageId,
    sourceVersion: requireCount('package.source_version', version.sourceVersion, 2 ** 31, 1),
    packageHash: requireHash('package.package_hash', version.packageHash),
    contents: contents.map(requireContent),
    properties: requireProperties(version),
  };
}

/** A hash of the wire as hexadecimal text. @throws MESSAGE_INVALID */
export function requireHash(field: string, bytes: Uint8Array): string {
  const hash = parseHash(Buffer.from(bytes).toString('hex'));
  if (hash === undefined) throw invalid(field, '32 bytes', `${bytes.length} bytes`);
  return hash;
}

function requireContent(content: ContentDescriptor__Output): ContentDescriptor {
  const contentId = parseContentId(content.contentId);
  if (contentId === undefined)
    throw invalid('content_id', 'the name of a content', content.contentId);
  return {
    contentId,
    contentHash: requireHash('content_hash', content.contentHash),
    signatureHash: requireHash('signature_hash', content.signatureHash),
    manifestBytes: requireCount('manifest_bytes', content.manifestBytes, manifestBytesMax, 1),
    signatureBytes: requireCount(
      'signature_bytes',
      content.signatureBytes,
      contentBytesMax / 32_768,
    ),
    entryCount: requireCount('entry_count', content.entryCount, entryCountMax),
    fileCount: requireCount('file_count', content.fileCount, entryCountMax),
    sizeBytes: requireCount('size_bytes', content.sizeBytes, contentBytesMax),
  };
}

const priorities: Record<string, Priority> = {
  PRIORITY_HIGH: 1,
  PRIORITY_NORMAL: 2,
  PRIORITY_LOW: 3,
};

function requireProperties({ properties }: PackageVersion__Output): PackageVersion['properties'] {
  if (!properties) throw invalid('package.properties', 'the properties of the package', 'nothing');
  const { icon, priority, programs, name, version, manufacturer, language, description, iconName } =
    properties;
  return {
    name,
    version,
    manufacturer,
    language,
    description,
    iconName,
    priority: priorities[priority] ?? 2,
    programs: programs.map((program) => ({ name: program.name, commandLine: program.commandLine })),
    iconBase64: Buffer.from(icon).toString('base64'),
  };
}

function requireCount(
  field: string,
  value: string | number | undefined,
  max: number,
  min = 0,
): number {
  const count = Number(value);
  if (Number.isSafeInteger(count) && count >= min && count <= max) return count;
  throw invalid(field, `${min} to ${max}`, String(value));
}

function invalid(field: string, expected: string, actual: string | undefined): WaybillError {
  return new WaybillError({
    code: 'MESSAGE_INVALID',
    field,
    expected,
    actual: actual ?? 'nothing',
  });
}

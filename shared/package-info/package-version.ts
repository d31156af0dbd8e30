import {
  type ContentDescriptor,
  parseContentId,
  parseHash,
  pieceBytes,
  refusalOfName,
} from '../domain/content.ts';
import { WaybillError } from '../domain/errors.ts';
import {
  type PackageProperties,
  type PackageVersion,
  type Program,
  parsePackageId,
} from '../domain/package.ts';
import { requestLimits } from '../domain/request-limits.ts';
import type { PackageAction } from '../package-receiver/package-actions.ts';
import type { ContentDescriptor__Output } from '../rpc/generated/waybill/v1/ContentDescriptor.ts';
import type { PackageAction__Output } from '../rpc/generated/waybill/v1/PackageAction.ts';
import type { PackageProperties__Output } from '../rpc/generated/waybill/v1/PackageProperties.ts';
import type { PackageVersion__Output } from '../rpc/generated/waybill/v1/PackageVersion.ts';
import { priorityNames, toPriority } from './priority-message.ts';

/** Most entries a content may have, and most contents a package may have: docs/limits.md. */
const entryCountMax = 5_000_000;
const contentCountMax = requestLimits.sourceCountMax;
/** Longest manifest, in bytes: five million entries of 400 bytes. */
const manifestBytesMax = 2_000_000_000;
/** Largest content, in bytes: 8 TiB. */
export const contentBytesMax = 8 * 1024 ** 4;
/** Longest signature, in bytes: 32 for each piece of the largest content. */
const signatureBytesMax = 32 * (contentBytesMax / pieceBytes);
/** Highest source version: more than one update a second for 60 years. */
const sourceVersionMax = 2 ** 31;
/** Most characters of a refused text that are told back. */
const actualCharsMax = 80;

/** The action a call names, checked. @throws MESSAGE_INVALID */
export function requireAction(action: PackageAction__Output | null | undefined): PackageAction {
  if (!action) throw invalidMessage('action', 'the action of the call', 'nothing');
  const packageId = parsePackageId(action.packageId);
  if (packageId === undefined) {
    throw invalidMessage('action.package_id', 'a package ID such as PS100001', action.packageId);
  }
  const jobSerial = requireCount('action.job_serial', action.jobSerial, {
    min: 1,
    max: Number.MAX_SAFE_INTEGER,
  });
  return { packageId, jobSerial };
}

/** The package version a call brings, checked before anything is written. @throws MESSAGE_INVALID */
export function requirePackageVersion(
  version: PackageVersion__Output | null | undefined,
  packageId: string,
): PackageVersion {
  if (!version) throw invalidMessage('package', 'a package version', 'nothing');
  if (version.packageId !== packageId) {
    throw invalidMessage('package.package_id', packageId, version.packageId);
  }
  return {
    packageId,
    sourceVersion: requireCount('package.source_version', version.sourceVersion, {
      min: 1,
      max: sourceVersionMax,
    }),
    packageHash: requireHash('package.package_hash', version.packageHash),
    contents: requireContents(version.contents),
    properties: requireProperties(version.properties),
  };
}

/** A hash of the wire as hexadecimal text. @throws MESSAGE_INVALID */
export function requireHash(field: string, bytes: Uint8Array): string {
  const hash = parseHash(Buffer.from(bytes).toString('hex'));
  if (hash === undefined) throw invalidMessage(field, '32 bytes', `${bytes.length} bytes`);
  return hash;
}

function requireContents(contents: readonly ContentDescriptor__Output[]): ContentDescriptor[] {
  if (contents.length < 1 || contents.length > contentCountMax) {
    throw invalidMessage(
      'package.contents',
      `1 to ${contentCountMax} contents`,
      `${contents.length}`,
    );
  }
  const ids = new Set(contents.map(({ contentId }) => contentId));
  if (ids.size !== contents.length)
    throw invalidMessage('package.contents', 'different IDs', 'one twice');
  return contents.map((content, index) => requireContent(`package.contents[${index}]`, content));
}

function requireContent(field: string, content: ContentDescriptor__Output): ContentDescriptor {
  const contentId = parseContentId(content.contentId);
  if (contentId === undefined) {
    throw invalidMessage(`${field}.content_id`, 'the name of a content', content.contentId);
  }
  const count = (name: string, value: string | number, max: number, min = 0) =>
    requireCount(`${field}.${name}`, value, { min, max });
  return {
    contentId,
    contentHash: requireHash(`${field}.content_hash`, content.contentHash),
    signatureHash: requireHash(`${field}.signature_hash`, content.signatureHash),
    manifestBytes: count('manifest_bytes', content.manifestBytes, manifestBytesMax, 1),
    signatureBytes: count('signature_bytes', content.signatureBytes, signatureBytesMax),
    entryCount: count('entry_count', content.entryCount, entryCountMax),
    fileCount: count('file_count', content.fileCount, entryCountMax),
    sizeBytes: count('size_bytes', content.sizeBytes, contentBytesMax),
  };
}

function requireProperties(properties: PackageProperties__Output | null): PackageProperties {
  const field = 'package.properties';
  if (!properties) throw invalidMessage(field, 'the properties of the package', 'nothing');
  const { shortTextCharsMax, iconBytesMax } = requestLimits;
  const priority = toPriority(properties.priority);
  if (priority === undefined) {
    const expected = Object.values(priorityNames).join(', ');
    throw invalidMessage(`${field}.priority`, `one of ${expected}`, String(properties.priority));
  }
  const { icon } = properties;
  if (icon.length > iconBytesMax) {
    throw invalidMessage(`${field}.icon`, `at most ${iconBytesMax} bytes`, `${icon.length} bytes`);
  }
  const text = (name: string, value: string, charsMax: number = shortTextCharsMax) =>
    requireText(`${field}.${name}`, value, charsMax);
  return {
    name: text('name', properties.name, requestLimits.packageNameCharsMax),
    version: text('version', properties.version),
    manufacturer: text('manufacturer', properties.manufacturer),
    language: text('language', properties.language),
    description: text('description', properties.description, requestLimits.descriptionCharsMax),
    iconName: requireIconName(`${field}.icon_name`, properties.iconName),
    priority,
    programs: requirePrograms(`${field}.programs`, properties.programs),
    iconBase64: Buffer.from(icon).toString('base64'),
  };
}

function requireIconName(field: string, name: string): string {
  const refusal = name === '' ? undefined : refusalOfName(name);
  if (refusal !== undefined) throw invalidMessage(field, `a file name; ${refusal}`, name);
  return name;
}

function requirePrograms(
  field: string,
  programs: PackageProperties__Output['programs'],
): readonly Program[] {
  const { programCountMax, programNameCharsMax, commandLineCharsMax } = requestLimits;
  if (programs.length > programCountMax) {
    throw invalidMessage(field, `at most ${programCountMax} programs`, `${programs.length}`);
  }
  return programs.map(({ name, commandLine }, index) => ({
    name: requireText(`${field}[${index}].name`, name, programNameCharsMax),
    commandLine: requireText(`${field}[${index}].command_line`, commandLine, commandLineCharsMax),
  }));
}

function requireText(field: string, text: string, charsMax: number): string {
  const charCount = Array.from(text).length;
  if (charCount <= charsMax) return text;
  throw invalidMessage(field, `at most ${charsMax} characters`, `${charCount} characters`);
}

/** A whole number of the wire, 64 bits or less, within bounds. @throws MESSAGE_INVALID */
export function requireCount(
  field: string,
  value: string | number,
  { min, max }: { min: number; max: number },
): number {
  const count = Number(value);
  if (Number.isSafeInteger(count) && count >= min && count <= max) return count;
  throw invalidMessage(field, `${min} to ${max}`, String(value));
}

/** What a message has in a field is not what it must have. */
export function invalidMessage(field: string, expected: string, actual: string): WaybillError {
  const told = actual.slice(0, actualCharsMax);
  return new WaybillError({ code: 'MESSAGE_INVALID', field, expected, actual: told });
}

import { parseHash } from '../../shared/domain/content.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { type Priority, parsePackageId } from '../../shared/domain/package.ts';
import { parseSiteCode } from '../../shared/domain/site.ts';
import type {
  PackageInstruction,
  TransferInstruction,
} from '../../shared/domain/site-instruction.ts';
import {
  packageInstructionType,
  signedInstructionType,
  transferInstructionType,
} from '../../shared/rpc/service-definitions.ts';

/** Longest instruction, in bytes; ours are some 200. */
const instructionBytesMax = 4_096;
/** Highest source version, as of a package version on the wire. */
const sourceVersionMax = 2 ** 31;
const nonceBytes = { min: 16, max: 64 };
/** What can stand in a key of the state store and on a line of a report. */
const idPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const keyIdPattern = /^[0-9a-f]{16}$/;

/** Both instructions as the exact bytes that were signed, and their signatures. */
export interface SignedInstructionParts {
  readonly transfer: Uint8Array;
  readonly transferSignature: Uint8Array;
  readonly transferKeyId: string;
  readonly package: Uint8Array;
  readonly packageSignature: Uint8Array;
  readonly packageKeyId: string;
}

/** The bytes of a transfer instruction, to be signed. Equal instructions give equal bytes. */
export function encodeTransferInstruction(instruction: TransferInstruction): Buffer {
  return transferInstructionType().serialize({
    ...instruction,
    nonce: Buffer.from(instruction.nonce, 'hex'),
    packageInstructionHash: Buffer.from(instruction.packageInstructionHash, 'hex'),
  });
}

/** The bytes of a package instruction, to be signed. Equal instructions give equal bytes. */
export function encodePackageInstruction(instruction: PackageInstruction): Buffer {
  const { file, packageHash, ...rest } = instruction;
  return packageInstructionType().serialize({
    ...rest,
    fileHash: Buffer.from(file.fileHash, 'hex'),
    fileBytes: file.fileBytes,
    packageHash: Buffer.from(packageHash, 'hex'),
  });
}

/**
 * A transfer instruction from its bytes, every field checked. Neither kind of instruction can be read
 * as the other one: a time stands where the other has a package ID.
 *
 * @throws MESSAGE_INVALID
 */
export function parseTransferInstruction(bytes: Uint8Array): TransferInstruction {
  const type = transferInstructionType();
  const message = decoded('transfer', bytes, (buffer) => type.deserialize(buffer));
  return {
    requestId: requireId('transfer.request_id', message.requestId),
    sendingSiteCode: requireSite('transfer.sending_site_code', message.sendingSiteCode),
    destinationSiteCode: requireSite('transfer.destination_site_code', message.destinationSiteCode),
    signedAtMs: requireCount('transfer.signed_at_ms', message.signedAtMs, { min: 1 }),
    nonce: requireNonce(message.nonce),
    packageInstructionHash: requireHash(
      'transfer.package_instruction_hash',
      message.packageInstructionHash,
    ),
  };
}

/** A package instruction from its bytes, every field checked. @throws MESSAGE_INVALID */
export function parsePackageInstruction(bytes: Uint8Array): PackageInstruction {
  const type = packageInstructionType();
  const message = decoded('package', bytes, (buffer) => type.deserialize(buffer));
  const sourceSiteCode = requireSite('package.source_site_code', message.sourceSiteCode);
  const sourceVersion = requireCount('package.source_version', message.sourceVersion, {
    min: 1,
    max: sourceVersionMax,
  });
  const createdAtMs = requireCount('package.created_at_ms', message.createdAtMs, { min: 1 });
  return {
    jobId: requireJobId(message.jobId, sourceSiteCode),
    sourceSiteCode,
    finalSiteCode: requireSite('package.final_site_code', message.finalSiteCode),
    packageId: requirePackageId('package.package_id', message.packageId),
    sourceVersion,
    baseVersion: requireCount('package.base_version', message.baseVersion, {
      max: sourceVersion - 1,
    }),
    file: {
      fileHash: requireHash('package.file_hash', message.fileHash),
      fileBytes: requireCount('package.file_bytes', message.fileBytes, { min: 1 }),
    },
    packageHash: requireHash('package.package_hash', message.packageHash),
    priority: requireCount('package.priority', message.priority, { min: 1, max: 3 }) as Priority,
    createdAtMs,
    expiresAtMs: requireCount('package.expires_at_ms', message.expiresAtMs, {
      min: createdAtMs + 1,
    }),
  };
}

/** Lengths and key names of what came, before anything of it is read. @throws MESSAGE_INVALID */
export function requireSignedInstruction(message: SignedInstructionParts): SignedInstructionParts {
  requireBytes('transfer', message.transfer);
  requireBytes('package', message.package);
  requireSignature('transfer_signature', message.transferSignature);
  requireSignature('package_signature', message.packageSignature);
  requireKeyId('transfer_key_id', message.transferKeyId);
  requireKeyId('package_key_id', message.packageKeyId);
  return message;
}

/** A signed instruction as bytes, to be kept and hashed. */
export function encodeSignedInstruction(parts: SignedInstructionParts): Buffer {
  return signedInstructionType().serialize({
    ...parts,
    transfer: Buffer.from(parts.transfer),
    transferSignature: Buffer.from(parts.transferSignature),
    package: Buffer.from(parts.package),
    packageSignature: Buffer.from(parts.packageSignature),
  });
}

/** What `encodeSignedInstruction` made of it. @throws MESSAGE_INVALID */
export function decodeSignedInstruction(bytes: Uint8Array): SignedInstructionParts {
  const type = signedInstructionType();
  const message = decoded('instruction', bytes, (buffer) => type.deserialize(buffer), 4);
  return requireSignedInstruction(message);
}

/** A package ID of the wire. @throws MESSAGE_INVALID */
export function requirePackageId(field: string, text: string): string {
  return parsePackageId(text) ?? refuse(field, 'a package ID such as PS100001', text);
}

/** A site code of the wire. @throws MESSAGE_INVALID */
export function requireSite(field: string, text: string): string {
  return parseSiteCode(text) ?? refuse(field, 'a site code, three of A-Z and 0-9', text);
}

/** The ID of a request of the wire. @throws MESSAGE_INVALID */
export function requireId(field: string, text: string): string {
  return idPattern.test(text) ? text : refuse(field, 'at most 64 letters, digits, ".-_"', text);
}

/** A hash of the wire, as hexadecimal text. @throws MESSAGE_INVALID */
export function requireHash(field: string, bytes: Uint8Array): string {
  const hash = parseHash(Buffer.from(bytes).toString('hex'));
  return hash ?? refuse(field, '32 bytes', `${bytes.length} bytes`);
}

/** A number of the wire. @throws MESSAGE_INVALID */
export function requireCount(
  field: string,
  value: string | number,
  { min = 0, max = Number.MAX_SAFE_INTEGER }: { readonly min?: number; readonly max?: number } = {},
): number {
  const count = Number(value);
  const isRight = Number.isSafeInteger(count) && count >= min && count <= max;
  return isRight ? count : refuse(field, `${min} to ${max}`, String(value));
}

function requireJobId(text: string, sourceSiteCode: string): string {
  const isTheirs = idPattern.test(text) && text.startsWith(`${sourceSiteCode}-`);
  return isTheirs
    ? text
    : refuse('package.job_id', `an ID that begins with ${sourceSiteCode}-`, text);
}

function requireNonce(bytes: Uint8Array): string {
  const { min, max } = nonceBytes;
  if (bytes.length >= min && bytes.length <= max) return Buffer.from(bytes).toString('hex');
  return refuse('transfer.nonce', `${min} to ${max} bytes`, `${bytes.length} bytes`);
}

function requireBytes(field: string, bytes: Uint8Array): void {
  if (bytes.length > 0 && bytes.length <= instructionBytesMax) return;
  refuse(field, `1 to ${instructionBytesMax} bytes`, `${bytes.length} bytes`);
}

function requireSignature(field: string, bytes: Uint8Array): void {
  if (bytes.length !== 64) refuse(field, '64 bytes', `${bytes.length} bytes`);
}

function requireKeyId(field: string, text: string): void {
  if (!keyIdPattern.test(text)) refuse(field, '16 hexadecimal digits', text);
}

function decoded<T>(
  field: string,
  bytes: Uint8Array,
  decode: (bytes: Buffer) => T,
  instructions = 1,
): T {
  if (bytes.length <= instructions * instructionBytesMax) {
    try {
      return decode(Buffer.from(bytes));
    } catch {
      // What it is not, is said below.
    }
  }
  return refuse(field, 'an encoded instruction', `${bytes.length} other bytes`);
}

function refuse(field: string, expected: string, actual: string): never {
  const shown = actual.length > 80 ? `${actual.slice(0, 80)}…` : actual;
  throw new WaybillError({ code: 'MESSAGE_INVALID', field, expected, actual: shown });
}

import { hashOf } from '../../shared/content-library/content-hash.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type {
  InstructionRefusal,
  PackageInstruction,
  TransferInstruction,
} from '../../shared/domain/site-instruction.ts';
import {
  parsePackageInstruction,
  parseTransferInstruction,
  requireSignedInstruction,
  type SignedInstructionParts,
} from '../site-identity/instructions.ts';
import type { SignatureRefusal, SignedText } from '../site-identity/site-identity-keeper.ts';

/** Both instructions that came together, as far as they can be read. */
export interface ReadInstruction {
  readonly parts: SignedInstructionParts;
  readonly transfer: TransferInstruction;
  readonly package: PackageInstruction;
}

/** What signatures and times are checked with. */
export interface InstructionTrust {
  readonly ownSiteCode: string;
  /** The site at the other end of the connection, by its certificate. */
  readonly peerSiteCode: string;
  readonly nowMs: number;
  /** How far the clock of a sending site may be off, and how long an instruction may be on its way. */
  readonly freshMs: number;
  readonly signatureRefusal: (text: SignedText) => SignatureRefusal | undefined;
}

/** Reads what came; believes nothing of it. @throws MESSAGE_INVALID */
export function readInstruction(message: SignedInstructionParts): ReadInstruction {
  const parts = requireSignedInstruction(message);
  const transfer = parseTransferInstruction(parts.transfer);
  return { parts, transfer, package: parsePackageInstruction(parts.package) };
}

/** As long as a site can be configured to sign for: what waits for its metadata does not stay for ever. */
const validMsMax = 90 * 24 * 60 * 60_000;

/** The refusal of an instruction, to be thrown. */
export function refused(read: ReadInstruction, reason: InstructionRefusal): WaybillError {
  const { requestId } = read.transfer;
  const { packageId } = read.package;
  return new WaybillError({ code: 'INSTRUCTION_REFUSED', requestId, packageId, reason });
}

/**
 * Why this hop is not believed: who signed it, for whom, when (REP-6, REP-7). Undefined when the
 * site at the other end signed it for us just now.
 */
export function refusalOfTransfer(
  { parts, transfer }: ReadInstruction,
  trust: InstructionTrust,
): InstructionRefusal | undefined {
  const signature = trust.signatureRefusal({
    siteCode: transfer.sendingSiteCode,
    keyId: parts.transferKeyId,
    bytes: parts.transfer,
    signature: parts.transferSignature,
    signedAtMs: transfer.signedAtMs,
  });
  if (signature) return `sender-${signature}`;
  if (transfer.sendingSiteCode !== trust.peerSiteCode) return 'other-sender';
  if (transfer.destinationSiteCode !== trust.ownSiteCode) return 'other-destination';
  if (Math.abs(trust.nowMs - transfer.signedAtMs) > trust.freshMs) return 'not-fresh';
  return undefined;
}

/**
 * Why the package's own instruction is not believed: whether it belongs to this hop, who signed it,
 * and when. Undefined when the source site of the package signed it and it is still good.
 */
export function refusalOfPackage(
  read: ReadInstruction,
  trust: InstructionTrust,
): InstructionRefusal | undefined {
  const { parts, transfer, package: order } = read;
  if (hashOf(parts.package) !== transfer.packageInstructionHash) return 'package-instruction-hash';
  const signature = trust.signatureRefusal({
    siteCode: order.sourceSiteCode,
    keyId: parts.packageKeyId,
    bytes: parts.package,
    signature: parts.packageSignature,
    signedAtMs: order.createdAtMs,
  });
  if (signature) return `source-${signature}`;
  // A package ID begins with the code of the site that made it.
  if (!order.packageId.startsWith(order.sourceSiteCode)) return 'source-not-owner';
  if (order.createdAtMs > trust.nowMs + trust.freshMs) return 'created-in-future';
  if (order.expiresAtMs > trust.nowMs + validMsMax + trust.freshMs) return 'valid-too-long';
  return order.expiresAtMs <= trust.nowMs ? 'expired' : undefined;
}

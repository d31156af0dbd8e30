import type { Priority } from './package.ts';
import type { PackageFileFacts } from './send-request.ts';

/** One hop of a transfer: made and signed anew by each site that sends, for each try. */
export interface TransferInstruction {
  readonly requestId: string;
  readonly sendingSiteCode: string;
  /** The site this hop goes to; any other refuses it. */
  readonly destinationSiteCode: string;
  readonly signedAtMs: number;
  /** 16 to 64 bytes, lower-case hexadecimal; differs in each. */
  readonly nonce: string;
  /** BLAKE3-256 of the package instruction's bytes, lower-case hexadecimal. */
  readonly packageInstructionHash: string;
}

/** What is sent: signed once, by the source site, and forwarded as it is. */
export interface PackageInstruction {
  /** Begins with the code of the source site and a hyphen, so that no other site can take it. */
  readonly jobId: string;
  readonly sourceSiteCode: string;
  /** The site that is to unpack it; others forward it unopened. */
  readonly finalSiteCode: string;
  readonly packageId: string;
  readonly sourceVersion: number;
  /** The version the file builds on, lower than the version itself; 0: a full package file. */
  readonly baseVersion: number;
  readonly file: PackageFileFacts;
  /** BLAKE3-256 over the contents of the version, lower-case hexadecimal. */
  readonly packageHash: string;
  readonly priority: Priority;
  readonly createdAtMs: number;
  /** Refused from then on. */
  readonly expiresAtMs: number;
}

/**
 * An instruction that this site has taken and not carried out yet: the row of table "received
 * instructions", by the ID of its mini-job.
 */
export interface ReceivedInstruction extends PackageInstruction {
  readonly requestId: string;
  /** The site it came from last; not always the source site. */
  readonly sendingSiteCode: string;
  readonly receivedAtMs: number;
  /** The SignedInstruction as it came, base64; of a prestaged file, the hash of what was signed. */
  readonly signed: string;
  /** It came in a prestaged file: its source site awaits nothing. @default false */
  readonly isPrestaged?: true;
}

/**
 * An instruction that was taken lately: the row of table "seen instructions", by sending site and
 * nonce. It is kept for as long as the instruction could count as fresh.
 */
export interface SeenInstruction {
  /** BLAKE3-256 of the whole signed instruction, lower-case hexadecimal. */
  readonly signedHash: string;
  readonly forgottenAtMs: number;
}

/** Why an instruction is refused. */
export type InstructionRefusal = keyof typeof instructionRefusals;

interface RefusalKind {
  /** Why, as the end of a sentence. */
  readonly words: string;
  /** The same instruction, signed anew, may be taken a little later. */
  readonly mends: boolean;
}

/** The closed list of refusals. The names are stable: they travel, and stand in send requests. */
export const instructionRefusals = {
  'sender-key-unknown': {
    words: 'the signing key of the sending site is not known here (yet)',
    mends: true,
  },
  'sender-key-retired': { words: 'the sending site has retired its signing key', mends: true },
  'sender-signature': { words: 'the signature of the sending site is not right', mends: false },
  'other-sender': { words: 'another site signed it than sends it', mends: false },
  'other-destination': { words: 'it is meant for another site', mends: false },
  'not-fresh': {
    words: 'it was signed too long ago, or in the future; compare the clocks of both sites',
    mends: true,
  },
  replayed: { words: 'another instruction had the same nonce', mends: true },
  'package-instruction-hash': {
    words: 'its two parts do not belong together',
    mends: false,
  },
  'source-key-unknown': {
    words: 'the signing key of the source site is not known here (yet)',
    mends: true,
  },
  'source-key-retired': { words: 'the source site retired its signing key long ago', mends: false },
  'source-signature': { words: 'the signature of the source site is not right', mends: false },
  'source-not-owner': { words: 'the package is of another source site', mends: false },
  'created-in-future': {
    words: 'the source site signed it in the future; compare the clocks of the sites',
    mends: true,
  },
  'valid-too-long': { words: 'it would be valid for longer than 90 days', mends: false },
  expired: { words: 'it has expired', mends: false },
  'file-not-here': { words: 'its package file is not here', mends: true },
  'file-size': { words: 'its package file has another size', mends: false },
  'final-site-unknown': { words: 'no way from here to its final site is known', mends: true },
  'not-of-source': {
    words: 'the site that made it cannot speak for this version; only its source site can',
    mends: false,
  },
  'other-content': { words: 'other content is here under the same version', mends: false },
} as const satisfies Record<string, RefusalKind>;

/** The text itself when it is one of the refusals; another program may know more of them. */
export function parseInstructionRefusal(text: string): InstructionRefusal | undefined {
  return Object.hasOwn(instructionRefusals, text) ? (text as InstructionRefusal) : undefined;
}

/** Whether the package may be taken once its source site has signed a new order of the same. */
export function doesNewOrderMend(text: string): boolean {
  return text === 'expired' || text === 'source-key-retired';
}

/** Whether the same package is worth another try by itself after this refusal. */
export function doesRefusalMend(text: string): boolean {
  const refusal = parseInstructionRefusal(text);
  return refusal !== undefined && instructionRefusals[refusal].mends;
}
